"""The parts of a plan: what a trace asks for, what can be combined, what nothing beats, what holds when simulated.

Where a module and its main function share a name (`demand`, `candidates`, `screening`), the name means the module.
"""

from course_utils.lazy import front_door

_HOME = {
    "Api": "apis",
    "ApiOffer": "apis",
    "api_offers": "apis",
    "hosts": "apis",
    "Candidates": "candidates",
    "Requirements": "candidates",
    "Space": "candidates",
    "Demand": "demand",
    "prefix_hits": "demand",
    "Figure": "options",
    "Option": "options",
    "Floors": "screening",
    "floors": "screening",
    "Supply": "supply",
    "supplies": "supply",
    "Quality": "variants",
    "quality_of": "variants",
    "recoveries": "variants",
}
_MODULES = (
    "apis",
    "candidates",
    "confirming",
    "demand",
    "options",
    "reasons",
    "screening",
    "search",
    "supply",
    "variants",
)
__all__ = sorted([*_HOME, *_MODULES])
__getattr__, __dir__ = front_door(__name__, _HOME, _MODULES)
