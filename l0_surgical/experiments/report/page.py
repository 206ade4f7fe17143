"""The report as one HTML file: figures, style and script inside, nothing loaded from anywhere."""

import re
from collections.abc import Sequence
from html import escape
from itertools import groupby
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from l0_surgical.experiments.report.classic import printed
from l0_surgical.experiments.report.content import TEXT, Figure, Section, Table, show, sort_key
from l0_surgical.experiments.report.style import COLOURS
from l0_surgical.experiments.report.verdicts import RULES, Verdict
from l0_surgical.experiments.statistics import REPS, Estimate

_MARKS = {
    "exceeded": "▲",
    "reproduced": "✓",
    "holds": "✓",
    "not reproduced": "✗",
    "does not hold": "✗",
    "mixed": "◐",
    "not measured": "–",
}


def page(
    sources: Sequence[str], sections: Sequence[Section], missing: Sequence[str], failed: Sequence[str]
) -> str:
    """The whole page."""
    here = Path(__file__).parent
    template = Environment(
        loader=FileSystemLoader(here), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    ).get_template("page.html.j2")
    return template.render(
        sources=sources,
        sections=[*sections, _rules()],
        absent={"missing": missing, "failed": failed},
        printed=printed(),
        style=(here / "page.css").read_text(encoding="utf-8"),
        script=(here / "page.js").read_text(encoding="utf-8"),
        runs=lambda items: groupby(items, lambda item: isinstance(item, Figure)),
        svg=inline_svg,
        cell=_cell,
        TEXT=TEXT,
    )


def inline_svg(figure: Figure) -> str:
    """The figure's SVG for the inside of the page: its own ids, the page's colours and font, its alternative
    text."""
    svg = figure.svg[figure.svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    for name, value in COLOURS.items():
        svg = svg.replace(value, f"var(--{name})")
    svg = re.sub(r"'DejaVu Sans'[^;\"]*", "var(--sans)", svg)
    svg = re.sub(r'\bid="', f'id="{figure.name}-', svg)
    svg = re.sub(r'(href="|url\()#', rf"\1#{figure.name}-", svg)
    return re.sub(r"<svg\b", f'<svg role="img" aria-label="{escape(figure.alt)}"', svg, count=1)


def _cell(value: Any, digits: int | None) -> dict[str, str]:
    """What the template shows of a cell: its words (and an interval apart), its key in sorting, a verdict's
    mark."""
    words, interval = show(value, digits), ""
    if isinstance(value, Estimate):
        words, _, interval = words.partition(" ")
    mark = _MARKS[words] if isinstance(value, Verdict) else ""
    return {"words": words, "interval": interval, "key": sort_key(value), "mark": mark}


def _rules() -> Section:
    intervals = (
        f"Intervals: 95 % percentile intervals of a stratified bootstrap over training seeds ({REPS} draws, "
        "fixed seed, as rliable draws them), around the interquartile mean. With five seeds such intervals "
        "are rather too narrow than too wide. Only the number over all cells also draws cells."
    )
    rows = [[Verdict(name), words] for name, words in RULES.items()]
    formats = {"Verdict": TEXT, "Rule": TEXT}
    table = Table("rules-table", formats, rows)
    return Section("rules", "Rules and method", (intervals,), [table])
