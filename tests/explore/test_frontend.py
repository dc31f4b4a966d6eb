"""Which front end is there."""

import sys
import types

import pytest

from course_utils.explore import frontend


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch):
    monkeypatch.delenv("COURSE_FRONTEND", raising=False)
    monkeypatch.delitem(sys.modules, "google.colab", raising=False)


def test_it_is_lab_where_nothing_says_otherwise():
    assert frontend() == "lab"


def test_colab_is_known_by_its_module(monkeypatch):
    monkeypatch.setitem(sys.modules, "google.colab", types.ModuleType("google.colab"))
    assert frontend() == "colab"


@pytest.mark.parametrize("name", ["lab", "colab", "static", " Static "])
def test_the_environment_overrides_what_is_there(monkeypatch, name):
    monkeypatch.setitem(sys.modules, "google.colab", types.ModuleType("google.colab"))
    monkeypatch.setenv("COURSE_FRONTEND", name)
    assert frontend() == name.strip().lower()


def test_an_unknown_front_end_is_refused(monkeypatch):
    monkeypatch.setenv("COURSE_FRONTEND", "kaggle")
    with pytest.raises(ValueError, match="COURSE_FRONTEND is 'kaggle', expected one of lab, colab, static"):
        frontend()
