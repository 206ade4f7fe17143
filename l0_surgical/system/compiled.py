"""How the library's loops are compiled: by numba, which keeps the machine code for the next process where it
can.

Where it cannot (a package and a home that are read-only, as in a container or a robot's image; a full disk)
or where what it kept is damaged, each process compiles anew: that costs seconds and changes nothing, since
the machine code is the same.
"""

import contextlib
from collections.abc import Callable
from typing import Any

from numba import njit
from numba.core.caching import FunctionCache


class _Cache(FunctionCache):
    """numba's cache of one function, which is never a reason not to run it."""

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        try:
            return super().load_overload(sig, target_context)
        except Exception:  # a pickle that was cut off or overwritten can raise anything
            with contextlib.suppress(OSError):
                self.flush()
            return None

    def save_overload(self, sig: Any, data: Any) -> None:
        with contextlib.suppress(OSError):
            super().save_overload(sig, data)


def cached_njit(signature: str | None = None, **options: Any) -> Callable[[Callable], Any]:
    """numba's `njit(signature, cache=True, **options)` for functions that must also run where nothing can be
    cached.

    Args:
        signature: compiles for these types at once, and for no others; None: for each combination of types
            when it is first called.
        options: of `njit`, without `cache`.
    """

    def decorate(function: Callable) -> Any:
        dispatcher = njit(**options)(function)
        if dispatcher is function:  # NUMBA_DISABLE_JIT is set
            return function
        # numba raises RuntimeError where it finds no folder to write to
        with contextlib.suppress(RuntimeError, OSError):
            dispatcher._cache = _Cache(function)
        if signature is not None:
            dispatcher.compile(signature)
            dispatcher.disable_compile()
        return dispatcher

    return decorate
