"""Names in published tables, as catalog names, where the catalog can't tell what the table meant."""

from functools import cache

from course_utils.catalog.accelerators import Accelerator, accelerator
from course_utils.catalog.models import ModelShape, model

# Splitwise's table has Llama 2 without its number.
_MODELS = {"llama 70b": "Llama-2-70B"}
# No table here measures the 40 GB card.
_GPUS = {"a100": "A100 SXM 80GB"}


@cache
def table_model(name: str) -> ModelShape:
    """The shape that a table's model name means. ValueError for one that the catalog lacks."""
    return model(_MODELS.get(name.casefold(), name))


@cache
def table_gpu(name: str) -> Accelerator:
    """The chip that a table's name means. ValueError for one that the catalog lacks."""
    plain = name.replace("\u2011", "-").strip()
    return accelerator(_GPUS.get(plain.casefold(), plain))
