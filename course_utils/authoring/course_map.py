"""The map of the course: chapter 00 has it as `{{course_map}}`, the README between two comments.

Titles and minutes are the masters'; what a chapter promises, and which chapters come first, is said here.
"""

from collections.abc import Sequence

from course_utils.authoring.house import House, replaced_block
from course_utils.authoring.masters import Master

# Used until a master of that number exists; from then on its header counts.
COMING = (
    "Start here",
    "Cost estimation",
    "Compute selection",
    "INT8",
    "INT4: GPTQ and AWQ",
    "Pruning",
    "Distillation",
    "KV cache",
    "Prompt and semantic caching",
    "Queues and batching",
    "Scaling out",
    "Build or buy",
    "Lab: benchmark and test",
)

# A working day each, exercises included. The first: the machine, the bill, the chip (nine others name 02) and the
# crowd. The second: the change that most teams make first, the decision, and the lab that puts all of it to the test.
FIRST_DAY, SECOND_DAY = (0, 1, 2, 9), (3, 11, 12)
MARK = "●"

# What a reader of the README is promised, by chapter: "You will …".
PROMISES = {
    0: "measure how fast your machine could write at most, and time it honestly",
    1: "turn a request log into a bill, and a bill into next year's band",
    2: "predict speed and price of any model on any chip, with an interval; spot or reserved; energy",
    3: "round a real model to 8 bits, bound what it loses, measure what it gains, say when it is slower",
    4: "go to 4 bits and 3: groups, NF4, GPTQ column by column, AWQ, and the front of quality, size and price",
    5: "see why zeros aren't speed, and which cuts are",
    6: "teach a small model, count the teacher's work too, and find the day on which it pays",
    7: "work out how many users fit, and shrink, page and park what they hold",
    8: "pay for a prefix once; serve old answers without serving wrong ones",
    9: "find the knee before your users do; batch, chunk, refuse and retry without melting down",
    10: "route, scale and lose replicas in a simulator, and see a real Ray cluster do what it said",
    11: "weigh API, endpoint and own machines over three years, people included, and write the memo",
    12: "benchmark quantization levels for quality, latency and cost, and defend a choice under your own limits",
}

BEGIN, END = "<!-- map: `course notebooks` writes this -->", "<!-- end of map -->"

TIER_WORDS = {
    "cpu": "any CPU",
    "gpu": "a GPU, or this machine's CPU with smaller models",
    "replay": "any CPU, with recorded GPU runs",
}


def course_map(masters: Sequence[Master]) -> str:
    """All chapters as a Markdown table, those not written yet marked "coming"."""
    written = {master.number: master for master in masters}
    rows = ["| | Chapter | Minutes | Memory | Runs on |", "|---|---|---|---|---|"]
    for number in sorted({*range(len(COMING)), *written}):
        if number in written:
            master = written[number]
            course = master.course
            rows.append(
                f"| {_marked(number)} | [{course.title}]({master.name}.ipynb) | {course.minutes} | "
                f"{course.memory_mb} MB | {TIER_WORDS[course.tier]} |"
            )
        else:
            rows.append(f"| {number:02} | {COMING[number]} | coming | | |")
    return "\n".join(rows) + f"\n\n{hours(masters)}" * (set(FIRST_DAY) <= set(written))


def readme_map(masters: Sequence[Master]) -> str:
    """The README's table: chapter, minutes, promise. ValueError for a chapter that PROMISES lacks."""
    rows = ["| | Chapter | Minutes | You will |", "|---|---|--:|---|"]
    for master in masters:
        if master.number not in PROMISES:
            raise ValueError(
                f"PROMISES in course_map.py lacks chapter {master.number}: what will its reader do?"
            )
        # GitHub's narrow column would break the mark off.
        number = _marked(master.number).replace(" ", "&nbsp;")
        link = f"[{master.course.title}](notebooks/{master.name}.ipynb)"
        rows.append(f"| {number} | {link} | {master.course.minutes} | {PROMISES[master.number]} |")
    return "\n".join(rows) + f"\n\n{hours(masters)}"


def hours(masters: Sequence[Master]) -> str:
    """What the course takes, exercises included, in two sentences."""
    minutes = {master.number: master.course.minutes for master in masters}

    def total(numbers: Sequence[int]) -> str:
        whole, rest = divmod(sum(minutes[number] for number in numbers if number in minutes), 60)
        return f"{whole} h {rest} min" if rest else f"{whole} h"

    *first, last = (f"{number:02}" for number in SECOND_DAY)
    return (
        f"{MARK} **One day?** Take the core path: {total(FIRST_DAY)}. A second day: {', '.join(first)} and {last} "
        f"({total(SECOND_DAY)}). All {len(minutes)} chapters: {total(tuple(minutes))}."
    )


def readme(house: House, masters: Sequence[Master]) -> str | None:
    """The README's text with its map as the masters say; None where no map stands in it."""
    path = house.root / "README.md"
    text = path.read_text("utf-8") if path.is_file() else ""
    if BEGIN not in text:
        return None
    return replaced_block(text, BEGIN, END, readme_map(masters), "README.md")


def _marked(number: int) -> str:
    return f"{number:02} {MARK}" if number in FIRST_DAY else f"{number:02}"


def neighbours(master: Master, masters: Sequence[Master]) -> str:
    """ "Previous: … · Next: …" as Markdown; a chapter not written yet is named without a link."""
    written = {other.number: other for other in masters}

    def named(word: str, number: int) -> str:
        if number in written:
            return f"{word}: [{written[number].course.title}]({written[number].name}.ipynb)"
        return f"{word}: {COMING[number]} (coming)" if 0 <= number < len(COMING) else ""

    both = (named("Previous", master.number - 1), named("Next", master.number + 1))
    return " · ".join(part for part in both if part)
