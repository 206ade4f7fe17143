"""The table of outcomes that a run writes into docs/safety.md."""

import os
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from tests.attacks.attack import Attack, Either, Ends, Harmless, Notice
from tests.attacks.catalogue import GROUPS
from tests.attacks.stage import Result

ESCAPES = ("outside", "step", "false goal", "unnoticed")
_LONGEST = 110
_COLUMNS = (
    "attack",
    "in which phase",
    "what is done",
    "the controller said",
    "after, ms",
    "commands went on, ms",
    "goals",
)
_COLUMNS += ("outside, mm", "step, mm", "so")
_HEADER = f"| {' | '.join(_COLUMNS)} |\n|{'---|' * len(_COLUMNS)}"
_SINCE_BEFORE = "refused to arm"


@dataclass(frozen=True)
class Outcome:
    """One attack, what came of it, and what of that must not be (`verdict.escapes`)."""

    attack: Attack
    result: Result
    escapes: dict[str, str]


def write_table(path: Path, name: str, label: str, limits: str, outcomes: dict[str, Outcome]) -> None:
    """Replaces what is between the two marks of `name` in the file.

    Args:
        path: a Markdown file that has the marks.
        name: the table's.
        label: kind and version of the arm.
        limits: which ones the controller had.
        outcomes: by the attacks' names.
    """
    begin, end = f"<!-- begin of the attacks: {name} -->\n", f"<!-- end of the attacks: {name} -->\n"
    text = path.read_text(encoding="utf-8")
    before, _, rest = text.partition(begin)
    _, _, after = rest.partition(end)
    when = f"{date.today():%d %B %Y}, {os.cpu_count()} cores"
    lines = [f"{label}; {limits}; {when}.", "", *_totals(list(outcomes.values())), ""]
    for group, attacks in GROUPS.items():
        rows = [_row(outcomes[attack.name]) for attack in attacks if attack.name in outcomes]
        if rows:
            lines += [f"**{group}**", "", _HEADER, *rows, ""]
    path.write_text(before + begin + "\n".join(lines) + end + after, encoding="utf-8")


def _totals(outcomes: list[Outcome]) -> list[str]:
    results = [outcome.result for outcome in outcomes]
    counted = {kind: sum(kind in outcome.escapes for outcome in outcomes) for kind in ESCAPES}
    answers = [result.answer_ms for result in results if result.answer_ms is not None]
    rates = [rate for result in results for rate in result.rates]
    lines = [
        f"- {len(outcomes)} attacks and faults; {sum(result.commands for result in results)} commands of "
        "the controller.",
        "- The tool outside the workspace by more than 2 mm and a step through a command of the "
        f"controller: {counted['outside']}; farthest: {max(result.outside_mm for result in results):.2f} mm.",
        f"- A command that moved the arm by more than `max_step_m`: {counted['step']}; "
        f"longest: {max(result.step_mm for result in results):.2f} mm.",
        f"- Unnoticed, too late, or noticed as something else: {counted['unnoticed']}.",
        f"- Goals said to be reached that were not: {counted['false goal']} of "
        f"{sum(result.reached for result in results)}.",
        f"- Disturbed by what is harmless: {sum('disturbed' in outcome.escapes for outcome in outcomes)}; "
        f"scenes that went wrong by themselves: {sum('trouble' in outcome.escapes for outcome in outcomes)}; "
        f"played again because the computer was too busy: {sum(result.again > 0 for result in results)}.",
        "- Recordings in which the audit finds something: "
        f"{sum(bool(result.audited) for result in results)}.",
    ]
    if answers:
        lines.append(
            f"- Floods of {min(rates):,.0f} to {max(rates):,.0f} messages a second; disarm answered within "
            f"{max(answers):.0f} ms."
        )
    return lines


def _row(outcome: Outcome) -> str:
    attack, result = outcome.attack, outcome.result
    cells = [
        f"`{attack.name}`",
        attack.when,
        attack.does,
        _shortened(result.said) if result.said else "nothing",
        _after(attack, result),
        "-" if result.went_on_s is None else f"{1e3 * result.went_on_s:.0f}",
        f"{result.reached}/{result.goals}",
        _both(result.outside_mm, result.any_outside_mm, 0),
        _both(result.step_mm, result.any_step_mm, result.step_mm * 4),
        _verdict(outcome),
    ]
    return "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"


def _after(attack: Attack, result: Result) -> str:
    if attack.when == "before arming" and not result.commands and result.said:
        return _SINCE_BEFORE
    return "-" if result.noticed_ms is None else f"{result.noticed_ms:.1f}"


def _both(ours_mm: float, anybodys_mm: float, expected_mm: float) -> str:
    """Also how far somebody else moved the arm, where that is more than what commands of ours may do between
    two samples."""
    return f"{ours_mm:.2f}" if anybodys_mm <= expected_mm + 0.01 else f"{ours_mm:.2f} ({anybodys_mm:.1f})"


def _verdict(outcome: Outcome) -> str:
    if outcome.escapes:
        return "; ".join(f"**{kind}**: {_shortened(what)}" for kind, what in outcome.escapes.items())
    match outcome.attack.expect:
        case Notice():
            return "noticed"
        case Harmless(why):
            return f"harmless: {why}"
        case Ends(why):
            return f"ended: {why}"
        case Either(why):
            return f"{'noticed' if outcome.result.said else 'passed'}; either is right: {why}"


def _shortened(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."
