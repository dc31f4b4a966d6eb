"""The thirteen chapters: the one place that knows the titles of those not written yet."""

from collections.abc import Sequence

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
                f"| {number:02} | [{course.title}]({master.name}.ipynb) | {course.minutes} | "
                f"{course.memory_mb} MB | {TIER_WORDS[course.tier]} |"
            )
        else:
            rows.append(f"| {number:02} | {COMING[number]} | coming | | |")
    return "\n".join(rows)


def neighbours(master: Master, masters: Sequence[Master]) -> str:
    """ "Previous: … · Next: …" as Markdown; a chapter not written yet is named without a link."""
    written = {other.number: other for other in masters}

    def named(word: str, number: int) -> str:
        if number in written:
            return f"{word}: [{written[number].course.title}]({written[number].name}.ipynb)"
        return f"{word}: {COMING[number]} (coming)" if 0 <= number < len(COMING) else ""

    both = (named("Previous", master.number - 1), named("Next", master.number + 1))
    return " · ".join(part for part in both if part)
