"""The command `inspect`, which also runs where only the core is installed."""

from collections.abc import Callable
from typing import Any

from l0_surgical.commands.terminal import Table, percent, print_result


def command(policy: str, /, *, json: bool = False) -> Callable[[], None]:
    """Shows what is in a policy file.

    Args:
        policy: A policy file, or the name of a shipped policy.
        json: Print one JSON object on stdout.
    """

    def run() -> None:
        from l0_surgical.policy import find_policy, load_policy
        from l0_surgical.policy.description import describe

        print_result(describe(load_policy(find_policy(policy))), json, inspection_table)

    return run


def inspection_table(description: dict[str, Any]) -> Table:
    """The result of `inspect`."""
    size = f"{description['parameters']} numbers, {description['bytes']} bytes"
    title = f"{description['task']}: {size}, sparsity {percent(description['sparsity'])}"
    table = Table(
        "layer",
        "shape",
        "representation",
        "numbers",
        "non-zero",
        "sparsity",
        "dead units",
        "bytes",
        title=title,
    )
    for layer in description["layers"]:
        shape = " x ".join(map(str, layer["shape"]))
        counts = (
            str(layer["parameters"]),
            str(layer["nonzero"]),
            percent(layer["sparsity"]),
            str(layer["dead_units"]),
            str(layer["bytes"]),
        )
        table.add_row(layer["name"], shape, layer["representation"], *counts)
    return table
