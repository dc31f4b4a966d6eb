"""Where there is no browser, these tests fail, and say how to get one."""

import runpy
from pathlib import Path

import pytest

pytestmark = pytest.mark.browser


def test_without_a_browser_the_way_to_one_is_told(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    chromium_path = runpy.run_path(str(Path(__file__).with_name("conftest.py")))["chromium_path"]
    with pytest.raises(RuntimeError, match="sudo apt-get install chromium"):
        chromium_path()
