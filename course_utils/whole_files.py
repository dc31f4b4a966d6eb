"""Files that are there whole or not at all: written beside their place, then renamed."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """Yield where to write a file or a folder that takes the place of `path` when the block ends.

    Until then whoever opens `path` finds the old one; if the block raises, the old one stays and nothing is left over.
    """
    # The name ends as `path` does, since writers go by the suffix: `.gz` is compressed.
    part = path.with_name(f".{os.getpid()}.part.{path.name}")
    try:
        yield part
        if path.is_file():
            shutil.copymode(path, part)
        if path.is_dir():  # a folder's name can't be taken while it has files
            shutil.rmtree(path)
        os.replace(part, path)
    finally:
        if part.is_dir():
            shutil.rmtree(part)
        part.unlink(missing_ok=True)


def write_whole(path: Path, text: str) -> None:
    """Write a text in UTF-8, line ends as they are."""
    with whole(path) as part:
        part.write_bytes(text.encode("utf-8"))
