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
        labels = [label_of(name, control) for name, control in controls.items()]
        label_px = min(190, round(max(map(style.text_width_px, labels)) + 14))
        rows = []
        for name, control in controls.items():
            widget = _widget(label_of(name, control), control, values[name], label_px)
            self.widgets[name] = widget
            parts = [widget]
            if isinstance(control, Slider):
                self.readouts[name] = widgets.HTML(
                    layout=widgets.Layout(flex="0 0 124px", margin="0 0 0 8px")
                )
                parts.append(self.readouts[name])
            rows.append(widgets.HBox(parts, layout=widgets.Layout(align_items="center", width="100%")))
            widget.observe(self._observer(name), names="value")
        self.set(values)
        columns = "repeat(auto-fill, minmax(min(380px, 100%), 1fr))"
        self.box = widgets.GridBox(
            rows, layout=widgets.Layout(grid_template_columns=columns, grid_gap="0 20px", margin="0 0 8px 0")
        )

    def _observer(self, name: str):
        def moved(change):
            if self._setting:
                return
            control = self.controls[name]
            # On display, the page moves a handle to its nearest stop: that is not the reader's doing.
            if isinstance(control, Slider) and control.same_stop(change["new"], self._values[name]):
                return
            self._values[name] = value = control.snap(change["new"])
            # The chart first: each message before it delays the curve by milliseconds.
            try:
                self._changed(name, value)
            finally:
                self._write(name, value)

        return moved

    def set(self, values: dict) -> None:
        """Show values without reporting them as changes."""
        self._setting = True
        try:
            self._values = dict(values)
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


def _widget(label: str, control: Control, value, label_px: int) -> widgets.Widget:
    shared = {
        "description": label,
        "style": {"description_width": f"{label_px}px"},
        "layout": widgets.Layout(flex="1 1 0", width="auto", min_width="0"),
    }
    if isinstance(control, Choice):
        return widgets.Dropdown(options=list(control.shown.items()), value=value, **shared)
    if isinstance(control, Toggle):
        return widgets.Checkbox(value=value, indent=True, **shared)
    shared |= {"readout": False, "continuous_update": True}
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
