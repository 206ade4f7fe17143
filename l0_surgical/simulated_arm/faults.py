"""Faults that a simulated arm can be told to have, for tests of what a controller does about them."""

import dataclasses
from collections.abc import Callable

from l0_surgical.control.records import PoseStamped

JUMP_M = 0.02
STALE_NS = 1_000_000_000

_DISTORTIONS: dict[str, Callable[[PoseStamped], PoseStamped | None]] = {
    "stop_telemetry": lambda pose: None,
    "stale": lambda pose: dataclasses.replace(pose, stamp_ns=pose.stamp_ns - STALE_NS),
    "nan": lambda pose: dataclasses.replace(pose, position=(pose.position[0], float("nan"), pose.position[2])),
    "wrong_frame": lambda pose: dataclasses.replace(pose, frame_id="ECM"),
    "jump": lambda pose: dataclasses.replace(pose, position=(pose.position[0] + JUMP_M, *pose.position[1:])),
    "not_valid": lambda pose: dataclasses.replace(pose, stamp_ns=0),
}
FAULTS = (*_DISTORTIONS, "freeze", "pause", "fault", "unhome", "clear")
"""What may be injected. Those of measured_cp: stop_telemetry, stale (1 s old), nan, wrong_frame, jump (20 mm), not_valid, freeze (it
stays what it is). Those of the arm: pause, fault, unhome. `clear` ends those of measured_cp."""


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
