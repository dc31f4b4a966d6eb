"""What one submission earned: a mark for each question, and what its feedback may say."""

from dataclasses import dataclass
from datetime import datetime

RIGHT, NOT_YET, BLANK, MISSING, WRITTEN = "right", "not yet", "not attempted", "missing", "to be marked"


@dataclass(frozen=True)
class QuestionMark:
    """What one question earned, and what its feedback may say.

    right_inputs of inputs: how many of the hidden inputs came out right. example, returned: arguments that
    may be shown and what the function did with them. hint: of the misconception that it looks like.
    """

    question_id: str
    points: float
    of: float
    state: str
    right_inputs: int = 0
    inputs: int = 0
    returned: str = ""
    hint: str = ""
    said: str = ""


@dataclass(frozen=True)
class Graded:
    """One student's result.

    digest: of all that was handed in, and when. notes: for the instructor. written: the texts that a person marks,
    by question. sources: the cells that were run, by grade id.
    """

    student: str
    lab_id: str
    digest: str
    marks: tuple[QuestionMark, ...]
    notes: tuple[str, ...]
    submitted_at: datetime | None
    lost_share: float
    seconds: float
    written: dict[str, str]
    sources: dict[str, str]

    @property
    def raw(self) -> float:
        return sum(mark.points for mark in self.marks)

    @property
    def late_penalty(self) -> float:
        return round(self.raw * self.lost_share, 2)

    @property
    def score(self) -> float:
        return round(self.raw - self.late_penalty, 2)

    @property
    def of(self) -> float:
        return sum(mark.of for mark in self.marks)
