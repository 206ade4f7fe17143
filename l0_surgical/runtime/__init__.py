"""Running a policy on the robot's computer: needs NumPy and numba only."""

from l0_surgical.runtime.engine import Engine, compile
from l0_surgical.runtime.reference import ReferenceEngine

__all__ = ["Engine", "ReferenceEngine", "compile"]
