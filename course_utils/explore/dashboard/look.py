"""How the page looks: its style sheet, and an answer as HTML."""

import base64
import html

from course_utils.explore import style
from course_utils.explore.dashboard.answers import PERCENTS, Answer, Ranged

_NAMES = {"TTFT": "First token", "TPOT": "Each further token", "E2E": "Whole answer"}


def headline(found: Answer) -> str:
    """The answer in a sentence: what runs, what it costs, how long people wait, whether it keeps up."""
    asked, chips = found.inputs, found.inputs.chips * found.inputs.replicas
    first = found.latency_s["TTFT"][95]
    serves = f"{found.model} on {chips} {asked.chip} costs ${found.usd_per_month:,.0f} a month"
    if found.load > 1:
        return (
            f"{serves}, and can't keep up: {_count(found.requests_per_day)} requests a day are "
            f"{found.load:.2g} times what it serves. {found.replicas_needed.value:,.0f} copies would do."
        )
    return (
        f"{serves} and serves {_count(found.requests_per_day)} requests a day: "
        f"95 % of people see a first word within {_seconds(first.value)}."
    )


def figures_html(found: Answer) -> str:
    """The answer in a sentence, tiles of what people ask for first, waiting times, what the figures rest on."""
    capacity, needed = found.capacity_per_day, found.replicas_needed
    tiles = [
        (
            "Cost a month",
            f"${found.usd_per_month:,.0f}",
            f"${found.usd_per_chip_hour:,.2f} per chip and hour",
        ),
        ("Per million tokens out", f"${found.usd_per_mtok_out:,.2f}", "at this traffic"),
        (
            "Per 1,000 requests",
            f"${found.usd_per_1000_requests:,.2f}",
            f"{_count(found.requests_per_day)} a day",
        ),
        ("Load", f"{found.load:.0%}", f"of {_count(capacity.value)} a day {_ends(capacity, _count)}"),
        ("Copies needed", f"{needed.value:,.0f}", _ends(needed, "{:,.0f}".format)),
    ]
    shown = "".join(
        f"<div><dt>{name}</dt><dd>{value}</dd><dd class='course-quiet'>{html.escape(more)}</dd></div>"
        for name, value, more in tiles
    )
    said = f'<p class="course-headline">{html.escape(headline(found))}</p>'
    return f'{said}<dl class="course-tiles">{shown}</dl>{_latency_table(found)}{_grounds(found)}'


def _latency_table(found: Answer) -> str:
    head = "".join(f"<th>{'half' if percent == 50 else f'{percent} %'}</th>" for percent in PERCENTS)
    body = "".join(
        f"<tr><th>{_NAMES[name]}</th>"
        + "".join(
            f"<td>{_seconds(one.value)} <span class='course-quiet'>{_ends(one, _seconds)}</span></td>"
            for one in levels.values()
        )
        + "</tr>"
        for name, levels in found.latency_s.items()
        if levels
    )
    return f"<table class='course-waits'><thead><tr><th>So many wait at most</th>{head}</tr></thead>{body}</table>"


def _grounds(found: Answer) -> str:
    over = f"Overloaded: the waits are those of the first {found.simulated:,} requests and grow on. "
    text = (
        f"{over if found.load > 1 else ''}{found.label}. Price: {found.price_source}; 730 hours a month, chips on all "
        f"the time. Traffic: {found.traffic.origin}."
    )
    return f'<p class="course-quiet course-grounds">{html.escape(text)}</p>'


def rows_html(columns, rows) -> str:
    """A table of texts."""
    head = "".join(f"<th>{html.escape(name)}</th>" for name in columns)
    body = "".join(
        "<tr>" + "".join(f"<td>{html.escape(text)}</td>" for text in row) + "</tr>" for row in rows
    )
    table = f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
    return f'<div class="course-wide" tabindex="0" role="region" aria-label="Ranking">{table}</div>'


def problem_html(text: str) -> str:
    """One sentence that can't be overlooked, and is read out."""
    text = " ".join(text.split())
    text = f"{text[:1].upper()}{text[1:]}"
    return f'<p class="course-problem" role="alert">{html.escape(text)}</p>'


def link(text: str, file: str, kind: str, content: str) -> str:
    """An HTML link that saves `content` as `file`."""
    packed = base64.b64encode(content.encode()).decode()
    return f'<a class="course-save" download="{file}" href="data:{kind};charset=utf-8;base64,{packed}">{text}</a>'


def _ends(one: Ranged, form) -> str:
    return f"[{form(one.low)} to {form(one.high)}]"


def _seconds(value: float) -> str:
    return f"{value * 1e3:,.3g} ms" if value < 1 else f"{value:,.3g} s" if value < 1000 else f"{value:,.0f} s"


