"""A controller at an arm, in real time, with a witness who hears what was really sent."""

import contextlib
import dataclasses
import queue
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from shared_machine import SHARED_MACHINE

from l0_surgical.policy import Policy, find_policy, load_policy
from l0_surgical.robot.control.arm import ArmInputs
from l0_surgical.robot.control.audit import Audit, audit
from l0_surgical.robot.control.clock import Clock, Instant, SystemClock
from l0_surgical.robot.control.controller import Controller, State
from l0_surgical.robot.control.limits import Limits, load_limits
from l0_surgical.robot.control.poses import Pose
from l0_surgical.robot.control.realtime import enter_real_time
from l0_surgical.robot.control.records import PoseStamped, String
from l0_surgical.robot.control.servo_loop import ServoLoop
from l0_surgical.robot.control.session import Session
from l0_surgical.robot.messaging.arm_client import CrtkArm
from l0_surgical.robot.messaging.opening import open_transport
from l0_surgical.robot.messaging.recording import Recording, read_recording
from l0_surgical.robot.messaging.transport import COMMAND, Qos, Transport
from l0_surgical.robot.simulated_arm.process import arm_beside
from l0_surgical.surgical import arm_task

RATE_HZ = 200.0
POLICY = "needle-reach-l0-compressed"
TASK = arm_task("needle-reach")
TIMEOUT_S = 30.0


@dataclass(frozen=True)
class Setup:
    """Which arm, how to reach it, and how fast it may be moved."""

    arm: str
    transport: str
    domain: int | None
    discovery: str
    is_real: bool
    speed: float
    limits_file: Path | None

    def limits(self) -> Limits:
        limits = load_limits(self.limits_file)
        return limits if self.is_real else dataclasses.replace(limits, **SHARED_MACHINE)

    def open(self, who: str) -> Transport:
        return open_transport(self.transport, self.domain, self.discovery, f"hil_{who}")

    def where(self) -> list[str]:
        """The arm's place as arguments of the command line."""
        domain = [] if self.domain is None else ["--domain", str(self.domain)]
        return ["--arm", self.arm, "--transport", self.transport, "--discovery", self.discovery, *domain]

    @contextlib.contextmanager
    def simulated_arm(self) -> Iterator[None]:
        with arm_beside(*self.where(), "--inject"):
            yield

    def goals(self, count: int) -> list[tuple[float, float, float]]:
        generator = np.random.default_rng(11)
        return [TASK.draw_goal_m(generator) for _ in range(count)]


class ShiftedClock(SystemClock):
    """The system's clocks, with a wall clock that can be set."""

    shift_ns = 0

    def now(self) -> Instant:
        now = super().now()
        return Instant(now.monotonic_ns, now.wall_ns + self.shift_ns)


class DistortedArm(CrtkArm):
    """A real arm whose messages may be distorted on this side of the network, as a broken one's would be."""

    distort: Callable[[ArmInputs], ArmInputs] = staticmethod(lambda inputs: inputs)

    def poll(self) -> ArmInputs:
        return self.distort(super().poll())


def _changed(change: Callable[[PoseStamped], dict[str, Any]]) -> Callable[[ArmInputs], ArmInputs]:
    def distort(inputs: ArmInputs) -> ArmInputs:
        poses = [
            dataclasses.replace(pose, record=dataclasses.replace(pose.record, **change(pose.record)))
            for pose in inputs.news["measured_cp"]
        ]
        news = inputs.news | {"measured_cp": poses}
        return dataclasses.replace(inputs, news=news, measured_cp=poses[-1] if poses else inputs.measured_cp)

    return distort


def _stopped(inputs: ArmInputs) -> ArmInputs:
    news = inputs.news | {"measured_cp": []}
    return dataclasses.replace(
        inputs, news=news, measured_cp=dataclasses.replace(inputs.measured_cp, received_ns=0)
    )


