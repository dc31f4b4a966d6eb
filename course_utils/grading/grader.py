"""Grade one submission: its cells run in a kernel behind walls, its values are compared here.

The student's side gives values and nothing else. What it can break is its own answers, one at a time: a cell
that kills the kernel costs its own question, and the others are asked again in a fresh kernel.
"""

import hashlib
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from course_utils.grading.answers import (
    DEFAULT_SETUP,
    UNWRITTEN,
    Answer,
    Handed,
    find_answers,
    grade_id,
    read_notebook,
)
from course_utils.grading.checks import call, seeded_inputs, verdict, what_happened
from course_utils.grading.kernel import Kernel, KernelGone
from course_utils.grading.labs import Lab, example_of, lab, seed_of
from course_utils.grading.marks import BLANK, MISSING, NOT_YET, RIGHT, WRITTEN, Graded, QuestionMark
from course_utils.grading.questions import Question
from course_utils.grading.remote import RemoteAnswer, name_lacking
from course_utils.grading.sandbox import Limits
from course_utils.grading.submissions import Place, Submission, read_submission


@dataclass(frozen=True)
class Grader:
    """All that grading a submission takes, small enough to travel to another process or machine.

    pack: the instructors' pack, or None for the practice questions. seed: the secret one. hidden: folders that
    no sandbox may show, beside those of the pack and the library.
    """

    lab_id: str
    pack: Path | None
    seed: str
    limits: Limits = field(default_factory=Limits)
    walls: bool = True
    hidden: tuple[Path, ...] = ()

    @property
    def lab(self) -> Lab:
        return lab(self.lab_id, self.pack)

    def grade(self, place: Place) -> Graded:
        """Grade what one student handed in. Nothing that it holds raises."""
        begin = time.monotonic()
        submission = read_submission(place)
        notes = list(submission.problems)
        handed = self.chosen(submission, notes)
        marks: list[QuestionMark] = []
        if handed is not None:
            notes += [*handed.notes, *(note for answer in handed.answers for note in answer.notes)]
            marks = self.answers(handed, begin + self.limits.whole_s, notes)
        by_id = {mark.question_id: mark for mark in marks}
        lacking = "There is no notebook to read it from."
        marks = [
            by_id.get(asked.id) or QuestionMark(asked.id, 0.0, asked.points, MISSING, said=lacking)
            for asked in self.lab.questions
        ]
        if self.lab.capstone_id:
            from course_utils.grading.capstone_files import capstone_mark

            marks.append(capstone_mark(submission, self.lab))
        written = dict(handed.written) if handed else {}
        cells = {answer.question_id: answer.cell for answer in handed.answers} if handed else {}
        marks += [
            QuestionMark(asked.id, 0.0, asked.points, state_of_text(written.get(asked.id, "")))
            for asked in self.lab.written
        ]
        return Graded(
            student=submission.student,
            lab_id=self.lab.id,
            digest=digest_of(submission),
            marks=tuple(marks),
            notes=tuple(dict.fromkeys(notes)),
            submitted_at=submission.submitted_at,
            lost_share=self.lab.late.lost_share(self.lab.due, submission.submitted_at),
            seconds=round(time.monotonic() - begin, 3),
            written=written,
            sources={grade_id(one): cell.source for one, cell in cells.items() if cell},
        )

    def chosen(self, submission: Submission, notes: list[str]) -> Handed | None:
        """The notebook with most of the lab's answers in it; None where none can be read."""
        found: list[tuple[int, str, Handed]] = []
        for name, data in sorted(submission.files.items()):
            if not name.endswith(".ipynb"):
                continue
            try:
                handed = find_answers(read_notebook(data), self.lab)
            except ValueError as error:
                notes.append(f"{ascii(name[-80:])[1:-1]}: {error}")
                continue
            found.append((sum(answer.cell is not None for answer in handed.answers), name, handed))
        if not found:
            notes.append("no notebook that can be read")
            return None
        if len(found) > 1:
            notes.append(f"{len(found)} notebooks; the one with most of the exercises counts")
        return max(found, key=lambda one: one[:2])[2]

    def answers(self, handed: Handed, deadline: float, notes: list[str]) -> list[QuestionMark]:
        """Run and ask all answers in the order of their cells, in as many kernels as they use up.

        The cell at which a kernel ends need not be to blame: a thread of an earlier one may be. It is tried
        again in a fresh kernel, behind the cells before it and then alone. One that takes too long is not.
        """
        marks: list[QuestionMark] = []
        done: list[Answer] = []  # what a fresh kernel runs again before it goes on: later answers may use it
        waiting, tries = list(handed.answers), 0
        hidden = (*self.hidden, self.pack) if self.pack else self.hidden
        while waiting:
            with Kernel(self.limits, walls=self.walls, hidden=hidden) as kernel:
                try:
                    self.prepare(kernel, handed, notes)
                except KernelGone as gone:
                    if handed.setup == (DEFAULT_SETUP,):
                        raise RuntimeError(
                            f"no kernel lives through {DEFAULT_SETUP!r} here: {gone}"
                        ) from None
                    notes.append(f"the set-up cells were left out: {gone}")
                    handed = replace(handed, setup=(DEFAULT_SETUP,))
                    continue
                if not self.again(kernel, done if tries < 2 else ()):
                    done = []
                    continue
                while waiting:
                    answer, said = waiting[0], []
                    asked = self.questions[answer.question_id]
                    if time.monotonic() > deadline:
                        mark, gone = unanswered(asked, "The notebook took too long; this was not run."), None
                    else:
                        mark, gone = self.one(kernel, asked, answer, handed, said)
                    if gone and not gone.late and tries < 2:
                        tries += 1
                        break
                    tries = 0
                    notes += said
                    marks.append(mark)
                    waiting.pop(0)
                    if gone:
                        break
                    done.append(answer)
        return marks

    @property
    def questions(self) -> dict[str, Question]:
        return {asked.id: asked for asked in self.lab.questions}

    def prepare(self, kernel: Kernel, handed: Handed, notes: list[str]) -> None:
        """The set-up cells. Raises KernelGone."""
        for source in handed.setup:
            failed = kernel.ask(f"course_asked.setup({source!r})", self.limits.cell_s).get("failed")
            if isinstance(failed, list) and failed:
                notes.append(f"set-up: {len(failed)} lines failed, first {str(failed[0])[:120]}")

    def again(self, kernel: Kernel, done: Sequence[Answer]) -> bool:
        """Cells of answers that have been marked; False if they end the kernel."""
        try:
            for answer in done:
                if answer.cell:
                    kernel.run(answer.cell.source, self.limits.cell_s)
        except KernelGone:
            return False
        return True

    def one(
        self, kernel: Kernel, asked: Question, answer: Answer, handed: Handed, notes: list[str]
    ) -> tuple[QuestionMark, KernelGone | None]:
        """One question's mark, and how the kernel ended if it did."""
        if answer.cell is None:
            return QuestionMark(
                asked.id, 0.0, asked.points, MISSING, said="Its cell is not in the notebook."
            ), None
        cases = seeded_inputs(asked, seed_of(self.seed, asked.id))
        example = example_of(asked)
        try:
            kernel.ready()
            ran = kernel.run(answer.cell.source, self.limits.cell_s)
            found = kernel.ask(f"course_asked.answer({list(answer.names)!r})", self.limits.cell_s)
        except KernelGone as gone:
            words = "did not come to an end in time" if gone.late else "ended the kernel"
            notes.append(f"{asked.id}: its cell {words}; the others ran in a fresh one")
            return unanswered(asked, f"Running its cell {words}."), gone
        name = found.get("name")
        if not isinstance(name, str):
            return self.unfound(asked, answer, ran.error), None
        if name not in answer.names:
            notes.append(f"{asked.id}: the answer is called {name[:60]}, not {asked.reference.__name__}")
        remote = RemoteAnswer(kernel, [*cases, example])
        return self.marked(asked, cases, example, remote, handed, notes), remote.gone

    def marked(
        self,
        asked: Question,
        cases: Sequence[tuple[Any, ...]],
        example: tuple[Any, ...],
        remote: RemoteAnswer,
        handed: Handed,
        notes: list[str],
    ) -> QuestionMark:
        found = verdict(asked, remote, cases)
        if found.blank:
            return QuestionMark(asked.id, 0.0, asked.points, BLANK, inputs=len(cases))
        shown = call(remote, example)
        said, lacking = "", name_lacking(shown.error)  # of the example only: a name can tell a hidden input
        if lacking in handed.elsewhere:
            said = f"{lacking} is defined in a cell that is not graded: move it into this exercise's cell."
            notes.append(f"{asked.id}: uses {lacking[:60]} of a cell that is not graded")
        if remote.gone:
            notes.append(f"{asked.id}: calling it ended the kernel")
        return QuestionMark(
            question_id=asked.id,
            points=found.points,
            of=asked.points,
            state=RIGHT if found.right == len(cases) else NOT_YET,
            right_inputs=found.right,
            inputs=len(cases),
            returned=what_happened(shown),
            hint=found.hint,
            said=said,
        )

    def unfound(self, asked: Question, answer: Answer, error: str) -> QuestionMark:
        if answer.cell is not None and answer.cell.blank:
            return QuestionMark(asked.id, 0.0, asked.points, BLANK)
        why = f"Running its cell raised {error}" if error else "Its cell defines no such function"
        return unanswered(asked, f"{why}; {asked.reference.__name__} was asked for.")


def unanswered(asked: Question, why: str) -> QuestionMark:
    return QuestionMark(asked.id, 0.0, asked.points, NOT_YET, said=why)


def state_of_text(text: str) -> str:
    return BLANK if text.strip() in UNWRITTEN else WRITTEN


def digest_of(submission: Submission) -> str:
    whole = hashlib.sha256()
    for name, data in sorted(submission.files.items()):
        whole.update(name.encode("utf-8", "replace") + b"\0" + hashlib.sha256(data).digest())
    whole.update("\0".join((*submission.problems, str(submission.submitted_at))).encode("utf-8", "replace"))
    return whole.hexdigest()
