"""Running a policy on the robot's computer: needs NumPy and numba only.

`compile` gives the fast engine, `ReferenceEngine` says what a policy means. numba is loaded when the first is
asked for.
"""

from typing import TYPE_CHECKING, Any

from l0_surgical.runtime.reference import ReferenceEngine

if TYPE_CHECKING:
    from l0_surgical.runtime.engine import Engine, compile

__all__ = ["Engine", "ReferenceEngine", "compile"]


def __getattr__(name: str) -> Any:
    if name not in ("Engine", "compile"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from l0_surgical.runtime import engine

    return getattr(engine, name)
