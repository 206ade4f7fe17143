"""The report as one HTML file: figures, style and script inside, nothing loaded from anywhere."""

import re
from collections.abc import Iterator, Sequence
from html import escape
from itertools import groupby
from pathlib import Path

from l0_surgical.experiments.intervals import REPS, Estimate
from l0_surgical.experiments.report.content import Column, Figure, Section, Table, Value, show, sort_key
from l0_surgical.experiments.report.drawing import COLOURS
from l0_surgical.experiments.report.printed import printed
from l0_surgical.experiments.report.verdicts import RULES, TOLERANCES, Verdict

TITLE = "Sparse policies: the paper's results and ours"
_LONG = 30  # rows from which on a table scrolls within itself
_MARKS = {
    "exceeded": "▲",
    "reproduced": "✓",
    "holds": "✓",
    "not reproduced": "✗",
    "does not hold": "✗",
    "mixed": "◐",
    "not measured": "–",
}
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:"


def page(
    sources: Sequence[str], sections: Sequence[Section], missing: Sequence[str], failed: Sequence[str]
) -> str:
    """The whole page."""
    sections = [*sections, _rules()]
    links = "".join(f'<li><a href="#{section.name}">{escape(section.title)}</a></li>' for section in sections)
    body = "".join(_section(section) for section in sections)
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="{_POLICY}">
<link rel="icon" href="data:,">
<title>{escape(TITLE)}</title>
<style>{_file("page.css")}</style>
</head>
<body>
<nav aria-label="Sections"><div class="wrap"><ol>{links}</ol><button id="theme" type="button">Dark</button></div></nav>
<main class="wrap">
<header>
<h1>{escape(TITLE)}</h1>
<p class="lead">The tables and figures of {escape(printed()["paper"])} that these results cover, beside the printed numbers,
with a verdict on each, and what the paper leaves out.</p>
{"".join(f'<p class="source">{escape(source)}</p>' for source in sources)}
{_completeness(missing, failed)}
</header>
{body}
</main>
<footer class="wrap">Printed numbers: {escape(printed()["source"])}.</footer>
<script>{_file("page.js")}</script>
</body>
</html>
"""


def _completeness(missing: Sequence[str], failed: Sequence[str]) -> str:
    if not missing and not failed:
        return '<div class="note complete" id="completeness"><p>These results are complete: every cell of the grid is there.</p></div>'
    parts = [("missing", missing), ("failed", failed)]
    counts = " and ".join(
        f"{len(found)} {'entry is' if len(found) == 1 else 'entries are'} {word}"
        for word, found in parts
        if found
    )
    lists = "".join(
        f"<details{' open' if len(found) <= 6 else ''}><summary>What is {word} ({len(found)})</summary><ul>"
        f"{''.join(f'<li>{escape(words)}</li>' for words in found)}</ul></details>"
        for word, found in parts
        if found
    )
    text = (
        f"<strong>These results are incomplete.</strong> {counts.capitalize()}; the tables and figures "
        "below show what is there."
    )
    return f'<div class="note" id="completeness"><p>{text}</p>{lists}</div>'


def _section(section: Section) -> str:
    paragraphs = "".join(f"<p>{escape(text)}</p>" for text in section.paragraphs)
    blocks = "".join(_blocks(section.items))
    title = f'<h2 id="{section.name}-heading">{escape(section.title)}</h2>'
    return f'<section id="{section.name}" aria-labelledby="{section.name}-heading">{title}{paragraphs}{blocks}</section>\n'


def _blocks(items: Sequence[Table | Figure]) -> Iterator[str]:
    for is_figure, group in groupby(items, lambda item: isinstance(item, Figure)):
        if is_figure:
            yield f'<div class="figures">{"".join(_figure(item) for item in group)}</div>'
        else:
            yield from (_table(item) for item in group)


def _figure(figure: Figure) -> str:
    return (
        f'<figure id="{figure.name}"><figcaption><strong>{escape(figure.title)}</strong>{escape(figure.caption)}</figcaption>'
        f"{inline_svg(figure)}</figure>\n"
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


def _table(table: Table) -> str:
    prose = " prose" if all(column.text for column in table.columns) else ""
    long = " long" if len(table.rows) > _LONG else ""
    head = "".join(
        f'<th scope="col"{_text(column)}><button type="button">{escape(column.title)}</button></th>'
        for column in table.columns
    )
    rows = "".join(f"<tr>{_row(row, table.columns)}</tr>\n" for row in table.rows)
    return (
        f'<div class="block" id="{table.name}"><h3>{escape(table.title)}</h3><p>{escape(table.caption)}</p>'
        f'<div class="scroll{long}" tabindex="0" role="region" aria-label="{escape(table.title)}"><table class="sortable{prose}">'
        f"<caption>{escape(table.title)}</caption><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div></div>\n"
    )


def _row(row: Sequence[Value], columns: Sequence[Column]) -> str:
    cells = []
    for place, (value, column) in enumerate(zip(row, columns, strict=True)):
        tag = 'th scope="row"' if place == 0 else "td"
        extra = ' class="text verdict-cell"' if isinstance(value, Verdict) else _text(column)
        cells.append(
            f'<{tag}{extra} data-sort="{escape(sort_key(value))}">{_cell(value, column)}</{tag[:2]}>'
        )
    return "".join(cells)


def _cell(value: Value, column: Column) -> str:
    words = escape(show(value, column))
    if isinstance(value, Verdict):
        return f'<span class="verdict v-{words.replace(" ", "-")}"><span aria-hidden="true">{_MARKS[words]} </span>{words}</span>'
    if isinstance(value, Estimate):
        centre, _, interval = words.partition(" ")
        return f'{centre} <span class="interval">{interval}</span>'
    return words


def _rules() -> Section:
    intervals = (
        f"Intervals: 95 % percentile intervals of a stratified bootstrap over training seeds ({REPS} draws, "
        "fixed seed, rliable), around "
        "the interquartile mean. With five seeds such intervals are rather too narrow than too wide. Only "
        "the number over all cells also "
        "draws cells."
    )
    verdicts = Table(
        "rules-table",
        "What a verdict means",
        TOLERANCES,
        (Column("Verdict", text=True), Column("Rule", text=True)),
        [[Verdict(name), words] for name, words in RULES.items()],
    )
    return Section("rules", "Rules and method", (intervals,), [verdicts])


def _text(column: Column) -> str:
    return ' class="text"' if column.text else ""


def _file(name: str) -> str:
    return Path(__file__).with_name(name).read_text(encoding="utf-8")
