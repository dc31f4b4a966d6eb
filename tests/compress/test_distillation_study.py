"""The study: every way and seed, the student alone at equal compute too, measured on a text of a few sentences."""

import numpy as np
import pytest
import torch

from course_utils.compress import distillation_study
from course_utils.compress.distillation_lesson import QUARTER, empty_folder, of_text
from course_utils.compress.distillation_results import study
from course_utils.compress.distillation_study import STEPS, WAYS, Case, cases, measure, plan_of_study
from course_utils.measure import load

DOCUMENTS = tuple(f"def part_{n}(path)\n\nRead part {n} of a file and return its lines.\n" for n in range(40))


@pytest.fixture(scope="module")
def lesson():
    return of_text(load("tiny", device="cpu"), QUARTER, DOCUMENTS, held_out_rows=2, length=32)


def test_every_way_has_three_seeds_at_every_budget_and_alone_the_longer_run_too():
    plan = plan_of_study(0)
    for way in WAYS:
        for budget in STEPS:
            seeds = [case.seed for case in plan if case.way == way and case.budget == budget == case.steps]
            assert sorted(seeds) == [1, 2, 3]
    longer = {case.steps for case in plan if case.way == "alone" and case.steps != case.budget}
    assert longer == {distillation_study.steps_at_equal_compute(steps) for steps in STEPS}
    assert len({case.key for case in plan}) == len(plan)
    assert {key for key, _ in cases(0)} == {case.key for case in plan} | {"teacher"}


def test_another_seed_is_another_study():
    assert not {case.seed for case in plan_of_study(0)} & {case.seed for case in plan_of_study(100)}


def test_the_student_has_a_quarter_of_the_teachers_weights(lesson, monkeypatch, tmp_path):
    monkeypatch.setenv("COURSE_CACHE", str(tmp_path))
    row = measure(Case("pruned, distilled", 2, 1, 2), lesson)
    teacher = sum(p.numel() for p in lesson.teacher.parameters())
    assert 0.2 < row["parameters"] / teacher < 0.3
    assert row["evaluations"][-1] == [2, row["held_out"]]
    assert np.isfinite(row["held_out"])
    assert not list((tmp_path / "distillation").iterdir())  # its checkpoints are gone


def test_the_same_case_gives_the_same_row(lesson, monkeypatch, tmp_path):
    monkeypatch.setenv("COURSE_CACHE", str(tmp_path))
    one, other = ({**measure(Case("distilled", 2, 1, 2), lesson), "seconds": 0} for _ in range(2))
    assert one == other


def test_a_taught_run_costs_the_teachers_forward_passes(lesson, monkeypatch, tmp_path):
    monkeypatch.setenv("COURSE_CACHE", str(tmp_path))
    alone, taught = (measure(Case(way, 2, 1, 2), lesson)["flop"] for way in ("alone", "distilled"))
    assert 2 < taught / alone < 2.6


def test_text_is_ids_with_a_start_before_every_document_and_always_in_one_order(lesson):
    starts = np.flatnonzero(lesson.tokens == lesson.start)
    assert len(starts) == len(DOCUMENTS)
    first = lesson.tokens[1 : starts[1]].tolist()
    assert lesson.tokenizer.decode(first) in DOCUMENTS
    again = of_text(load("tiny", device="cpu"), QUARTER, DOCUMENTS, 2, 32)
    assert np.array_equal(again.tokens, lesson.tokens)
    assert lesson.held_out.shape == (2, 32)


def test_calibration_rows_are_of_the_text_and_differ_by_seed(lesson):
    one, same, other = (torch.cat(lesson.calibration(8, seed)) for seed in (1, 1, 2))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)
    assert one.shape == (8, 32)


def test_a_folder_for_checkpoints_is_empty(monkeypatch, tmp_path):
    monkeypatch.setenv("COURSE_CACHE", str(tmp_path))
    (empty_folder("here") / "old").write_text("")
    assert not list(empty_folder("here").iterdir())


def test_what_was_recorded_is_this_study():
    """Recorded runs are those that `course record distillation` makes today."""
    found = study()
    assert set(found.ways) == set(WAYS)
    assert found.budgets == sorted(STEPS)
    for equal in ("tokens", "compute"):
        assert found.gain("distilled", STEPS[-1], equal).seeds == 3
    assert (found.runs.held_out < found.runs.held_out_before).all()  # everybody has learned something
