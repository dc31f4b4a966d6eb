"""A decision on one page: what was asked, what each road costs, what would change the answer, where figures are from.

Markdown or HTML, made from a `Comparison` and the reader's inputs; nothing is written that isn't computed.
Taught in: chapter 11, section 7.
"""

from dataclasses import dataclass
from datetime import date
from html import escape
from pathlib import Path

from course_utils.decide.inputs import Inputs
from course_utils.decide.sensitivity import Tipping
from course_utils.decide.tco import BreakEvenBand, Comparison
from course_utils.whole_files import write_whole

_STYLE = """
@page { size: A4; margin: 16mm }
body { font: 10.5pt/1.4 system-ui, sans-serif; max-width: 180mm; margin: 8mm auto; color: #1a1a1a }
h1 { font-size: 16pt; margin: 0 } h2 { font-size: 11.5pt; margin: 4mm 0 1mm }
table { border-collapse: collapse; width: 100% } td, th { padding: 1mm 2mm; border-bottom: 1px solid #bbb }
td { text-align: right } td:first-child, th:first-child { text-align: left }
p, ul { margin: 1mm 0 } small { color: #555 }
"""


@dataclass(frozen=True)
class Memo:
    """One page: a title, a verdict in a sentence, and sections of text, bullets and one table."""

    title: str
    verdict: str
    table: tuple[tuple[str, ...], ...]
    sections: tuple[tuple[str, tuple[str, ...]], ...]
    footer: str

    @property
    def markdown(self) -> str:
        head, *rows = self.table
        lines = [
            f"# {self.title}",
            "",
            self.verdict,
            "",
            _row(head),
            _row(["---"] * len(head)),
            *map(_row, rows),
        ]
        for name, bullets in self.sections:
            lines += ["", f"**{name}**", "", *(f"- {one}" for one in bullets)]
        return "\n".join([*lines, "", f"*{self.footer}*", ""])

    @property
    def html(self) -> str:
        head, *rows = ([escape(cell) for cell in row] for row in self.table)
        table = "<tr>" + "".join(f"<th>{cell}</th>" for cell in head) + "</tr>"
        table += "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows)
        sections = "".join(
            f"<h2>{escape(name)}</h2><ul>" + "".join(f"<li>{escape(one)}</li>" for one in bullets) + "</ul>"
            for name, bullets in self.sections
        )
        return (
            f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{escape(self.title)}</title>'
            f"<style>{_STYLE}</style><h1>{escape(self.title)}</h1><p>{escape(self.verdict)}</p>"
            f"<table>{table}</table>{sections}<p><small>{escape(self.footer)}</small></p></html>\n"
        )

    def _repr_markdown_(self) -> str:
        return self.markdown

    def write(self, path: str | Path) -> Path:
        """Write the page, whole or not at all. The name's ending decides: .html or .md; ValueError for another."""
        path = Path(path)
        if path.suffix not in (".html", ".md"):
            raise ValueError(f"path={str(path)!r}: a name that ends in .html or .md is needed")
        write_whole(path, self.html if path.suffix == ".html" else self.markdown)
        return path


def memo_of(
    comparison: Comparison,
    inputs: Inputs,
    wins: dict[str, float],
    tipping: list[Tipping],
    rival: str,
    title: str = "Build or buy",
    today: date | None = None,
    break_even: BreakEvenBand | None = None,
) -> Memo:
    """The page.

    wins: in what share of the drawn inputs each road is the cheapest of those allowed (from `tco.bands`). tipping:
    what turns the decision between the winner and `rival`, nearest first. break_even: between the same two, as a
    band. Where no road keeps every limit, the verdict says which one binds.
    """
    ranked, load = comparison.ranked, comparison.workload
    table = [("Road", "first month", "last month", "present cost", "cheapest in", "breaks")]
    for name in sorted(comparison.flows, key=comparison.present_usd):
        flow = comparison.flows[name]
        broken = ", ".join(one.limit for one in comparison.broken[name]) or "nothing"
        usd = (flow.by_month_usd[0], flow.by_month_usd[-1], comparison.present_usd(name))
        won = "" if comparison.broken[name] else f"{wins.get(name, 0):.0%}"
        table.append((name, *(f"{one:,.0f}" for one in usd), won, broken))
    length = next(iter(comparison.flows.values())).months
    asked = (
        f"{load.requests_per_day:,.0f} requests a day, growing by {load.growth_per_month:.0%} a month; "
        f"{load.usage.input_tokens:,.0f} tokens in, {load.usage.output_tokens:,.0f} out; the busiest hour has "
        f"{load.shape.max():.1f} times the mean load",
        f"{length} months, discounted by {comparison.discount_per_year:.0%} a year; costs in USD",
    )
    yours = inputs.table()
    own = yours[yours.says == "yours"]
    changed = tuple(f"{name} = {row.value:,.6g} {row.unit}" for name, row in own.iterrows())
    limits = tuple(f"{one.road}: {one.says}" for broken in comparison.broken.values() for one in broken)
    turns = tuple(str(one) for one in tipping if one.turns_at is not None)[:5]
    sure = (f"with every input drawn: {break_even}",) if break_even else ()
    sections = (
        ("Asked", asked),
        (
            f"What would have to be true for the {rival} to win",
            (turns or ("no input alone turns it",)) + sure,
        ),
        ("Limits that roads break", limits or ("none",)),
        ("Your inputs", changed or ("none: every input is this course's default",)),
    )
    return Memo(title, _verdict(comparison, ranked, wins), tuple(table), sections, _footer(yours, today))


def _verdict(comparison: Comparison, ranked: list[str], wins: dict[str, float]) -> str:
    if not ranked:
        try:
            return str(comparison.winner)
        except ValueError as error:
            return str(error)
    best = ranked[0]
    text = f"Take the {best}: {comparison.present_usd(best):,.0f} USD at present cost"
    if len(ranked) > 1:
        more = comparison.present_usd(ranked[1]) - comparison.present_usd(best)
        text += f", {more:,.0f} less than the {ranked[1]}"
    return f"{text}. Among the roads that keep every limit it wins in {wins.get(best, 0):.0%} of the drawn cases."


def _footer(inputs, today: date | None) -> str:
    assumed = int(inputs.says.str.startswith("assumed").sum())
    published = int(inputs.says.str.startswith("published").sum())
    return (
        f"{(today or date.today()).isoformat()}; of {len(inputs)} inputs {published} published, {assumed} assumed, "
        f"{int((inputs.says == 'yours').sum())} yours, {int(inputs.says.str.startswith('predicted').sum())} predicted"
    )


def _row(cells) -> str:
    return "| " + " | ".join(cells) + " |"
