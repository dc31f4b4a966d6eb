"""A plan on one page, for a meeting: the answer, two charts, the ranking, what it rests on. Prints as PDF.

The page is one file without scripts or links to load: pictures are inside it.
Taught in: chapter 12.
"""

import base64
import html
import math
from datetime import date
from pathlib import Path

from course_utils.decide.plan import Plan
from course_utils.decide.plan_text import COLUMNS, rows, shown, summary, text_of
from course_utils.decide.planning.options import FAILS, MEETS, UNPROVEN, Option
from course_utils.explore import charts, style
from course_utils.explore.views import Bars, Chart, Points, View, describe
from course_utils.whole_files import write_whole

_ROWS = 10


def write_page(found: Plan, path: str | Path, top: int = _ROWS) -> None:
    """Write the page to `path`."""
    write_whole(Path(path), page(found, top))


def page(found: Plan, top: int = _ROWS) -> str:
    """The page as HTML."""
    asked, winner = found.requirements, found.winner
    title = "No plan meets everything" if winner is None else _headline(found)
    pictures = "".join(_figure(*one) for one in _views(found, top))
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{html.escape(title)}</title><style>{_CSS}</style></head><body><main>
<header><p class="kicker">Serving plan · {date.today().isoformat()}</p><h1>{html.escape(title)}</h1>
<p class="why">{html.escape(found.why)}</p></header>
<dl class="facts">{_facts(found)}</dl>
<section class="charts">{pictures}</section>
<section><h2>Ranking</h2>{_table(found, top)}</section>
<section class="small"><h2>What this rests on</h2><ul>{_grounds(found, top)}</ul>
<p>{html.escape(summary(found))}. Limits: {html.escape(_limits(asked))}.</p></section>
</main></body></html>
"""


def _headline(found: Plan) -> str:
    first, settings = found.winner, found.winner.settings
    what = first.name
    if "chip" in settings:
        least, most = (settings[name] * settings["tp"] for name in ("min_replicas", "max_replicas"))
        chips = f"{least} to {most}" if least < most else str(most)
        what = f"{settings['model']} in {settings['precision']} on {chips} x {settings['chip']}, {settings['pay']}"
    return f"{what}: {first.usd_per_month.value:,.0f} USD a month"


def _facts(found: Plan) -> str:
    """The figures that people ask for first."""
    asked, first = found.asked, found.winner
    facts = [
        ("Traffic", f"{asked.requests:,} requests in {_span(asked.span_s)}"),
        (
            "Tokens a request",
            f"{asked.mean_input_tokens:,.0f} in, {asked.mean_output_tokens:,.0f} out on average",
        ),
    ]
    if first is not None:
        facts += [
            ("Cost a month, USD", text_of(first.usd_per_month, ",.0f")),
            ("TTFT p95, ms", text_of(first.ttft_p95_ms, ",.0f")),
            ("TPOT p95, ms", text_of(first.tpot_p95_ms, ".1f")),
            ("Quality", str(first.quality)),
        ]
    return "".join(
        f"<div><dt>{html.escape(name)}</dt><dd>{html.escape(text)}</dd></div>" for name, text in facts
    )


def _span(seconds: float) -> str:
    for size, name in ((86_400, "days"), (3600, "hours"), (60, "minutes")):
        if seconds >= size:
            return f"{seconds / size:,.1f} {name}"
    return f"{seconds:,.1f} seconds"


def _views(found: Plan, top: int) -> list[tuple[View, Chart]]:
    """What the best ways cost, and what more money buys."""
    listed = [one for _, one in shown(found, top)]
    if not listed:
        return []
    views = [_costs([one for one in listed if one.verdict != FAILS] or listed, found)]
    held = [one for one in found.options if one.verdict == MEETS and math.isfinite(one.tpot_p95_ms.value)]
    if len(held) > 1:
        views.append(_trade(held, found))
    return views


def _costs(listed: list[Option], found: Plan) -> tuple[View, Chart]:
    names = _distinct([_short(one) for one in listed])
    usd = [one.usd_per_month for one in listed]
    first = found.winner
    title = "Nothing that meets everything" if first is None else f"{names[0]} is the cheapest that holds"
    ends = [(figure.lo, figure.hi if math.isfinite(figure.hi) else figure.value) for figure in usd]
    bars = Bars(
        "", names, [figure.value for figure in usd], lo=[lo for lo, _ in ends], hi=[hi for _, hi in ends]
    )
    unproven = any(one.verdict == UNPROVEN for one in listed)
    note = "Lines: 80 % intervals, predicted; list prices with their day in the table."
    note += " (?) stands for what nobody states: latency, precision." if unproven else ""
    return View(title, (bars,), note), Chart("", "Cost (USD per month)")


def _trade(held: list[Option], found: Plan) -> tuple[View, Chart]:
    front = set(map(id, found.front))
    best = [one for one in held if id(one) in front][:6]
    rest = [one for one in held if id(one) not in front]
    series = [
        Points(
            "",
            [one.usd_per_month.value for one in best],
            [one.tpot_p95_ms.value for one in best],
            labels=[_short(one).rsplit(",", 1)[0] for one in best],
        )
    ]
    if rest:
        usd = [one.usd_per_month.value for one in rest]
        series.append(Points("beaten", usd, [one.tpot_p95_ms.value for one in rest]))
    cheapest, *dearer = best
    faster = any(one.tpot_p95_ms.value < cheapest.tpot_p95_ms.value for one in dearer)
    title = (
        "More money buys faster tokens" if faster else "The cheapest of these makes the fastest tokens, too"
    )
    return View(title, tuple(series), "Simulated on the trace; the named ones are beaten by none."), Chart(
        "Cost (USD per month)", "TPOT, 95th percentile (ms)", x_scale="log"
    )


def _short(one: Option) -> str:
    settings = one.settings
    doubt = " (?)" if one.verdict == UNPROVEN else ""
    if "chip" not in settings:
        return f"{one.name.split('/')[0]} API{' in batch' * ('batch' in settings['pay'])}{doubt}"
    chips = settings["chip"] if settings["tp"] == 1 else f"({settings['tp']} {settings['chip']})"
    return f"{settings['precision']}, {settings['replicas']:g} x {chips}, {settings['pay']}"


def _distinct(names: list[str]) -> list[str]:
    """The same names, numbered where one comes again."""
    return [
        f"{name} #{names[:at].count(name) + 1}" if name in names[:at] else name
        for at, name in enumerate(names)
    ]


def _figure(view: View, chart: Chart) -> str:
    picture = base64.b64encode(charts.png(view, chart)).decode()
    alt = html.escape(describe(view, chart), quote=True)
    return f'<img alt="{alt}" width="{style.WIDTH_PX}" src="data:image/png;base64,{picture}">'


def _table(found: Plan, top: int) -> str:
    head = "".join(f"<th>{html.escape(name)}</th>" for name in COLUMNS)
    verdict, body = COLUMNS.index("verdict"), []
    for row in rows(found, top):
        cells = "".join(f"<td>{_cell(text)}</td>" for text in row)
        body.append(f'<tr class="{row[verdict]}">{cells}</tr>')
    return f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(body)}</tbody></table>"


def _cell(text: str) -> str:
    """A figure's interval stands below it."""
    value, bracket, ends = html.escape(text).partition(" [")
    return f'{value}<span class="ends">{ends.rstrip("]")}</span>' if bracket else value


