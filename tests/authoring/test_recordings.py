"""`course record`: what can be measured again, by name, into data/recorded/."""

import json

import pytest
from typer.testing import CliRunner

from course_utils import cli
from course_utils.authoring import recordings
from course_utils.authoring.recordings import RECORDABLES, Recordable, recordable, run_recording
from course_utils.catalog.provenance import data_path
from course_utils.measure.recorded import recording

MEASURED = []


def squares(seed):
    """A recording of three cases; each call leaves its mark in MEASURED."""

    def case(n):
        return lambda: MEASURED.append(n) or {"square": n * n, "seed": seed}

    return [(f"n={n}", case(n)) for n in (1, 2, 3)]


def interrupted(seed):
    yield from squares(seed)[:2]
    yield "n=3", lambda: (_ for _ in ()).throw(KeyboardInterrupt)


@pytest.fixture
def registered(monkeypatch):
    MEASURED.clear()
    monkeypatch.setattr(Recordable, "cases", lambda self: globals()[self.home])
    monkeypatch.setattr(recordings, "RECORDABLES", (Recordable("squares", "n and its square", "squares"),))


def test_record_writes_every_case_with_the_command_that_repeats_it(registered, house):
    done = CliRunner().invoke(cli.app, ["record", "squares", "--seed", "7"])
    assert done.exit_code == 0, done.output
    made = json.loads((house.root / "data" / "recorded" / "squares.json").read_text())
    assert [row["square"] for row in made["rows"]] == [1, 4, 9]
    assert made["command"] == "course record squares --seed 7"


def test_an_interrupted_recording_goes_on_where_it_stopped(registered, tmp_path, monkeypatch):
    monkeypatch.setattr(Recordable, "cases", lambda self: interrupted)
    with pytest.raises(KeyboardInterrupt):
        run_recording("squares", tmp_path)
    assert not (tmp_path / "squares.json").exists()
    monkeypatch.setattr(Recordable, "cases", lambda self: squares)
    run_recording("squares", tmp_path)
    assert MEASURED == [1, 2, 3]


def test_fresh_measures_all_of_it_again(registered, tmp_path, monkeypatch):
    monkeypatch.setattr(Recordable, "cases", lambda self: interrupted)
    with pytest.raises(KeyboardInterrupt):
        run_recording("squares", tmp_path)
    monkeypatch.setattr(Recordable, "cases", lambda self: squares)
    run_recording("squares", tmp_path, fresh=True)
    assert MEASURED == [1, 2, 1, 2, 3]


def test_without_a_name_it_lists_what_there_is(registered, house):
    listed = CliRunner().invoke(cli.app, ["record"]).stdout
    assert "squares" in listed
    assert "not yet" in listed


def test_an_unknown_name_is_met_with_the_nearest_ones(registered):
    with pytest.raises(ValueError, match="NAME is 'square', expected one of squares"):
        recordable("square")


@pytest.mark.parametrize("one", RECORDABLES, ids=lambda one: one.name)
def test_what_can_be_recorded_was_recorded_and_has_its_measuring_function(one):
    assert callable(one.cases())
    assert recording(one.name).rows, f"`course record {one.name}` makes it"


def test_every_recording_in_the_repository_can_be_made_again():
    there = {path.stem for path in data_path("recorded").glob("*.json")}
    assert there == {one.name for one in RECORDABLES}
