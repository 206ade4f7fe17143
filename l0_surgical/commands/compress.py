"""The command `compress`."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from l0_surgical.commands.terminal import ProgressBar, Table, interval, percent, print_result
from l0_surgical.system.files import check_new, made_folder
from l0_surgical.system.locks import WorkLock


def command(
    policy: str,
    /,
    *,
    out: Path,
    rank: int | None = None,
    ranks: str | None = None,
    keep: float | None = None,
    confidence: float = 0.95,
    episodes: int = 100,
    seed: int = 0,
    jobs: int = 1,
    overwrite: bool = False,
    json: bool = False,
) -> Callable[[], None]:
    """Makes a policy smaller: one rank for all layers (--rank, --ranks) or the smallest that keeps a fraction
    of the return (--keep).

    Args:
        policy: A policy file, or the name of a shipped policy.
        out: Where to save the result: a new file.
        rank: Fold every layer to this rank, as in the paper.
        ranks: Sweep ranks A:B or A:B:STEP (B included); the lowest whose return keeps --keep is saved.
        keep: Fraction of the return over random actions to keep (default 0.99).
        confidence: One-sided confidence of that over paired validation episodes.
        episodes: Validation episodes per candidate.
        seed: Which validation episodes.
        jobs: Processes.
        overwrite: Replace the file if it is there.
        json: Print one JSON object on stdout.
    """

    def run() -> None:
        from l0_surgical.compression.request import Request, compress_to

        request = Request(rank, ranks, keep, confidence, episodes, seed, jobs)
        check_new(out, overwrite=overwrite)
        lock = WorkLock(out.with_name(f".{out.name}.lock"), "compression", out)
        with made_folder(out.parent), lock, ProgressBar() as bar:
            report = compress_to(policy, out, request, progress=bar)
        print_result(report, json, compression_table)

    return run


def compression_table(report: dict[str, Any]) -> Table:
    """The result of `compress`."""
    table = Table(
        "candidate",
        "numbers",
        "bytes",
        "smaller",
        "return",
        "success",
        title="chosen: " + report["chosen"]["label"],
    )
    labels = [row["method"] if row["rank"] is None else f"rank {row['rank']}" for row in report["sweep"]]
    for label, row in zip([*labels, "chosen"], [*report["sweep"], report["chosen"]], strict=True):
        numbers = (str(row["parameters"]), str(row["bytes"]), f"{row['size_decrease_percent']:.2f} %")
        table.add_row(
            label, *numbers, interval(row["return_mean"], row["return_ci95"]), percent(row["success_rate"])
        )
    return table
