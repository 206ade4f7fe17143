"""The command `report`."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from l0_surgical.commands.terminal import Table, print_result


def command(folders: tuple[Path, ...], /, *, out: Path, json: bool = False) -> Callable[[], None]:
    """Writes tables, figures and one self-contained page on results folders, beside the paper's printed
    numbers.

    Args:
        folders: Folders that `suite` wrote, and results/surgical; at most one of each suite.
        out: Where to write; the files of a former report there are replaced.
        json: Print one JSON object on stdout.
    """

    def run() -> None:
        from l0_surgical.experiments.report.build import build_report

        print_result(build_report(folders, out), json, report_table, out)

    return run


def report_table(summary: dict[str, Any]) -> Table:
    """The result of `report`."""
    table = Table(
        "claim of the paper", "found here", "verdict", title=f"{summary['page']} ({summary['seconds']:.0f} s)"
    )
    for row in summary["claims"]:
        table.add_row(*row)
    absent = "; ".join(f"{len(summary[key])} {key}" for key in ("missing", "failed") if summary[key])
    incomplete = f"incomplete results: {absent} (the page lists them)" if absent else "complete results"
    table.caption = (
        f"{len(summary['tables']) // 2} tables, {len(summary['figures']) // 2} figures; {incomplete}"
    )
    return table
