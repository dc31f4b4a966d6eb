"""Grade everybody: on all cores by joblib, on a Ray cluster by its backend, from where the last run stopped."""

import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from itertools import islice
from pathlib import Path

from course_utils.grading.answers import lab_of
from course_utils.grading.feedback_page import write_feedback
from course_utils.grading.grader import Grader, digest_of
from course_utils.grading.marks import Graded
from course_utils.grading.results import Results
from course_utils.grading.submissions import Place, find_submissions, read_submission, with_times

RAY_BATCH = 64  # submissions; an interruption loses the marks of one batch
MOST_LOOKED_AT = 20  # notebooks, for the lab that they belong to


def handed_in(where: Path, lab_id: str = "", times: Path | None = None) -> tuple[tuple[Place, ...], str]:
    """Everybody's place, and the lab: as given (`1`, `01`, `ch01`), or read from the first notebooks."""
    if lab_id:
        lab_id = f"ch{int(lab_id.removeprefix('ch')):02}" if lab_id.removeprefix("ch").isdigit() else lab_id
    else:
        first = (read_submission(place) for place in find_submissions(where)[:MOST_LOOKED_AT])
        lab_id = lab_of(data for one in first for name, data in one.files.items() if name.endswith(".ipynb"))
    places = find_submissions(where, lab_id)
    return (with_times(places, times) if times else places), lab_id


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
    jobs: processes, -1 for one per core. on_ray: on the cluster of RAY_ADDRESS, whose machines must see the
    submissions and the pack under the same paths, or a Ray started here.
    """
    waiting = [place for place in places if not results.has(place.student, digest_of(read_submission(place)))]
    for graded in graded_as_they_come(grader, waiting, jobs, on_ray):
        results.add(graded)
        if feedback is not None:
            write_feedback(feedback, graded, grader.lab)
        done(graded)
    return len(waiting)


def graded_as_they_come(grader: Grader, places: Sequence[Place], jobs: int, on_ray: bool) -> Iterator[Graded]:
    """Results in the order in which they are ready; on Ray, whose backend gives lists only, batch by batch."""
    import joblib

    tasks = (joblib.delayed(grade_one)(grader, place, os.getpid()) for place in places)
    if not on_ray:
        yield from joblib.Parallel(n_jobs=jobs, batch_size=1, return_as="generator_unordered")(tasks)
        return
    from course_utils.scale.cluster.runtime import ray_runtime

    with ray_runtime():
        from ray.util.joblib import register_ray

        register_ray()
        with joblib.parallel_config("ray"), joblib.Parallel(n_jobs=jobs) as run:
            while some := list(islice(tasks, RAY_BATCH)):
                yield from run(some)


def grade_one(grader: Grader, place: Place, main_pid: int) -> Graded:
    """`grader.grade` in a process of its own that ends with the main one, also when that is killed."""
    if os.getppid() == main_pid:
        end_with(main_pid)
    return grader.grade(place)


@cache
def end_with(parent_pid: int) -> None:
    """From now on this process watches its parent. joblib's workers outlive a killed one by minutes."""

    def watch() -> None:
        while os.getppid() == parent_pid:
            time.sleep(0.5)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
