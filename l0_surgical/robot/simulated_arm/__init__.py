"""A da Vinci Patient Side Manipulator as CRTK shows it: all topics and operating states, backed by PyBullet,
on any transport."""

from l0_surgical.robot.simulated_arm.server import SimulatedArm

__all__ = ["SimulatedArm"]
