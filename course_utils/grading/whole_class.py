"""Grade everybody: on all cores by joblib, on a Ray cluster by its backend, from where the last run stopped."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from course_utils.grading.feedback_page import write_feedback
from course_utils.grading.grader import Graded, Grader, digest_of
from course_utils.grading.results import Results
from course_utils.grading.submissions import Place, read_submission


def grade_class(
    grader: Grader,
    places: Sequence[Place],
    results: Results,
    *,
    feedback: Path | None = None,
    jobs: int = -1,
    on_ray: bool = False,
    done: Callable[[Graded], None] = lambda graded: None,
) -> int:
    """Grade what has not been graded; how many that were comes back.

    Each result is kept, and its feedback page written into the folder `feedback`, before the next is taken in.
    jobs: processes, -1 for one per core. on_ray: on the cluster that Ray is connected to, whose machines must
    see the submissions and the pack under the same paths.
    """
    import joblib

    def waiting() -> Iterator[Place]:
        for place in places:
            if not results.has(place.student, digest_of(read_submission(place))):
                yield place

    count = 0
    with backend(on_ray):
        run = joblib.Parallel(n_jobs=jobs, batch_size=1, return_as="generator_unordered")
        for graded in run(joblib.delayed(grader.grade)(place) for place in list(waiting())):
            results.add(graded)
            if feedback is not None:
                write_feedback(feedback, graded, grader.lab)
            count += 1
            done(graded)
    return count


@contextmanager
def backend(on_ray: bool) -> Iterator[None]:
    if not on_ray:
        yield
        return
    import joblib
    from ray.util.joblib import register_ray

    register_ray()
    with joblib.parallel_config("ray"):
        yield
