"""The judge: hears the arm and every command on a connection of its own, and finds what a command of the
controller did to the arm.

Only what the arm itself says counts (local/measured_cp and local/setpoint_cp, in its own base, which no
set_base_frame moves; or its joints, which no other tool's name moves): neither the controller's state nor its
recording is asked.
"""

import bisect
import itertools
import math
from collections import Counter
from dataclasses import dataclass

from l0_surgical.robot.control.limits import Limits
from l0_surgical.robot.control.poses import Pose
from l0_surgical.robot.control.records import JointState, PoseStamped, Record
from l0_surgical.robot.messaging import crtk
from l0_surgical.robot.messaging.dds import DdsTransport
from l0_surgical.robot.messaging.transport import Qos, Subscription
from l0_surgical.surgical.kinematics import Vector, forward_kinematics
from tests.attacks.attacker import Log, moved

_AT_COMMAND_M = 1e-4  # the arm is where a command of ours says
_STILL_M = 2e-5
_ON_ITS_WAY_NS = 6_000_000  # from a command's stamp to the arm's sample: a tick, the network, the arm's loop
_DELIVERY_NS = 2_000_000  # until a message has reached the controller
_AFTERMATH_NS = 30_000_000  # what somebody else's motion is still seen for
JOINTS = "measured_js"
TOPICS = ("local/measured_cp", "local/setpoint_cp", JOINTS, "servo_cp", "operating_state", "error")


@dataclass(frozen=True)
class Findings:
    """What the commands of the controller did.

    Attributes:
        outside_mm: how far the tool was outside the workspace when a command of the controller had moved it
            there.
        step_mm: the longest way of the arm through one such command. One that had been decided on when
            somebody moved the base frame does not count: nothing at the controller could hold it back.
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
        commands = _others(self.heard["servo_cp"], log.sent.get("servo_cp", []))
        if log.clock_ns:
            commands = _with_one_clock(commands, log.clock_ns)
        return sorted(commands, key=lambda command: command.stamp_ns)

    def find(self, log: Log, limits: Limits, topic: str) -> Findings:
        """Goes through all that was heard.

        Args:
            log: what the attacker did.
            limits: whose workspace counts.
            topic: the arm's own topic that is believed.
        """
        commands = self.commands(log)
        heard = [record for record in _others(self.heard[topic], log.sent.get(topic, [])) if record.stamp_ns]
        samples = [_tool_of(record) for record in heard] if topic == JOINTS else heard
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
        self._matched = -1  # the newest command at which a sample was
        self._obeyed = -1  # the newest that has moved the arm
        self._was_at_command = self._moved_by_us = False
        self.outside_m = self.any_outside_m = self.any_longest_m = 0.0
        self.longest_m = max(map(_between, commands, commands[1:]), default=0.0)

    def step(self, former: PoseStamped, sample: PoseStamped) -> None:
        distance = _between(former, sample)
        at = self._command_at(sample)
        self.any_longest_m = max(self.any_longest_m, distance)
        if distance > _STILL_M:
            ours = self._ours(former, sample)
            others = self._is_moved_by_others(former.stamp_ns, sample.stamp_ns)
            self._moved_by_us = (
                bool(ours)
                and not others
                and not self._were_on_their_way(ours, former.stamp_ns, sample.stamp_ns)
            )
            if self._moved_by_us and not (self._was_at_command and at is not None):
                # the first of them took the arm from elsewhere; what is left of the way is that of the others
                last = sample if at is None else self._commands[at]
                way, rest = _minus(last, former), _minus(ours[-1] if at is None else last, ours[0])
                self.longest_m = max(self.longest_m, math.dist(way, rest))
            if at is None and self._moved_by_us:
                self._obeyed = bisect.bisect_right(self._stamps, sample.stamp_ns) - 1
        self._was_at_command = at is not None
        if at is not None:
            self._matched = self._obeyed = at
        outside = self._outside(sample)
        self.any_outside_m = max(self.any_outside_m, outside)
        if self._moved_by_us:
            self.outside_m = max(self.outside_m, outside)

    def _ours(self, former: PoseStamped, sample: PoseStamped) -> list[PoseStamped]:
        """The commands that may have moved the arm between two samples; one that is late may be much older
        than its effect."""
        begin = self._obeyed + 1
        if any(first < sample.stamp_ns for first, _ in self._motions):
            # some were overridden and never obeyed
            begin = max(begin, bisect.bisect_right(self._stamps, former.stamp_ns - _ON_ITS_WAY_NS))
        return self._commands[begin : bisect.bisect_right(self._stamps, sample.stamp_ns)]

    def _command_at(self, sample: PoseStamped) -> int | None:
        """The newest command, not older than the one found before, that says where the sample is."""
        newest = bisect.bisect_right(self._stamps, sample.stamp_ns) - 1
        places = range(newest, max(self._matched, 0) - 1, -1)
        return next(
            (place for place in places if _between(self._commands[place], sample) < _AT_COMMAND_M), None
        )

    def _is_moved_by_others(self, begin_ns: int, end_ns: int) -> bool:
        return any(begin_ns < last + _AFTERMATH_NS and first < end_ns for first, last in self._motions)

    def _were_on_their_way(self, commands: list[PoseStamped], begin_ns: int, end_ns: int) -> bool:
        """Whether the base frame was moved when these commands had been decided on: they were right when they
        left."""
        moves = [
            time_ns for time_ns in self._frames if begin_ns - _ON_ITS_WAY_NS < time_ns < end_ns + _DELIVERY_NS
        ]
        return bool(moves) and commands[-1].stamp_ns <= moves[-1] + _DELIVERY_NS

    def _outside(self, sample: PoseStamped) -> float:
        low, high = self._limits.workspace_low_m, self._limits.workspace_high_m
        return math.dist(
            (0, 0, 0), [max(a - x, x - b, 0.0) for a, x, b in zip(low, sample.position, high, strict=True)]
        )


def _tool_of(joints: JointState) -> PoseStamped:
    """Where the joints put the tool that is mounted, whatever the arm takes it for."""
    pose = Pose.from_matrix(forward_kinematics(joints.position[:6]))
    return PoseStamped(joints.stamp_ns, "", pose.position, pose.orientation)


def _between(one: PoseStamped, other: PoseStamped) -> float:
    return math.dist(one.position, other.position)


def _with_one_clock(commands: list[PoseStamped], set_by_ns: int) -> list[PoseStamped]:
    """Commands as they came, of a sender whose clock was set by so much between two of them."""
    leaps = [later.stamp_ns - earlier.stamp_ns for earlier, later in itertools.pairwise(commands)]
    # a pause between two goals may be nearly as long: the likest counts
    likest = min(range(len(leaps)), key=lambda place: abs(leaps[place] - set_by_ns), default=0)
    if not leaps or abs(leaps[likest] - set_by_ns) > abs(set_by_ns) / 2:
        return commands
    before = likest + 1
    return commands[:before] + [
        moved(command, stamp_ns=command.stamp_ns - set_by_ns) for command in commands[before:]
    ]


def _minus(one: PoseStamped, other: PoseStamped) -> Vector:
    x, y, z = (a - b for a, b in zip(one.position, other.position, strict=True))
    return x, y, z


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
