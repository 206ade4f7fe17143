"""The command `benchmark`."""

from collections.abc import Callable
from typing import Any

from l0_surgical.commands.terminal import ProgressBar, Table, print_result


def command(
    policy: str,
    /,
    *,
    reference: str | None = None,
    rounds: int = 40,
    explain: bool = False,
    json: bool = False,
) -> Callable[[], None]:
    """Times a policy in every engine that is installed, in turn, one thread each; and the memory of each in a
    process of its own.

    Args:
        policy: A policy file, or the name of a shipped policy.
        reference: Another policy to time in the same run, e.g. the dense one.
        rounds: Turns of each engine.
        explain: Also time the forms that each layer of our engine may take.
        json: Print one JSON object on stdout.
    """

    def run() -> None:
        from l0_surgical.runtime.benchmark import benchmark

        with ProgressBar() as bar:
            report = benchmark(policy, reference=reference, rounds=rounds, explain=explain, progress=bar)
        print_result(report, json, benchmark_table)

    return run


def benchmark_table(report: dict[str, Any]) -> Table:
    """The result of `benchmark`."""
    table = Table(
        "policy", "engine", "p50 (us)", "p99 (us)", "p99.9 (us)", "resident (MiB)", "first action (s)"
    )
    for part in (report, report.get("reference")):
        for name, row in part["engines"].items() if part else ():
            times = (f"{row[key]:.2f}" for key in ("p50_us", "p99_us", "p999_us"))
            table.add_row(
                part["policy"], name, *times, f"{row['resident_mib']:.0f}", f"{row['first_action_s']:.2f}"
            )
    absent = "; ".join(f"{name} is absent: {reason}" for name, reason in report["absent"].items())
    table.caption = "\n".join([*report["explain"], *([absent] if absent else [])])
    return table
