"""The command `export`."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

from l0_surgical.commands.terminal import print_result
from l0_surgical.system.files import check_new


def command(
    policy: str, /, *, format: Literal["onnx", "c"], out: Path, overwrite: bool = False, json: bool = False
) -> Callable[[], None]:
    """Writes a policy for other programs: an ONNX model, or C99 without dependencies.

    Args:
        policy: A policy file, or the name of a shipped policy.
        format: onnx, or c for a .c and .h pair.
        out: The .onnx or .c file, a new one.
        overwrite: Replace the file (and the .h) if it is there.
        json: Print one JSON object on stdout.
    """

    def run() -> None:
        from l0_surgical.policy import find_policy, load_policy
        from l0_surgical.runtime.c_export import export_c
        from l0_surgical.runtime.onnx_export import export_onnx

        check_new(out, *[out.with_suffix(".h")] * (format == "c"), overwrite=overwrite)
        write = export_onnx if format == "onnx" else export_c
        error = write(load_policy(find_policy(policy)), out)
        print_result({"file": str(out), "max_abs_error": error}, json, export_table)

    return run


def export_table(report: dict[str, Any]) -> str:
    """The result of `export`."""
    error = report["max_abs_error"]
    return f"{report['file']}: " + (
        "not verified: there is nothing to run it with"
        if error is None
        else f"within {error:.1e} of the policy"
    )
