"""The paper's printed numbers, from printed.json: percentages as printed, one entry for each cell and
environment."""

import json
from functools import cache
from pathlib import Path
from typing import Any


@cache
def printed() -> dict[str, Any]:
    """The whole file."""
    return json.loads(Path(__file__).with_name("printed.json").read_text(encoding="utf-8"))


def policy(cell: tuple[str, str], kind: str) -> dict[str, float]:
    """What Tables 2 and 4 print of a cell's "dense" or "sparse" policy."""
    return printed()["policies"]["/".join(cell)][kind]
