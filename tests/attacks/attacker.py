"""The attacker's means: a connection of its own, the processes' handles, and the verbs of which attacks are
made."""

import dataclasses
import math
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from l0_surgical.robot.control.limits import Limits
from l0_surgical.robot.control.records import Empty, JointState, OperatingState, PoseStamped, Record, String
from l0_surgical.robot.messaging import crtk
from l0_surgical.robot.messaging.dds import DdsTransport
from l0_surgical.robot.messaging.transport import COMMAND, Publisher, Qos, Subscription
from tests.attacks.workers import Lie, Worker

_PEERS_S = 3.0
_POLL_S = 0.0005
_AT_ONCE_S = 0.05
_MOVE_S = 3.0  # how long a move_* may take
MOVES = ("servo_", "move_", "body/servo", "spatial/servo", "free", "use_gravity")
"""How the names of topics begin whose messages move the arm by themselves."""


@dataclass
class Log:
    """What the attacker did, for the judge.

    Attributes:
        begun_ns: wall time of its first act; None before.
        sent: what it published, by topic, as often as it did.
        motions: from when to when (wall time, ns) the arm was moved by somebody else.
        frames: when (wall time, ns) a set_base_frame, or the first set_tool_type, had been sent.
        clock_ns: by how much the controller's clock was set at the first act.
        rates: how many messages a second a flood had.
        answer_s: how long the controller took to answer meanwhile.
        said: what other programs said that the attack started.
    """

    begun_ns: int | None = None
    sent: dict[str, list[Record]] = field(default_factory=dict)
    motions: list[tuple[int, int]] = field(default_factory=list)
    frames: list[int] = field(default_factory=list)
    clock_ns: int = 0
    rates: list[float] = field(default_factory=list)
    answer_s: float | None = None
    said: list[str] = field(default_factory=list)


