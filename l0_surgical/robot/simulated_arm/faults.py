"""Faults that a simulated arm can be told to have, and people who move it, for tests of what a controller
does about them."""

import dataclasses
from collections.abc import Callable

import numpy as np

from l0_surgical.robot.control.records import PoseStamped
from l0_surgical.robot.simulated_arm.arm import PsmArm

JUMP_M = 0.02
STALE_NS = 1_000_000_000
HAND_M_PER_S, HAND_M = 0.005, 0.008
TELEOPERATION_M_PER_S, TELEOPERATION_M = 0.02, 0.02

_DISTORTIONS: dict[str, Callable[[PoseStamped], PoseStamped | None]] = {
    "stop_telemetry": lambda pose: None,
    "stale": lambda pose: dataclasses.replace(pose, stamp_ns=pose.stamp_ns - STALE_NS),
    "nan": lambda pose: dataclasses.replace(
        pose, position=(pose.position[0], float("nan"), pose.position[2])
    ),
    "wrong_frame": lambda pose: dataclasses.replace(pose, frame_id="ECM"),
    "jump": lambda pose: dataclasses.replace(pose, position=(pose.position[0] + JUMP_M, *pose.position[1:])),
    "not_valid": lambda pose: dataclasses.replace(pose, stamp_ns=0),
}
PEOPLE = ("clutch", "clutch_released", "teleoperate", "teleoperate_end")
FAULTS = (*_DISTORTIONS, "freeze", "pause", "fault", "unhome", *PEOPLE, "clear")
"""What may be injected. Those of measured_cp: stop_telemetry, stale (1 s old), nan, wrong_frame, jump (20
mm), not_valid, freeze (it stays what it is). Those of the arm: pause, fault, unhome. Those of people: see
`People`. `clear` ends those of measured_cp and of people.
"""


class Distortion:
    """What becomes of measured_cp before it is published."""

    def __init__(self) -> None:
        self._name: str | None = None
        self._frozen: PoseStamped | None = None

    def start(self, name: str) -> None:
        """One of `FAULTS` that concern measured_cp, or clear; it replaces the one before."""
        self._name = None if name == "clear" else name
        self._frozen = None

    def apply(self, pose: PoseStamped) -> PoseStamped | None:
        """The message to publish, or None for none."""
        if self._name == "freeze":
            self._frozen = self._frozen or pose
            return dataclasses.replace(self._frozen, stamp_ns=pose.stamp_ns)
        return pose if self._name is None else _DISTORTIONS[self._name](pose)


class People:
    """Those who move the arm although no topic asks it to move; one at a time.

    `clutch`: a hand takes the arm by its clutch button and pulls the tool along x of the arm's base, 5 mm/s
    for 8 mm. The arm says that it is busy, publishes arm_clutch, and its setpoint goes with the hand; a
    servo_cp takes the arm back, and the hand holds on.
    `clutch_released`: it lets go, and the arm holds where it is.

    `teleoperate`: somebody at the console's own controls moves the tool to and fro along x of the arm's base,
    20 mm/s over 20 mm. That is heard on no topic but setpoint_* and measured_*; commands that come meanwhile
    are overridden at once. `teleoperate_end` ends it.

    Args:
        arm: whose.
    """

    def __init__(self, arm: PsmArm) -> None:
        self._arm = arm
        self._who: str | None = None
        self._seconds = 0.0
        self._start = np.eye(4)

    def obey(self, name: str) -> None:
        """One of `PEOPLE`, or clear."""
        if self._who == "clutch" and name != "clutch":
            self._arm.clutch(False)
        if name in ("clutch", "teleoperate") and name != self._who:
            self._seconds, self._start = 0.0, self._arm.measured_pose()
        if name == "clutch" and not self._arm.clutch(True):
            name = "clear"
        self._who = name if name in ("clutch", "teleoperate") else None

    def step(self, seconds: float) -> None:
        """Moves the arm, if somebody has it."""
        self._seconds += seconds
        if self._who == "clutch" and self._arm.is_free:
            self._arm.guide(self._displaced(min(HAND_M_PER_S * self._seconds, HAND_M)))
        elif self._who == "teleoperate":
            way = (TELEOPERATION_M_PER_S * self._seconds) % (2 * TELEOPERATION_M)
            self._arm.servo_from_console(self._displaced(min(way, 2 * TELEOPERATION_M - way)))

    def _displaced(self, metres: float) -> np.ndarray:
        pose = self._start.copy()
        pose[0, 3] += metres
        return pose