# what `simulated_arm.faults` does at the source, done here for a real arm
DISTORTIONS = {
    "stop_telemetry": _stopped,
    "stale": _changed(lambda pose: {"stamp_ns": pose.stamp_ns - 1_000_000_000}),
    "nan": _changed(lambda pose: {"position": (pose.position[0], float("nan"), pose.position[2])}),
    "wrong_frame": _changed(lambda pose: {"frame_id": "ECM"}),
    "jump": _changed(lambda pose: {"position": (pose.position[0] + 0.02, *pose.position[1:])}),
    "not_valid": _changed(lambda pose: {"stamp_ns": 0}),
}


class Witness:
    """Hears every servo_cp on a connection of its own."""

    def __init__(self, setup: Setup) -> None:
        self._setup = setup
        self._transport = setup.open("witness")
        self._ear = self._transport.subscription(f"/{setup.arm}/servo_cp", PoseStamped, Qos(100_000))
        self.heard: list[PoseStamped] = []

    def listen(self) -> int:
        """Takes what has come; returns how many commands there were so far."""
        self.heard += [received.record for received in self._ear.take()]
        return len(self.heard)

    def wait_for(self, more: int, timeout_s: float = TIMEOUT_S) -> None:
        """Returns once `more` further commands were heard."""
        wanted = self.listen() + more
        wait_until(lambda: self.listen() >= wanted, timeout_s, f"{more} more setpoints")

    def settle(self) -> int:
        """Listens until nothing more comes; returns how many commands there were in all."""
        before = -1
        while before != (before := self.listen()):
            time.sleep(0.2)
        return before

    def audit(self, limits: Limits) -> Audit:
        self.settle()
        return audit(
            [(f"/{self._setup.arm}/servo_cp", 0, record) for record in self.heard], self._setup.arm, limits
        )

    def close(self) -> None:
        self._transport.close()


