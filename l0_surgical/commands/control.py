"""The command `control`."""

from collections.abc import Callable
from typing import Annotated, Any

import tyro

from l0_surgical.commands.speaking import say
from l0_surgical.commands.terminal import StatusLine, Table, print_result
from l0_surgical.robot.requests import ControlRequest
from l0_surgical.system.errors import L0SurgicalError

INTERRUPTED = 130


def command(
    request: Annotated[ControlRequest, tyro.conf.arg(name=""), tyro.conf.PositionalRequiredArgs],
    json: bool = False,
) -> Callable[[], int]:
    """Drives an arm to goals in real time: enables and homes it, moves it slowly to the start pose, lets the
    policy reach each goal.

    It moves the arm. Read docs/robot.md before you run it at a real one.

    Args:
        request: What to do at which arm.
        json: Print one JSON object on stdout.
    """

    def run() -> int:
        from l0_surgical.robot.operation import Operation

        operation = Operation(request, say)
        with StatusLine(operation.describe):
            result = operation.run()
        print_result(result, json, control_table)
        if result["failure"] is not None:
            raise L0SurgicalError(result["failure"])
        return 0 if result["interrupted_by"] is None else INTERRUPTED

    return run


def control_table(result: dict[str, Any]) -> Table:
    """The result of `control`."""
    done = f"{result['reached']} of {result['goals']} goals reached, {result['setpoints']} setpoints"
    title = f"{result['arm']}: {done}{' computed, none sent (dry run)' if result['dry_run'] else ''}"
    table = Table("", "p50 (ms)", "p99 (ms)", "p99.9 (ms)", "max (ms)", title=title)
    for name in ("period", "jitter", "latency", "age", "policy_step"):
        table.add_row(
            name, *(f"{result[name][key]:.3f}" for key in ("p50_ms", "p99_ms", "p999_ms", "max_ms"))
        )
    table.caption = (
        f"missed periods: {result['missed_periods']}; faults: {'; '.join(result['faults']) or 'none'}"
    )
    return table
