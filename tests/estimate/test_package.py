"""The package's front door: every name is behind it, and it loads nothing that isn't used."""

import subprocess
import sys
from importlib import import_module
from types import ModuleType

from course_utils import estimate
from course_utils.catalog import model


def test_every_name_on_the_door_opens():
    for name in estimate.__all__:
        assert getattr(estimate, name) is not None


def test_a_module_is_never_shadowed_by_its_function_nor_a_function_by_its_module():
    for name in estimate._MODULES:
        assert isinstance(getattr(estimate, name), ModuleType)
    for name, home in estimate._HOME.items():
        assert name not in estimate._MODULES
        found = getattr(estimate, name)
        assert not isinstance(found, ModuleType)
        assert found is getattr(import_module(f"course_utils.estimate.{home}"), name)


def test_the_cost_model_is_behind_the_door():
    shape, recipe = model("Llama-3.1-8B"), "bf16"
    assert estimate.weights_bytes(shape, recipe) > 1.6e10
    assert estimate.predict.predict(shape.name, "H100 SXM").tpot_ms > 0


def test_one_request_is_priced_without_pandas_or_scipy():
    code = (
        "import sys\n"
        "from course_utils.estimate import Usage, request_cost\n"
        "from course_utils.catalog.api_prices import ApiPrice\n"
        "price = ApiPrice(model='m', provider='p', input_usd_per_mtok=2, output_usd_per_mtok=8,"
        " source='contract', as_of='2026-11-01')\n"
        "assert request_cost(price, Usage(1000, output_tokens=100)).total_usd == 0.0028\n"
        "sys.exit(bool({'pandas', 'scipy', 'genai_prices'} & set(sys.modules)))\n"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
