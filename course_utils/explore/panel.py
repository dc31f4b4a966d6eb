"""The controls as widgets: a label, the control, a readout with its unit. Works from ipywidgets 7.7 on."""

import html
import math
from collections.abc import Callable

import ipywidgets as widgets

from course_utils.explore import style
from course_utils.explore.controls import LOG_STEPS_PER_DECADE, Choice, Control, Slider, Toggle, label_of


class Panel:
    """Widgets for controls. `changed(name, value)` is called when the reader moves one, not when `set` does."""

    def __init__(self, controls: dict[str, Control], values: dict, changed: Callable[[str, object], None]):
        self.controls = controls
        self.widgets: dict[str, widgets.Widget] = {}
        self.readouts: dict[str, widgets.HTML] = {}
        self._changed = changed
        self._setting = False
        rows = []
        for name, control in controls.items():
            widget = _widget(label_of(name, control), control, values[name])
            self.widgets[name] = widget
            parts = [widget]
            if isinstance(control, Slider):
                self.readouts[name] = widgets.HTML(layout=widgets.Layout(width="118px", margin="0 0 0 6px"))
                parts.append(self.readouts[name])
            rows.append(widgets.HBox(parts, layout=widgets.Layout(align_items="center", min_width="0")))
            widget.observe(self._observer(name), names="value")
        self.set(values)
        self.box = widgets.Box(
            rows,
            layout=widgets.Layout(
                display="flex", flex_flow="row wrap", grid_gap="2px 20px", margin="0 0 6px 0"
            ),
        )

    def _observer(self, name: str):
        def moved(change):
            if self._setting:
                return
            value = self.controls[name].snap(change["new"])
            self._write(name, value)
            self._changed(name, value)

        return moved

    def set(self, values: dict) -> None:
        """Show values without reporting them as changes."""
        self._setting = True
        try:
            for name, value in values.items():
                if self.widgets[name].value != value:
                    self.widgets[name].value = value
                self._write(name, value)
        finally:
            self._setting = False

    def _write(self, name: str, value) -> None:
        if name in self.readouts:
            text = html.escape(self.controls[name].text(value))
            self.readouts[name].value = (
                f'<span style="font:{style.TEXT_PX}px {html.escape(style.FONT_CSS)};white-space:nowrap;'
                f'font-variant-numeric:tabular-nums;color:{style.INK}">{text}</span>'
            )


def _widget(label: str, control: Control, value):
    wide = {"description_width": "150px"}
    if isinstance(control, Choice):
        options = list(control.shown.items())
        return widgets.Dropdown(
            options=options, value=value, description=label, style=wide, layout=widgets.Layout(width="330px")
        )
    if isinstance(control, Toggle):
        return widgets.Checkbox(
            value=value, description=label, indent=True, style=wide, layout=widgets.Layout(width="330px")
        )
    shared = {
        "description": label,
        "readout": False,
        "continuous_update": True,
        "style": wide,
        "layout": widgets.Layout(width="330px"),
    }
    if control.log:
        return widgets.FloatLogSlider(
            value=float(value),
            base=10,
            min=math.log10(control.low),
            max=math.log10(control.high),
            step=1 / LOG_STEPS_PER_DECADE,
            **shared,
        )
    kind = widgets.IntSlider if control.whole else widgets.FloatSlider
    return kind(value=value, min=control.low, max=control.high, step=control.step_size, **shared)
