"""Let me move it: charts and explorers, drawn the same way in every front end.

A chapter says *what* to draw (a `View` of `Line`, `Points` and `Bars` on a `Chart`) and what can move
(`Slider`, `Choice`, `Toggle`). Which library draws it depends on where the notebook runs (`frontend()`).
"""

# Eager and light. Lazily, the submodule of the same name would hide the function once anything imports it.
from course_utils.explore.frontend import frontend
from course_utils.lazy import front_door

# Loaded on first use: the drawing libraries cost a second that `import course_utils` must not pay.
_HOME = {
    "Bars": "views",
    "Chart": "views",
    "Line": "views",
    "Points": "views",
    "View": "views",
    "describe": "views",
    "Choice": "controls",
    "Slider": "controls",
    "Toggle": "controls",
    "Explorer": "explorers",
    "explorer": "explorers",
    "save_png": "charts",
    "show": "charts",
}
__all__ = [*_HOME, "frontend"]
__getattr__, __dir__ = front_door(__name__, _HOME)
