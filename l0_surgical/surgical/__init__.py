"""The arm's kinematics, and each surgical task's one rule for the simulated and the real arm (NumPy only)."""

from l0_surgical.surgical.registry import arm_task, arm_tasks
from l0_surgical.surgical.task import ArmPlace, ArmTask, GoalDistribution, Instrument, Scene

__all__ = ["ArmPlace", "ArmTask", "GoalDistribution", "Instrument", "Scene", "arm_task", "arm_tasks"]
