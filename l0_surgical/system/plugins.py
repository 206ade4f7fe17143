"""The modules of a user's that the processes of a command import before anything else."""

import importlib
import os
from collections.abc import Iterable

_VARIABLE = "L0_SURGICAL_IMPORT"  # names, a comma between them


def named_modules() -> list[str]:
    """Those that the environment names."""
    return [name for name in os.environ.get(_VARIABLE, "").split(",") if name]


def name_modules(names: Iterable[str]) -> None:
    """Names modules to the processes that are started from now on."""
    os.environ[_VARIABLE] = ",".join(names)


def import_named_modules() -> None:
    """Imports those that the environment names; raises what they raise."""
    for name in named_modules():
        importlib.import_module(name)
