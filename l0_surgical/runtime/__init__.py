"""Running a policy on the robot's computer: needs NumPy only."""

from l0_surgical.runtime.reference import ReferenceEngine

compile = ReferenceEngine
Engine = ReferenceEngine
__all__ = ["ReferenceEngine"]
