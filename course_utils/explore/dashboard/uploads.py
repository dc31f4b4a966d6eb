"""Files that a visitor uploads: a trace, a `config.json`. What is wrong with one is said in one sentence."""

import tempfile
from pathlib import Path

from course_utils.catalog.models import ModelShape, model
from course_utils.scale.traffic import Traffic
from course_utils.scale.traffic_files import read_traffic


def read_trace_upload(name: str, content: bytes) -> Traffic:
    """Requests from an uploaded file in any layout that `read_traffic` takes. ValueError in one sentence."""
    with tempfile.TemporaryDirectory() as folder:
        return read_traffic(_written(Path(folder), name, content))


def read_config_upload(name: str, content: bytes) -> ModelShape:
    """The shape in an uploaded `config.json`. ValueError in one sentence."""
    with tempfile.TemporaryDirectory() as folder:
        return model(_written(Path(folder), Path(name).stem + ".json", content))


def _written(folder: Path, name: str, content: bytes) -> Path:
    """The upload under its own last name: a visitor can't choose a folder."""
    path = folder / (Path(name.replace("\\", "/")).name or "upload")
    path.write_bytes(content)
    return path
