"""What is true, says who, as of when: accelerators, prices and model shapes, each with its source and date.

Standard library only, and no file is read before a function asks for it. The names are bound here at once,
not on first use: a module and its function share a name (`accelerators`), and importing the module later
would otherwise hide the function.
"""

from course_utils.catalog.accelerators import Accelerator, accelerator, accelerators
from course_utils.catalog.api_prices import ApiPrice, api_price, api_prices
from course_utils.catalog.gpu_prices import GpuPrice, cheapest, gpu_prices
from course_utils.catalog.models import ModelShape, model, models
from course_utils.catalog.provenance import (
    Finding,
    assumed,
    audit,
    data_path,
    measured_here,
    predicted,
    published,
    read_rows,
    recorded,
)

__all__ = [
    "Accelerator",
    "ApiPrice",
    "Finding",
    "GpuPrice",
    "ModelShape",
    "accelerator",
    "accelerators",
    "api_price",
    "api_prices",
    "assumed",
    "audit",
    "cheapest",
    "data_path",
    "gpu_prices",
    "measured_here",
    "model",
    "models",
    "predicted",
    "published",
    "read_rows",
    "recorded",
]
