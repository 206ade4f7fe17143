"""The command `compress`."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import tyro

from l0_surgical.commands.terminal import ProgressBar, Table, interval, percent, print_result
from l0_surgical.compression.request import Request
from l0_surgical.system.files import check_new, made_folder
from l0_surgical.system.locks import WorkLock


def command(
    policy: Annotated[str, tyro.conf.Positional],
    request: Annotated[Request, tyro.conf.arg(name="")] = Request(),  # noqa: B008 (it is frozen)
    *,
    out: Path,
    overwrite: bool = False,
    json: bool = False,
) -> Callable[[], None]:
    """Makes a policy smaller: one rank for all layers (--rank, --ranks) or the smallest that keeps a fraction
    of the return (--keep).

    Args:
        policy: A policy file, or the name of a shipped policy.
        request: How.
        out: Where to save the result: a new file.
        overwrite: Replace the file if it is there.
        json: Print one JSON object on stdout.
    """

    def run() -> None:
        from l0_surgical.compression.request import compress_to

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
