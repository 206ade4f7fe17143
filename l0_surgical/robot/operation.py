"""What `l0-surgical control` does: a policy at an arm, over DDS or ROS 2, with everything that must be opened
and closed around it."""

import dataclasses
import itertools
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from l0_surgical.robot.connection import Connection
from l0_surgical.robot.control.servo_loop import ServoLoop
from l0_surgical.robot.control.session import Session
from l0_surgical.robot.messaging.opening import open_transport
from l0_surgical.robot.messaging.transport import Transport
from l0_surgical.robot.requests import ControlRequest
from l0_surgical.surgical.kinematics import Vector
from l0_surgical.system.errors import L0SurgicalError
from l0_surgical.system.process import resident_mib
from l0_surgical.system.stopping import Stop

PEERS_TIMEOUT_S = 5.0
_FILE_CHECK_S = 1.0

Say = Callable[[str], None]


class Operation:
    """A session at an arm, from opening the transport to the result. `run` once.

    Args:
        request: what to do.
        say: takes each line for a person, e.g. which topics have found their peer.

    Raises:
        BadInputError, L0SurgicalError: something cannot be read or opened; nothing stays open.
    """

    def __init__(self, request: ControlRequest, say: Say) -> None:
        self._request = request
        self._say = say
        self._stop = Stop()
        self._connection = Connection(request, self._open_transport, request.judge)
        self.controller = self._connection.controller
        self._session = Session(
            self.controller,
            self._connection.arm,
            self._goals(),
            bring_up=request.bring_up,
            duration_s=request.duration,
            timeout_s=request.timeout,
        )
        self._loop = ServoLoop(self._tick, request.servo_rate, on_stall=self._tell_stall)

    def run(self) -> dict[str, Any]:
        """Waits for the arm's topics, runs the servo loop in this thread until the session is over or a
        signal comes, and closes all.

        A signal ends it: nothing more is sent, the recording is completed, the result is returned.

        Returns:
            The keys that `docs/robot.md` lists; `failure` is None unless the session ended before its time or
            the recording is incomplete.
        """
        with self._stop.on_signals():
            try:
                seconds = self._work()
            finally:
                incomplete = self._close()
            return self._result(seconds, incomplete)

    def describe(self) -> str:
        """One line for a person: what is being done, how far it is and how well time is kept. Any thread may
        ask."""
        status, loop = self.controller.status(), self._loop.report()
        distance = f", {status.distance_mm:.1f} mm to go" if status.distance_mm is not None else ""
        reached = sum(outcome.is_reached for outcome in self._session.outcomes)
        return (
            f"{self._request.arm} {self._session.doing}: {status.state}{distance}; "
            f"{reached}/{len(self._session.outcomes)} reached; "
            f"jitter p99 {status.jitter.p99_ms:.2f} ms, age p99 {status.age.p99_ms:.1f} ms, missed "
            f"{loop.missed_periods}" + ("; DRY RUN" if status.dry_run else "")
        )

    def _open_transport(self) -> Transport:
        request = self._request
        return open_transport(
            request.transport,
            request.domain,
            request.discovery,
            f"l0_surgical_control_{request.arm}",
            request.interface,
        )

    def _work(self) -> float:
        """Runs the servo loop to its end; returns how many seconds it ran."""
        connection = self._connection
        connection.arm.wait_for_peers(min(PEERS_TIMEOUT_S, self._request.timeout), self._stop)
        self._say(connection.arm.describe_peers())
        for refused in connection.real_time.refused:
            self._say(f"without {refused}")
        begin = time.monotonic()
        self._note("begin")
        self._loop.run(self._stop)
        self._session.end()
        self._note("end")
        return time.monotonic() - begin

    def _close(self) -> str | None:
        """Closes all; returns why the recording is incomplete, or None: what was done at the arm is told
        nevertheless."""
        try:
            self._connection.close()
        except L0SurgicalError as error:
            return str(error)
        return None

    def _goals(self) -> Iterator[Vector]:
        if self._request.goal is not None:
            return iter([self._request.goal])
        generator = np.random.default_rng(self._request.seed)
        goals = (self.controller.task.draw_goal_m(generator) for _ in itertools.count())
        return goals if self._request.duration is not None else itertools.islice(goals, self._request.goals)

    def _tick(self) -> None:
        self._session.tick()
        if self._session.is_over:
            self._stop.set()
        if self.controller.ticks % round(_FILE_CHECK_S * self._request.servo_rate) == 0:
            for text in self._connection.look_after_files():
                self._say(text)

    def _tell_stall(self, reason: str) -> None:
        self.controller.stall(reason)
        self._say(f"fault: {reason}")

    def _note(self, what: str) -> None:
        recording = self._connection.recording
        if recording is not None and not recording.failure:
            recording.note(f"{what}: {self._request}")

    def _result(self, seconds: float, incomplete: str | None) -> dict[str, Any]:
        request, session, status, loop = (
            self._request,
            self._session,
            self.controller.status(),
            self._loop.report(),
        )
        reached = sum(outcome.is_reached for outcome in session.outcomes)
        # the goal at which it failed was tried, too; one that was cut short was not
        tried = session.goals_begun if session.failure is not None else len(session.outcomes)
        return {
            "policy": request.policy,
            "arm": request.arm,
            "transport": request.transport,
            "servo_rate": request.servo_rate,
            "speed": request.speed,
            "dry_run": request.dry_run,
            "goals": tried,
            "reached": reached,
            "success_rate": reached / tried if tried else None,
            "outcomes": [dataclasses.asdict(outcome) for outcome in session.outcomes],
            "setpoints": status.sent,
            "limited": status.limited,
            "missed_periods": loop.missed_periods,
            "longest_late_periods": loop.longest_late_periods,
            **{
                name: dataclasses.asdict(getattr(status, name))
                for name in ("latency", "jitter", "period", "age", "policy_step")
            },
            "faults": [status.fault] if status.fault is not None else [],
            "failure": session.failure or incomplete,
            "interrupted_by": self._stop.signal_name,
            "warnings": self._connection.warnings,
            "real_time": dataclasses.asdict(self._connection.real_time),
            "resident_mib": resident_mib(),
            "seconds": seconds,
            "record": str(request.record) if request.record else None,
        }
