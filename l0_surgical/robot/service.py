"""The controller as a service: its servo loop in a thread of its own, spoken to by another thread, as a ROS 2
node does.

`l0-surgical control` (`robot.Operation`) is the other way to run a controller: with a plan, from beginning to
end.
"""

import contextlib
import dataclasses
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from l0_surgical.robot.connection import Connection
from l0_surgical.robot.control.controller import State, Status
from l0_surgical.robot.control.realtime import RealTime
from l0_surgical.robot.control.servo_loop import LoopReport, ServoLoop
from l0_surgical.robot.messaging.transport import Transport
from l0_surgical.robot.requests import ConnectionSettings
from l0_surgical.robot.worker import Calls, Worker
from l0_surgical.surgical.kinematics import Vector
from l0_surgical.system.errors import L0SurgicalError

T = TypeVar("T")


@dataclass(frozen=True)
class ServiceReport:
    """What a service has to say of itself.

    Attributes:
        controller: the controller's status.
        loop: how the servo loop keeps its deadlines, since the last start.
        goals: how many were set.
        goals_reached: how many of them were reached.
        measured_cp_age_ms: since the newest measured_cp was taken; None before the first.
        arm_state: the arm's operating state as it says itself, e.g. "ENABLED, homed"; None before the first.
        peers: which of the arm's topics have found their peer.
        warnings: what the operator should know and what stops nothing, each once.
    """

    controller: Status
    loop: LoopReport
    goals: int
    goals_reached: int
    measured_cp_age_ms: float | None
    arm_state: str | None
    peers: str
    warnings: tuple[str, ...]


class ControlService:
    """Opens everything; `start` lets the servo loop run, disarmed; `stop` ends that; `close` ends all. Used
    from one thread.

    Args:
        settings: what to run.
        open_transport: opens the transport to the arm, after all threads have taken real-time priority, which
            new ones inherit.

    Raises:
        BadInputError, L0SurgicalError: something cannot be read or opened; nothing stays open.
    """

    def __init__(self, settings: ConnectionSettings, open_transport: Callable[[], Transport]) -> None:
        self.settings = settings
        self._connection = Connection(settings, open_transport)
        self._controller = self._connection.controller
        self._calls = Calls()
        self._worker: Worker | None = None
        self._goals = self._goals_reached = 0
        self._is_underway = False
        self._loop = ServoLoop(self._tick, settings.servo_rate, on_stall=self._controller.stall)

    @property
    def real_time(self) -> RealTime:
        """What the system granted."""
        return self._connection.real_time

    @property
    def is_running(self) -> bool:
        return self._worker is not None

    def start(self) -> None:
        """Starts the servo loop; the controller is disarmed, or still at the fault that it had."""
        self._loop = ServoLoop(self._tick, self.settings.servo_rate, on_stall=self._controller.stall)
        self._worker = Worker("servo loop", self._loop.run)

    def stop(self) -> None:
        """Disarms and ends the servo loop; the arm holds its last setpoint. Harmless when it does not run."""
        if self._worker is not None:
            worker, self._worker = self._worker, None
            worker.stop()
            self._controller.disarm()
            worker.check()

    def close(self) -> None:
        """Stops, completes the recording and leaves the arm's topics.

        Raises:
            L0SurgicalError: the disk did not take the whole recording; everything is closed nevertheless.
        """
        with contextlib.closing(self._connection):
            self.stop()

    def arm(self) -> None:
        """Lets the controller take over the arm; raises as `Controller.arm`, and L0SurgicalError where the
        loop does not run."""
        self._ask(self._controller.arm)

    def disarm(self) -> None:
        """Lets the controller stop sending; raises L0SurgicalError where the loop does not run."""
        self._ask(self._controller.disarm)

    def reset(self) -> None:
        """Lets the controller forget a fault; raises L0SurgicalError where the loop does not run."""
        self._ask(self._controller.reset)

    def set_goal(self, tip_m: Vector) -> None:
        """Moves the jaw's tip to `tip_m` (m, the arm's base frame) and forgets a former goal; raises as
        `Controller.set_goal`."""
        self._ask(lambda: self._controller.set_goal(tip_m))
        self._goals += 1
        self._is_underway = True

    def take_outcome(self) -> bool | None:
        """Whether the goal was reached, once, when that is decided; None before that and after. A disarming
        or a fault ends it as well.

        Raises:
            BaseException: whatever has ended the servo loop.
        """
        if self._worker is not None:
            self._worker.check()
        if not self._is_underway or self._controller.state in (State.APPROACHING, State.REACHING):
            return None
        self._is_underway = False
        is_reached = self._controller.status().is_reached
        self._goals_reached += is_reached
        return is_reached

    @property
    def state(self) -> State:
        return self._controller.state

    def report(self) -> ServiceReport:
        """The state and all statistics; looks after the files, too."""
        self._connection.look_after_files()
        inputs = self._controller.inputs
        measured, state = inputs.measured_cp, inputs.operating_state
        return ServiceReport(
            controller=self._controller.status(),
            loop=self._loop.report(),
            goals=self._goals,
            goals_reached=self._goals_reached,
            measured_cp_age_ms=None
            if measured is None
            else 1e-6 * (time.monotonic_ns() - measured.received_ns),
            arm_state=None
            if state is None
            else f"{state.record.state}, {'homed' if state.record.is_homed else 'not homed'}",
            peers=self._connection.arm.describe_peers(),
            warnings=tuple(self._connection.warnings),
        )

    def _tick(self) -> None:
        self._calls.run_waiting()
        self._controller.tick()

    def _ask(self, question: Callable[[], T]) -> T:
        if self._worker is None:
            raise L0SurgicalError("the servo loop does not run; start it first")
        self._worker.check()
        return self._calls.call(question)


def report_texts(report: Any, prefix: str = "") -> list[tuple[str, str]]:
    """The fields of a report (a dataclass, with others inside) as the pairs of texts that diagnostics carry:
    ("loop.ticks", "1000")."""
    pairs = []
    for field in dataclasses.fields(report):
        value, name = getattr(report, field.name), prefix + field.name
        if dataclasses.is_dataclass(value):
            pairs += report_texts(value, f"{name}.")
        elif isinstance(value, tuple):
            pairs.append((name, "; ".join(_text(part) for part in value)))
        else:
            pairs.append((name, _text(value)))
    return pairs


def _text(value: Any) -> str:
    if value is None:
        return "none"
    return f"{value:.6g}" if isinstance(value, float) else str(value)