class Attacker:
    """Everything that an attack may use. Its methods are called in one thread.

    Args:
        transport: its own; whoever opened it closes it.
        arm_name: the arm's ROS namespace.
        arm, controller: the processes.
        limits: the controller's.
        domain: of DDS.
        command_line: arguments of `l0-surgical control` that reach this arm.
        over: set when the scene ends.

    Attributes:
        proceed: an attack from before the arming, or in READY, sets it where the operator is to go on before
            it is over.
    """

    def __init__(
        self,
        transport: DdsTransport,
        arm_name: str,
        arm: Any,
        controller: Worker,
        limits: Limits,
        domain: int,
        command_line: list[str],
        over: threading.Event,
    ) -> None:
        self.log = Log()
        self.arm_name, self.arm, self.controller, self.limits = arm_name, arm, controller, limits
        self.transport, self.domain = transport, domain
        self._command_line = command_line
        self._over = over
        self.proceed = threading.Event()
        self._publishers: dict[str, Publisher] = {}
        self._ears: dict[str, Subscription] = {}
        self._own: Counter[str] = Counter()
        self._programs: list[subprocess.Popen[str]] = []
        self._workers: list[Worker] = []

    # --- time ---

    @property
    def is_over(self) -> bool:
        return self._over.is_set()

    def begin(self) -> None:
        """Marks the first act."""
        if self.log.begun_ns is None:
            self.log.begun_ns = time.time_ns()

    def wait(self, seconds: float) -> None:
        """Returns earlier where the scene ends."""
        self._over.wait(seconds)

    def every(self, period_s: float, lasting_s: float) -> Iterator[int]:
        """Counts from 0, once a period, until the time or the scene is over."""
        begin, count = time.monotonic(), 0
        while count == 0 or time.monotonic() - begin < lasting_s:
            if self.is_over:
                return
            yield count
            count += 1
            self._over.wait(max(0.0, begin + count * period_s - time.monotonic()))

    # --- speaking and hearing ---

    def open(self, topic: str) -> Publisher:
        """A publisher on the arm's topic (or on one that begins with /), which has found its readers.

        On a topic on which the arm alone should speak, that is the first act.
        """
        if topic not in self._publishers:
            if topic in crtk.PUBLISHED:
                self.begin()
            known, name = (
                self._known(topic),
                topic if topic.startswith("/") else crtk.topic_name(self.arm_name, topic),
            )
            publisher = self._publishers[topic] = self.transport.publisher(
                name, known.record, Qos(100, known.qos.transient_local)
            )
            deadline = time.monotonic() + _PEERS_S
            while not publisher.peers() and time.monotonic() < deadline:
                time.sleep(_POLL_S)
        return self._publishers[topic]

    def say(self, topic: str, record: Record) -> None:
        """Publishes on the arm's topic."""
        publisher = self.open(topic)
        now_ns = time.time_ns()
        self.begin()
        self.log.sent.setdefault(topic, []).append(record)
        if topic in self._ears:
            self._own[_key(topic, record)] += 1
        if topic.startswith(MOVES):
            self.moves(_MOVE_S if topic.startswith("move_") else _AT_ONCE_S, now_ns)
        publisher.publish(record)
        if topic == "set_base_frame" or (topic == "set_tool_type" and not self.log.frames):
            self.log.frames.append(time.time_ns())

    def moves(self, lasting_s: float, begin_ns: int | None = None) -> None:
        """Notes that from now on somebody else than the controller moves the arm for so long."""
        begin_ns = time.time_ns() if begin_ns is None else begin_ns
        self.log.motions.append((begin_ns, begin_ns + round(1e9 * lasting_s)))

    def ear(self, topic: str) -> Subscription:
        """Hears the arm's topic from now on."""
        if topic not in self._ears:
            known = self._known(topic)
            qos = Qos(10_000, known.qos.transient_local)
            self._ears[topic] = self.transport.subscription(
                crtk.topic_name(self.arm_name, topic), known.record, qos
            )
        return self._ears[topic]

    def heard(self, topic: str) -> list[Any]:
        """What others have said on it since the last call, oldest first."""
        return [
            received.record for received in self.ear(topic).take() if not self._is_own(topic, received.record)
        ]

    def next(self, topic: str) -> Any:
        """The next message of others on it, from now on."""
        self.ear(topic)
        self.heard(topic)
        while not (news := self.heard(topic)) and not self.is_over:
            time.sleep(_POLL_S)
        return news[-1] if news else None

    def each(self, topic: str, lasting_s: float) -> Iterator[Any]:
        """Every message of others on it as it comes."""
        end = time.monotonic() + lasting_s
        self.ear(topic)
        while time.monotonic() < end and not self.is_over:
            yield from self.heard(topic)
            time.sleep(_POLL_S)

    def mimic(
        self, topic: str, change: Callable[[Any, float], Record | None], lasting_s: float = 3.0
    ) -> None:
        """A second publisher of the arm's topic: each message once more, changed (by the message and the
        seconds since the first)."""
        self.open(topic)
        begin = time.monotonic()
        for record in self.each(topic, lasting_s):
            if (said := change(record, time.monotonic() - begin)) is not None:
                self.say(topic, said)

    def flood(self, topic: str, record: Record, lasting_s: float = 1.0) -> None:
        """The same message as fast as this process can, and meanwhile asks the controller to disarm."""
        publisher = self.open(topic)
        self.begin()
        if topic.startswith(MOVES):
            self.moves(lasting_s + 1)
        asker = threading.Timer(0.7 * lasting_s, self.ask_to_disarm)
        asker.start()
        begin, count = time.monotonic(), 0
        while (elapsed := time.monotonic() - begin) < lasting_s:
            for _ in range(100):
                publisher.publish(record)
            count += 100
        self.log.rates.append(count / elapsed)
        self.log.sent.setdefault(topic, []).extend([record] * count)
        asker.join()

    def ask_to_disarm(self) -> None:
        """Measures how long the controller takes to answer."""
        begin = time.monotonic()
        self.controller.ask("disarm")
        self.log.answer_s = time.monotonic() - begin

    @staticmethod
    def _known(topic: str) -> crtk.Topic:
        if topic.startswith("/system"):
            return crtk.Topic(Empty, COMMAND)
        return (crtk.PUBLISHED | crtk.SUBSCRIBED).get(topic) or crtk.Topic(String, COMMAND)

    def _is_own(self, topic: str, record: Record) -> bool:
        """Each message that was published here comes back once."""
        key = _key(topic, record)
        is_own = self._own[key] > 0
        if is_own:
            self._own[key] -= 1
        return is_own

    # --- the arm and the processes ---

    def inject(self, fault: str) -> None:
        """Tells our simulated arm to have a fault."""
        self.open("simulation/inject")
        self.say("simulation/inject", String(fault))

    def lie(self, topic: str, what: Lie) -> None:
        """From now on our simulated arm itself says something else on its topic."""
        self.begin()
        self.arm.ask("lie", crtk.topic_name(self.arm_name, topic), what)

    def let_arm_say(self, topic: str, record: Record) -> None:
        """Our simulated arm itself says it, once."""
        self.begin()
        self.arm.ask("say", crtk.topic_name(self.arm_name, topic), record)

    def stop_for(self, who: Any, seconds: float) -> None:
        """Stands a process still."""
        self.begin()
        who.signal(signal.SIGSTOP)
        time.sleep(seconds)
        who.signal(signal.SIGCONT)

    def kill(self, who: Any) -> None:
        self.begin()
        who.kill()

    def another(self, serve: Callable[[Any], None]) -> Worker:
        """One more process of an arm or a controller, which ends with the scene."""
        worker = Worker(serve)
        worker.start()
        self._workers.append(worker)
        return worker

    def start_control(self, *arguments: str) -> subprocess.Popen[str]:
        """Another controller, as a person starts it."""
        command = [sys.executable, "-m", "l0_surgical", "control", *self._command_line, *arguments]
        self.begin()
        program = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=Path(__file__).parents[2],
        )
        self._programs.append(program)
        return program

    def end_control(self, program: subprocess.Popen[str], number: int | None) -> str:
        """Ends it by a signal, or waits until it ends by itself; returns what it said."""
        if number is not None:
            program.send_signal(number)
        self.log.said.append(program.communicate(timeout=30)[0])
        return self.log.said[-1]

    def close(self) -> None:
        """Ends the processes that it started."""
        for worker in self._workers:
            worker.kill()
        for program in self._programs:
            program.kill()
            program.wait()


