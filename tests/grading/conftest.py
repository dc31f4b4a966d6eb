import pytest

from tests.grading.room import Room, make_room


@pytest.fixture
def room(tmp_path) -> Room:
    """A small graded lab, and a folder to hand in to."""
    return make_room(tmp_path)
