"""The command `demo`."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from l0_surgical.commands.terminal import ProgressBar, Table, interval, percent, print_result
from l0_surgical.system.files import made_folder
from l0_surgical.system.locks import WorkLock


def command(*, out: Path = Path("runs/demo"), quick: bool = False, json: bool = False) -> Callable[[], None]:
    """The whole path on one machine in minutes: train dense and L0, compress, evaluate, tables and pictures.

    Args:
        out: Folder for everything; an interrupted demo goes on where it stopped.
        quick: A few episodes only: shows that everything runs, not that anything is learned.
        json: Print one JSON object on stdout.
    """

    def run() -> None:
        from l0_surgical.experiments.demo import run_demo

        with made_folder(out), WorkLock(out / ".lock", "demonstration", out), ProgressBar() as bar:
            report = run_demo(out, quick=quick, progress=bar)
        print_result(report, json, demo_table, out / "report.json")

    return run


def demo_table(report: dict[str, Any]) -> Table:
    """The result of `demo`."""
    title = f"NeedleReach, {report['episodes']} unseen episodes; files in {report['out']}"
    table = Table(
        "policy",
        "success",
        "return (95 %)",
        "sparsity at start",
        "sparsity",
        "numbers",
        "bytes",
        "seconds",
        title=title,
    )
    for row in report["policies"]:
        sparsity = (percent(row["sparsity_at_init"]), percent(row["sparsity"]))
        size = (str(row["parameters"]), str(row["bytes"]), f"{row['seconds']:.0f}")
        table.add_row(
            row["name"],
            percent(row["success_rate"]),
            interval(row["return_mean"], row["return_ci95"]),
            *sparsity,
            *size,
        )
    control = report["control"]
    end = f", ended by: {control['failure']}" if control["failure"] else ""
    table.caption = (
        f"L0 compressed at a simulated arm, over DDS in real time: {control['reached']} of "
        f"{control['goals']} goals reached, jitter p99 {control['jitter']['p99_ms']:.2f} ms{end}"
    )
    return table