def _key(topic: str, record: Record) -> str:
    # by its text, as one NaN is not equal to another
    return f"{topic} {record!r}"


def moved(
    pose: PoseStamped, x_m: float = 0.0, y_m: float = 0.0, z_m: float = 0.0, **changes: Any
) -> PoseStamped:
    """The pose so much farther along each axis, and what else is to differ."""
    x, y, z = pose.position
    return dataclasses.replace(pose, position=(x + x_m, y + y_m, z + z_m), **changes)


def base_frame(
    arm: str, x_m: float = 0.0, y_m: float = 0.0, z_m: float = 0.0, yaw_rad: float = 0.0
) -> PoseStamped:
    """A message for set_base_frame: the arm's base so much moved and turned."""
    return PoseStamped(
        time.time_ns(),
        f"{arm}_base",
        (x_m, y_m, z_m),
        (0.0, 0.0, math.sin(yaw_rad / 2), math.cos(yaw_rad / 2)),
    )


def bent(joints: JointState, **by: float) -> JointState:
    """The joints, some of them farther: by their names."""
    values = (value + by.get(name, 0.0) for name, value in zip(joints.name, joints.position, strict=True))
    return dataclasses.replace(joints, position=tuple(values))


def stated(known: OperatingState, **changes: Any) -> OperatingState:
    """The state, changed, and newer than all before."""
    return dataclasses.replace(known, **{"stamp_ns": time.time_ns()} | changes)
