"""The judge: hears the arm and every command on a connection of its own, and finds what a command of the controller did to the arm.

Only what the arm itself says counts (local/measured_cp and local/setpoint_cp, in its own base, which no set_base_frame moves): neither the
controller's state nor its recording is asked.
"""

import bisect
import itertools
import math
from collections import Counter
from dataclasses import dataclass

from l0_surgical.control.kinematics import Vector
from l0_surgical.control.limits import Limits
from l0_surgical.control.poses import Pose
from l0_surgical.control.records import PoseStamped, Record
from l0_surgical.messaging import crtk
from l0_surgical.messaging.dds import DdsTransport
from l0_surgical.messaging.transport import Qos, Subscription
from tests.attacks.attacker import Log

_AT_COMMAND_M = 1e-4  # the arm is where a command of ours says
_STILL_M = 2e-5
_MEMORY_NS = 500_000_000  # how old a command may be that the arm still obeys
_ON_ITS_WAY_NS = 6_000_000  # from a command's stamp to the arm's sample: a tick, the network, the arm's loop
_DELIVERY_NS = 2_000_000  # until a message has reached the controller
_AFTERMATH_NS = 30_000_000  # what somebody else's motion is still seen for
TOPICS = ("local/measured_cp", "local/setpoint_cp", "servo_cp", "operating_state", "error")


@dataclass(frozen=True)
class Findings:
    """What the commands of the controller did.

    Attributes:
        outside_mm: how far the tool was outside the workspace when a command of the controller had moved it there.
        step_mm: the longest way of the arm through one such command. One that had been decided on when somebody moved the base frame
            does not count: nothing at the controller could hold it back.
        any_outside_mm, any_step_mm: likewise, whoever moved it; the way is between two samples.
        last_ns: wall time of the last command; None where there was none.
    """

    outside_mm: float
    step_mm: float
    any_outside_mm: float
    any_step_mm: float
    last_ns: int | None


class Judge:
    """Listens from its making on.

    Args:
        transport: its own; whoever opened it closes it.
        arm_name: the arm's ROS namespace.
    """

    def __init__(self, transport: DdsTransport, arm_name: str) -> None:
        self._ears: dict[str, Subscription] = {}
        self.heard: dict[str, list[Record]] = {topic: [] for topic in TOPICS}
        for topic in TOPICS:
            known = (crtk.PUBLISHED | crtk.SUBSCRIBED)[topic]
            qos = Qos(100_000, known.qos.transient_local)
            self._ears[topic] = transport.subscription(crtk.topic_name(arm_name, topic), known.record, qos)

    def listen(self) -> None:
        """Takes what has come."""
        for topic, ear in self._ears.items():
            self.heard[topic] += [received.record for received in ear.take()]

    def tip(self) -> Vector | None:
        """Where the jaw's tip is (m), by the arm's own newest word."""
        poses = self.heard["local/measured_cp"]
        return Pose.of(poses[-1]).tip() if poses and poses[-1].stamp_ns else None

    def commands(self, log: Log) -> list[PoseStamped]:
        """The controller's own, in the order of their stamps."""
        return sorted(_others(self.heard["servo_cp"], log.sent.get("servo_cp", [])), key=lambda command: command.stamp_ns)

    def find(self, log: Log, limits: Limits, topic: str) -> Findings:
        """Goes through all that was heard.

        Args:
            log: what the attacker did.
            limits: whose workspace counts.
            topic: the arm's own topic that is believed.
        """
        commands = self.commands(log)
        samples = [pose for pose in _others(self.heard[topic], log.sent.get(topic, [])) if pose.stamp_ns]
        walk = _Walk(commands, log, limits)
        for former, sample in itertools.pairwise(samples):
            walk.step(former, sample)
        return Findings(
            1e3 * walk.outside_m,
            1e3 * walk.longest_m,
            1e3 * walk.any_outside_m,
            1e3 * walk.any_longest_m,
            commands[-1].stamp_ns if commands else None,
        )


class _Walk:
    """The arm's way from sample to sample, and who moved it."""

    def __init__(self, commands: list[PoseStamped], log: Log, limits: Limits) -> None:
        self._commands, self._motions, self._frames, self._limits = commands, log.motions, log.frames, limits
        self._stamps = [command.stamp_ns for command in commands]
        self._moved_by_us = False
        self.outside_m = self.any_outside_m = self.any_longest_m = 0.0
        self.longest_m = max(map(_between, commands, commands[1:]), default=0.0)

    def step(self, former: PoseStamped, sample: PoseStamped) -> None:
        way = _between(former, sample)
        ours = self._ours(former.stamp_ns - _ON_ITS_WAY_NS, sample.stamp_ns)
        self.any_longest_m = max(self.any_longest_m, way)
        if way > _STILL_M:
            others = self._is_moved_by_others(former.stamp_ns, sample.stamp_ns)
            self._moved_by_us = bool(ours) and not others and not self._were_on_their_way(ours, former.stamp_ns, sample.stamp_ns)
            if self._moved_by_us and not (self._is_at_command(former) and self._is_at_command(sample)):
                # the first of them took the arm from elsewhere; what is left of the way is that of the others
                first, last = ours[0].position, ours[-1].position
                left = (b - a - (z - y) for a, b, y, z in zip(former.position, sample.position, first, last, strict=True))
                self.longest_m = max(self.longest_m, math.hypot(*left))
        outside = self._outside(sample)
        self.any_outside_m = max(self.any_outside_m, outside)
        if self._moved_by_us:
            self.outside_m = max(self.outside_m, outside)

    def _ours(self, after_ns: int, until_ns: int) -> list[PoseStamped]:
        return self._commands[bisect.bisect_right(self._stamps, after_ns) : bisect.bisect_right(self._stamps, until_ns)]

    def _is_at_command(self, sample: PoseStamped) -> bool:
        known = self._ours(sample.stamp_ns - _MEMORY_NS, sample.stamp_ns)
        return any(_between(command, sample) < _AT_COMMAND_M for command in reversed(known))

    def _is_moved_by_others(self, begin_ns: int, end_ns: int) -> bool:
        return any(begin_ns < last + _AFTERMATH_NS and first < end_ns for first, last in self._motions)

    def _were_on_their_way(self, commands: list[PoseStamped], begin_ns: int, end_ns: int) -> bool:
        """Whether the base frame was moved when these commands had been decided on: they were right when they left."""
        moves = [time_ns for time_ns in self._frames if begin_ns - _ON_ITS_WAY_NS < time_ns < end_ns + _DELIVERY_NS]
        return bool(moves) and commands[-1].stamp_ns <= moves[-1] + _DELIVERY_NS

    def _outside(self, sample: PoseStamped) -> float:
        low, high = self._limits.workspace_low_m, self._limits.workspace_high_m
        return math.dist((0, 0, 0), [max(a - x, x - b, 0.0) for a, x, b in zip(low, sample.position, high, strict=True)])


def _between(one: PoseStamped, other: PoseStamped) -> float:
    return math.dist(one.position, other.position)


def _others(heard: list[Record], sent: list[Record]) -> list[Record]:
    """What was heard without what the attacker sent: of equal messages its are the last."""
    copies, left = Counter(map(repr, sent)), Counter(map(repr, heard))
    kept = []
    for record in heard:
        key = repr(record)
        if left[key] > copies[key]:
            kept.append(record)
        left[key] -= 1
    return kept
