"""Front doors of packages: names arrive on first use, and a wrong one is told the right ones."""

import subprocess
import sys

import pytest

from course_utils.lazy import front_door


def test_a_name_is_fetched_from_its_module_and_a_module_is_itself():
    get, _ = front_door("json", {"JSONDecoder": "decoder"}, ("encoder",))
    assert get("JSONDecoder").__module__ == "json.decoder"
    assert get("encoder").__name__ == "json.encoder"


def test_a_name_that_is_none_is_told_which_there_are():
    get, _ = front_door("json", {"JSONDecoder": "decoder"}, ("encoder",))
    with pytest.raises(
        AttributeError, match="'json' has no attribute 'nonsense'; it has JSONDecoder, encoder"
    ):
        get("nonsense")


def test_names_are_listed_before_they_are_loaded():
    _, names = front_door("json", {"JSONDecoder": "decoder"}, ("tool",))
    assert {"JSONDecoder", "tool", "dumps"} <= set(names())


@pytest.mark.parametrize(
    "package", ["compress", "estimate", "measure", "decide", "cache", "scale", "explore"]
)
def test_a_package_opens_without_loading_what_is_behind_its_door(package):
    code = (
        f"import sys, course_utils.{package} as door\n"
        "heavy = {'torch', 'pandas', 'scipy', 'plotly', 'matplotlib', 'transformers'} & set(sys.modules)\n"
        "assert set(door.__all__) <= set(dir(door))\n"
        "sys.exit(' '.join(heavy) or 0)\n"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False, stderr=subprocess.PIPE).stderr == b""
