"""One page per student: what was asked, what the function returned, what it looks like, and a hint.

What a function returned is shown for a public example only. A page that showed a hidden call would show
whatever the function had made of its hidden arguments.
"""

import html
from pathlib import Path

from course_utils.grading.checks import worth
from course_utils.grading.feedback import call_with, number
from course_utils.grading.labs import Lab, example_of
from course_utils.grading.marks import BLANK, MISSING, RIGHT, WRITTEN, Graded, QuestionMark
from course_utils.whole_files import write_whole

_STYLE = """\
body{font:16px/1.5 system-ui,sans-serif;max-width:46rem;margin:2rem auto;padding:0 1rem;color:#1f2328;background:#fff}
section{border-left:5px solid #b35900;padding:.2rem 1rem;margin:1.2rem 0;overflow-wrap:anywhere}
section.right{border-color:#1a7f37}section.none{border-color:#6e7781}
h2{font-size:1.05rem;margin:.2rem 0}p{margin:.3rem 0}code{background:#f0f1f3;padding:0 .2em}"""


def write_feedback(folder: Path, graded: Graded, lab: Lab) -> Path:
    """Write a student's page into `folder`, whole or not at all."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{graded.student}.html"
    write_whole(path, feedback_page(graded, lab))
    return path


def feedback_page(graded: Graded, lab: Lab) -> str:
    """A page without scripts. Everything that comes from a submission is escaped."""
    sections = "\n".join(section(mark, lab) for mark in graded.marks)
    late = ""
    if graded.late_penalty:
        late = f"<p>Handed in late: {number(graded.late_penalty)} points less.</p>"
    title = f"{lab.id}: {number(graded.score)} of {worth(graded.of)}"
    return (
        "<!doctype html>\n"
        '<html lang="en"><head><meta charset="utf-8">'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">"
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head>\n"
        f"<body><h1>{escape(title)}</h1><p>{escape(graded.student)}</p>{late}\n{sections}\n</body></html>\n"
    )


def section(mark: QuestionMark, lab: Lab) -> str:
    lines = list(sentences(mark, lab))
    paragraphs = "".join(f"<p>{escape(line)}</p>" for line in lines)
    kind = {RIGHT: "right", BLANK: "none", WRITTEN: "none"}.get(mark.state, "wrong")
    head = f"{mark.question_id} · {number(mark.points)} of {worth(mark.of)} · {mark.state}"
    return f'<section class="{kind}"><h2>{escape(head)}</h2>{paragraphs}</section>'


def sentences(mark: QuestionMark, lab: Lab):
    asked = next((one for one in lab.questions if one.id == mark.question_id), None)
    if asked is None:
        yield mark.said or ("A person reads this one." if mark.state == WRITTEN else "Nothing was written.")
        return
    yield f"Asked for: {asked.asks.rstrip('.')}."
    if mark.state == MISSING or mark.said:
        yield mark.said
    if mark.inputs and mark.state not in (BLANK, MISSING):
        yield f"{mark.right_inputs} of {mark.inputs} inputs came out right."
    if mark.returned and mark.state != RIGHT:
        given = call_with(asked.reference, example_of(asked))
        yield f"With {given} it {mark.returned}." if given else f"It {mark.returned}."
    if mark.hint:
        yield mark.hint


def escape(text: str) -> str:
    return html.escape(text, quote=True)
