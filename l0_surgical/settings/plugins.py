"""Modules of a user's that register algorithms, sparsifiers and tasks: `--import MODULE` on the command
line."""

import contextlib
import importlib
import sys
from collections.abc import Sequence

from l0_surgical.settings.registry import ALGORITHMS, SPARSIFIERS
from l0_surgical.system.errors import BadInputError
from l0_surgical.system.plugins import name_modules, named_modules
from l0_surgical.tasks import TASKS
from l0_surgical.tasks.boundary import in_words
from l0_surgical.tasks.registry import gymnasium_ids


def import_modules(names: Sequence[str]) -> None:
    """Imports the modules, and those that the environment names; has the processes that are started from now
    on do so, too.

    Raises:
        BadInputError: one of them fails, or registers nothing.
    """
    every = list(dict.fromkeys([*named_modules(), *names]))
    for name in every:
        _import(name)
    name_modules(every)


def _import(name: str) -> None:
    if name in sys.modules:
        return
    before = _registered()
    try:
        with contextlib.redirect_stdout(sys.stderr):  # stdout is the command's result
            importlib.import_module(name)
    except (KeyboardInterrupt, BadInputError):
        raise
    except BaseException as error:  # a script may even exit
        raise BadInputError(
            f"--import {name}: the module cannot be imported: {in_words(error)}; install it, or put its "
            "folder into PYTHONPATH"
        ) from error
    if _registered() == before:
        raise BadInputError(
            f"--import {name}: the module registers no algorithm, no regularizer and no task: see "
            "docs/extending.md"
        )


def _registered() -> tuple[int, ...]:
    return len(ALGORITHMS), len(SPARSIFIERS), len(TASKS), len(gymnasium_ids())