def _count(value: float) -> str:
    """1,230,000 as 1.2 million."""
    for size, name in ((1e9, " billion"), (1e6, " million")):
        if value >= size:
            return f"{value / size:.3g}{name}"
    return f"{float(f'{value:.3g}'):,.0f}"


CSS = f"""
body[data-voila], body[data-voila] #main {{ background: {style.PAPER}; }}
.course-page {{ max-width: 1240px; margin: 0 auto; padding: 8px 20px 40px; overflow: visible; box-sizing: border-box;
  color: {style.INK}; font: {style.TEXT_PX}px/1.4 {style.FONT_CSS}; }}
.course-page .widget-html, .course-page .widget-html-content {{ height: auto; line-height: 1.4; overflow: visible;
  font: {style.TEXT_PX}px/1.4 {style.FONT_CSS}; min-width: 0; max-width: 100%; }}
.course-page .widget-html-content {{ width: 100%; }}
.course-page h1 {{ margin: 8px 0 2px; font-size: 26px; line-height: 1.2; }}
.course-page h2 {{ margin: 12px 0 4px; font-size: {style.TITLE_PX}px; line-height: 1.2; }}
.course-page p {{ margin: 2px 0 6px; }}
.course-columns {{ display: grid; gap: 8px 36px; grid-template-columns: minmax(0, 400px) minmax(0, 1fr); }}
.course-asked, .course-answered {{ overflow: visible; min-width: 0; }}
.course-quiet {{ color: {style.QUIET}; font-size: {style.TICK_PX}px; }}
.course-grounds {{ overflow-wrap: anywhere; }}
.course-stale {{ opacity: 0.45; }}
.course-problem {{ color: {style.ERROR}; font-weight: 600; }}
.course-page dl.course-tiles {{ display: grid; grid-template-columns: repeat(auto-fill, minmax(132px, 1fr));
  gap: 8px 16px; margin: 12px 0 10px; padding: 10px 0;
  border-top: 2px solid {style.INK}; border-bottom: 1px solid {style.GRID}; }}
.course-page .course-tiles dt, .course-page .course-tiles dd {{ float: none; display: block; width: auto; }}
.course-tiles dt {{ font-weight: 400; color: {style.QUIET}; font-size: {style.TICK_PX}px; }}
.course-tiles dd {{ margin: 0; font-size: 21px; font-weight: 650; line-height: 1.25; }}
.course-tiles dd.course-quiet {{ font-size: {style.NOTE_PX}px; font-weight: 400; }}
.course-page table {{ border-collapse: collapse; width: 100%; font-size: {style.TICK_PX}px; }}
.course-page th, .course-page td {{ text-align: left; padding: 4px 8px 4px 0; vertical-align: top;
  border-bottom: 1px solid {style.GRID}; font-variant-numeric: tabular-nums; }}
.course-page thead th {{ color: {style.QUIET}; font-weight: 500; }}
.course-waits td .course-quiet {{ white-space: nowrap; font-size: {style.NOTE_PX}px; }}
.course-wide {{ overflow-x: auto; max-width: 100%; }}
.course-wide table {{ min-width: 900px; }}
.course-why {{ font-size: 15px; max-width: 90ch; }}
.course-page .course-headline {{ font-size: 18px; line-height: 1.35; margin: 2px 0 10px; text-wrap: balance; }}
.course-spoken {{ position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }}
.course-upload {{ display: inline-block; padding: 5px 12px; border: 1px solid {style.AXIS}; background: {style.GRID};
  cursor: pointer; position: relative; }}
.course-upload input {{ position: absolute; inset: 0; width: 100%; opacity: 0; cursor: pointer; }}
.course-page :is(a, button, input, select, .noUi-handle, .course-wide):focus-visible, .course-upload:focus-within {{
  outline: 3px solid {style.PALETTE[0]} !important; outline-offset: 2px; }}
.course-page .course-save {{ display: inline-block; margin: 4px 18px 4px 0; color: {style.PALETTE[0]};
  text-decoration: underline; }}
.course-address {{ display: flex; gap: 8px; margin: 4px 0 8px; }}
.course-address input {{ flex: 1 1 0; min-width: 0; padding: 5px 8px; border: 1px solid {style.AXIS};
  color: {style.QUIET}; background: {style.PAPER}; font: {style.TICK_PX}px {style.FONT_CSS}; }}
.course-address button {{ padding: 5px 12px; border: 1px solid {style.AXIS}; background: {style.GRID};
  color: {style.INK}; font: {style.TEXT_PX}px {style.FONT_CSS}; cursor: pointer; }}
@media (max-width: 900px) {{
  .course-page {{ padding: 4px 12px 32px; }}
  .course-columns {{ grid-template-columns: minmax(0, 1fr); }}
  .course-waits td .course-quiet {{ white-space: normal; }}
}}
"""
