"""The practice questions, one module per chapter (`ch01.py`), loaded when one of its questions is asked for.

A module defines `QUESTIONS`, a tuple of `course_utils.grading.Question`.
"""

import pkgutil


def chapters() -> tuple[str, ...]:
    """Names of the chapters that have questions: `("ch00", "ch01", ...)`."""
    return tuple(
        sorted(module.name for module in pkgutil.iter_modules(__path__) if module.name.startswith("ch"))
    )