class Bench:
    """A controller ticking in a thread of its own. Everything that concerns it is done in that thread, by
    `call`."""

    def __init__(
        self, setup: Setup, folder: Path, *, policy: Policy | None = None, clock: Clock | None = None
    ) -> None:
        self.setup = setup
        self.witness = Witness(setup)
        self.foreign_commands = 0
        self._path = folder / "hil.mcap"
        self._policy = policy or load_policy(find_policy(POLICY))
        self._clock = clock or SystemClock()
        self._calls: queue.SimpleQueue[tuple[Callable[[], Any], Future]] = queue.SimpleQueue()
        self._stop = threading.Event()
        self._opened: Future[None] = Future()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        self._opened.result(TIMEOUT_S)
        # a writer sends only to readers that it has discovered: the arm and the witness
        wait_until(
            lambda: self.call(self.arm.peers)[f"/{setup.arm}/servo_cp"] >= 2,
            TIMEOUT_S,
            "the arm and the witness to be heard of",
        )

    def _run(self) -> None:
        """All that is opened here inherits the thread's priority."""
        try:
            enter_real_time()
            self.transport = self.setup.open("controller")
            self.arm = DistortedArm(self.transport, self.setup.arm)
            self._inject = self.transport.publisher(f"/{self.setup.arm}/simulation/inject", String, COMMAND)
            self._recording = Recording(self._path, self.transport)
            self.controller = Controller(
                self._policy,
                self.arm,
                self.setup.limits(),
                servo_rate=RATE_HZ,
                speed=self.setup.speed,
                recorder=self._recording,
                clock=self._clock,
            )
            self._job: Controller | Session = self.controller
            self.loop = ServoLoop(self._tick, RATE_HZ, on_stall=self.controller.stall)
        except BaseException as error:
            self._opened.set_exception(error)
            raise
        self._opened.set_result(None)
        self.loop.run(self._stop)

    def _tick(self) -> None:
        while not self._calls.empty():
            work, answer = self._calls.get()
            try:
                answer.set_result(work())
            except Exception as error:
                answer.set_exception(error)
        self._job.tick()

    def call(self, work: Callable[[], Any]) -> Any:
        """Does `work` between two ticks and returns what it returns."""
        answer: Future[Any] = Future()
        self._calls.put((work, answer))
        return answer.result(TIMEOUT_S)

    def session(self, goals: list[tuple[float, float, float]]) -> Session:
        """Lets an operator's session bring the arm up and set goals; returns it when it is over."""
        session = Session(self.controller, self.arm, goals, clock=self._clock)
        self.call(lambda: setattr(self, "_job", session))
        wait_until(
            lambda: session.is_over,
            TIMEOUT_S + 20 * len(goals) / self.setup.speed,
            f"the session's end, it is {session.doing}",
        )
        self.call(lambda: setattr(self, "_job", self.controller))
        return session

    def reaching(self) -> "Bench":
        """Brought up, armed and some way into the policy's motion."""
        assert self.session([]).failure is None
        self.call(self.controller.arm)
        self.call(lambda: self.controller.set_goal(self.setup.goals(1)[0]))
        self.wait_for(State.REACHING)
        self.witness.wait_for(40)
        assert self.controller.state is State.REACHING, self.controller.fault
        return self

    def wait_for(self, *states: State) -> None:
        wait_until(
            lambda: self.controller.state in states,
            TIMEOUT_S / self.setup.speed,
            f"one of {states}, not {self.controller.status()}",
        )

    def cause(self, fault: str) -> None:
        """A fault of `simulated_arm.faults`: at the source, or at a real arm on this side of the network."""
        if not self.setup.is_real:
            self._inject.publish(String(fault))
        elif fault == "pause":
            self.arm.state_command("pause", time.time_ns())
        else:
            self.call(lambda: setattr(self.arm, "distort", DISTORTIONS.get(fault, lambda inputs: inputs)))

    def assert_fault(self, words: str) -> None:
        """The controller is or comes to be at fault for that reason; the stream has ended and the arm
        holds."""
        self.wait_for(State.FAULT)
        assert words in self.controller.fault
        time.sleep(0.1)
        sent = self.witness.listen()
        assert sent > 0
        self.cause("clear")
        time.sleep(0.3)
        held = self.measured()
        time.sleep(0.5)
        assert self.witness.listen() == sent
        assert self.measured().distance_to(held) < 0.0005
        assert self.controller.state is State.FAULT

    def assert_recovers(self) -> None:
        """After a reset the arm can be brought up, armed and moved again."""
        self.call(self.controller.reset)
        if self.call(lambda: self.controller.inputs).operating_state.record.state == "PAUSED":
            self.arm.state_command("resume", time.time_ns())
            time.sleep(0.3)
        assert self.session([]).failure is None
        self.call(self.controller.arm)
        self.call(self.controller.go_to_start)
        self.wait_for(State.HOLDING, State.FAULT)
        assert self.controller.fault is None

    def measured(self) -> Pose:
        return Pose.of(self.call(lambda: self.controller.inputs).measured_cp.record)

    def close(self) -> None:
        """Disarms and closes all; harmless when that is done already."""
        if self._stop.is_set():
            return
        self.cause("clear")
        self.call(self.controller.disarm)
        self._stop.set()
        self._thread.join()
        self._recording.close()
        self.witness.settle()
        self.witness.close()
        self.transport.close()

    def assert_no_limit_was_broken(self) -> None:
        """By what the controller recorded and by what the witness heard, which must be the same commands."""
        limits = self.setup.limits().scaled(self.setup.speed)
        recorded = audit(read_recording(self._path), self.setup.arm, limits)
        assert recorded.violations == []
        heard = self.witness.audit(limits)
        # the witness does not know when the controller started anew from where somebody else had put the arm
        motion = ("steps by", "moves at", "accelerates with", "has a jerk of")
        assert [line for line in heard.violations if not any(words in line for words in motion)] == []
        assert heard.commands == recorded.commands + self.foreign_commands


def wait_until(condition: Callable[[], bool], timeout_s: float, what: str) -> None:
    """Returns once the condition holds; fails with `what` was waited for."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, f"waited {timeout_s:g} s in vain for {what}"
        time.sleep(0.01)
