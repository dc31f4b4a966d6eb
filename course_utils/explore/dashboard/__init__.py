"""One page for people who don't read notebooks: what serving costs, how long users wait, and what would be better.

    make dashboard

Inputs are plain data (`inputs`), the figures a function of them (`answers`); `page` puts both into widgets, and Voilà
serves it on this machine alone (`python -m course_utils.explore.dashboard`).
"""

from course_utils.lazy import front_door

_HOME = {
    "Answer": "answers",
    "answer": "answers",
    "Inputs": "inputs",
    "from_query": "inputs",
    "to_query": "inputs",
    "Page": "page",
    "read_config_upload": "uploads",
    "read_trace_upload": "uploads",
}
__all__ = sorted(_HOME)
__getattr__, __dir__ = front_door(__name__, _HOME)