def _grounds(found: Plan, top: int) -> str:
    """Notes, and where the quality and the prices of the ranking come from."""
    listed = [one for _, one in shown(found, top)]
    grounds = [*found.notes]
    grounds += dict.fromkeys(f"quality: {basis}" for one in listed for basis in one.quality.basis)
    for note in dict.fromkeys(note for one in listed for note in one.notes):
        ranks = [f"#{rank}" for rank, one in shown(found, top) if note in one.notes]
        grounds.append(f"{', '.join(ranks)}: {note}")
    days = sorted({one.settings["price_as_of"] for one in listed})
    if days:
        grounds.append(
            f"list prices of {days[0]} to {days[-1]}, before tax: data/gpu_prices.csv, genai-prices"
        )
    return "".join(f"<li>{html.escape(one)}</li>" for one in grounds)


def _limits(asked) -> str:
    parts = [
        f"TTFT p95 {asked.ttft_p95_ms:g} ms" if asked.ttft_p95_ms else "",
        f"TPOT p95 {asked.tpot_p95_ms:g} ms" if asked.tpot_p95_ms else "",
        f"budget {asked.budget_usd_per_month:,.0f} USD a month" if asked.budget_usd_per_month else "",
        f"quality loss {asked.max_quality_loss:.1%}" if asked.max_quality_loss is not None else "",
        f"quality {asked.min_quality:g}" if asked.min_quality is not None else "",
        f"region {asked.region}" if asked.region else "",
    ]
    return ", ".join(filter(None, parts)) or "none"


_CSS = f"""
:root {{ color-scheme: light; }}
body {{ margin: 0; background: {style.PAPER}; color: {style.INK}; font: {style.TEXT_PX}px/1.4 {style.FONT_CSS}; }}
main {{ max-width: 1180px; margin: 0 auto; padding: 28px 32px 40px; }}
.kicker {{ margin: 0; color: {style.QUIET}; }}
h1 {{ margin: 2px 0 8px; font-size: 27px; line-height: 1.2; }}
h2 {{ margin: 22px 0 8px; font-size: {style.TITLE_PX}px; }}
.why {{ margin: 0; max-width: 100ch; font-size: 15px; }}
.facts {{ display: grid; grid-template-columns: repeat(auto-fit, minmax(150px, 1fr)); gap: 10px 18px;
  margin: 18px 0; padding: 12px 0;
  border-top: 2px solid {style.INK}; border-bottom: 1px solid {style.GRID}; }}
.facts dt {{ color: {style.QUIET}; font-size: {style.TICK_PX}px; }}
.facts dd {{ margin: 0; font-weight: 650; font-size: 15px; }}
.charts {{ display: grid; grid-template-columns: repeat(auto-fit, minmax(400px, 1fr)); gap: 18px; align-items: start; }}
.charts img {{ width: 100%; height: auto; }}
table {{ width: 100%; border-collapse: collapse; font-size: {style.TICK_PX}px; }}
th {{ text-align: left; color: {style.QUIET}; font-weight: 500; border-bottom: 1px solid {style.AXIS}; }}
th, td {{ padding: 5px 8px 5px 0; vertical-align: top; }}
th:nth-child(2) {{ width: 21%; }}
th:nth-child(3) {{ width: 18%; }}
th:nth-child(7) {{ width: 12%; }}
th:nth-child(9) {{ width: 23%; }}
td {{ border-bottom: 1px solid {style.GRID}; }}
td:nth-child(4), td:nth-child(5), td:nth-child(6) {{ font-variant-numeric: tabular-nums; }}
td .ends {{ display: block; color: {style.QUIET}; font-size: 11px; font-weight: 400; white-space: nowrap; }}
tr.winner td {{ font-weight: 650; background: {style.rgba(style.PALETTE[3], 0.08)}; }}
tr.unproven td:nth-child(8), tr.fails td:nth-child(8) {{ color: {style.TEXT_PALETTE[1]}; }}
.small {{ color: {style.QUIET}; font-size: {style.TICK_PX}px; }}
.small ul {{ margin: 0 0 8px; padding-left: 18px; }}
.small li {{ overflow-wrap: anywhere; }}
@media (max-width: 700px) {{ main {{ padding: 16px; }} table {{ display: block; overflow-x: auto; }}
  .charts {{ grid-template-columns: 1fr; }} }}
@page {{ size: A4 landscape; margin: 11mm; }}
@media print {{
  body {{ font-size: 8.5pt; -webkit-print-color-adjust: exact; print-color-adjust: exact; }}
  main {{ max-width: none; padding: 0; }}
  h1 {{ font-size: 17pt; }}
  .why {{ font-size: 9.5pt; max-width: none; }}
  .facts dd {{ font-size: 9.5pt; }}
  .charts {{ grid-template-columns: 1fr 1fr; }}
  table {{ font-size: 7.4pt; }}
  th, td {{ padding: 1.6pt 6pt 1.6pt 0; }}
  h2 {{ margin: 10pt 0 3pt; break-after: avoid; }}
  .kicker {{ display: none; }}
  td .ends {{ font-size: 6.8pt; }}
  .small {{ font-size: 7pt; }}
  .small ul {{ columns: 2; column-gap: 18pt; }}
  tr, img, .facts, li {{ break-inside: avoid; }}
  thead {{ display: table-header-group; }}
}}
"""
