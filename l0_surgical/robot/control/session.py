"""What an operator does with a controller: enable and home the arm, arm the controller, set goals one after
another, disarm."""

import math
from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass

from l0_surgical.robot.control.arm import Arm
from l0_surgical.robot.control.clock import Clock, SystemClock
from l0_surgical.robot.control.controller import Controller, State
from l0_surgical.robot.control.records import OperatingState
from l0_surgical.robot.control.safety import SafetyError
from l0_surgical.surgical.kinematics import Vector
from l0_surgical.system.errors import L0SurgicalError

_REPEAT_S = 2.0
# on its way the dVRK says homed and not busy for a millisecond now and then
_STEADY_S = 0.2

Steps = Generator[None, None, None]


@dataclass(frozen=True)
class Outcome:
    """One goal: the jaw tip's goal (m, arm's base frame), whether it was reached, and how.

    `seconds` and `policy_steps` count from the start pose; `final_distance_mm` is the tip's from the goal at
    the last policy step.
    """

    goal_m: Vector
    is_reached: bool
    seconds: float
    policy_steps: int
    final_distance_mm: float


class Session:
    """The procedure as a tick, so that nothing blocks the servo loop: each tick ticks the controller, then
    moves the procedure on.

    Args:
        controller: the controller; the session arms it.
        arm: the same arm, for its state commands.
        goals: tips (m, arm's base frame); may be endless.
        bring_up: enables and homes the arm where it is not; otherwise that must have been done.
        duration_s: ends after so long, counted from the arming; no limit where None.
        timeout_s: how long the arm may take for each of: saying something, enabling, homing, being ready.
        clock: the system's where None.
    """

    def __init__(
        self,
        controller: Controller,
        arm: Arm,
        goals: Iterable[Vector],
        *,
        bring_up: bool = True,
        duration_s: float | None = None,
        timeout_s: float = 15.0,
        clock: Clock | None = None,
    ) -> None:
        self.outcomes: list[Outcome] = []
        self.doing = "waiting for the arm"
        self.goals_begun = 0
        self.failure: str | None = None
        self._controller = controller
        self._arm = arm
        self._goals = goals
        self._bring_up = bring_up
        self._duration_s = duration_s
        self._timeout_s = timeout_s
        self._clock = clock or SystemClock()
        self._steps = self._procedure()

    @property
    def is_over(self) -> bool:
        return self.doing == "done"

    def tick(self) -> None:
        """One period. After the end it does nothing: what went wrong is in `failure`."""
        if self.is_over:
            return
        self._controller.tick()
        try:
            if self._controller.fault is not None:
                raise L0SurgicalError(self._controller.fault)
            next(self._steps)
        except StopIteration:
            self.end()
        except L0SurgicalError as error:
            self.failure = str(error)
            self.end()

    def end(self) -> None:
        """Disarms: nothing more is sent, the arm holds its last setpoint."""
        self._controller.disarm()
        self.doing = "done"

    def _procedure(self) -> Steps:
        yield from self._until(self._has_spoken, "the arm's operating state and measured_cp")
        if self._bring_up:
            yield from self._enable_and_home()
        yield from self._take_over()
        end_s = self._now_s() + self._duration_s if self._duration_s is not None else None
        for number, goal in enumerate(self._goals, 1):
            self.doing, self.goals_begun = f"goal {number}", number
            yield from self._reach(goal, end_s)
            if end_s is not None and self._now_s() >= end_s:
                break

    def _enable_and_home(self) -> Steps:
        state = self._state()
        if state.state == "PAUSED":
            raise L0SurgicalError(f"{self._arm.name} is PAUSED; resume it on its own console")
        if state.state == "FAULT" or (state.state == "ENABLED" and not state.is_homed and not state.is_busy):
            # home would do nothing at a dVRK that was unhomed
            yield from self._command("disable", lambda state: state.state == "DISABLED")
        if self._state().state != "ENABLED":
            yield from self._command("enable", lambda state: state.state == "ENABLED")
        if not self._is_homed(self._state()):
            homed_s = math.inf

            def is_steadily_homed(state: OperatingState) -> bool:
                nonlocal homed_s
                homed_s = min(homed_s, self._now_s()) if self._is_homed(state) else math.inf
                return self._now_s() - homed_s >= _STEADY_S

            yield from self._command("home", is_steadily_homed)

    def _is_homed(self, state: OperatingState) -> bool:
        """The dVRK says homed as soon as its encoders are biased; where it is it knows after homing, and then
        stamps it."""
        return (
            state.is_homed and not state.is_busy and self._controller.inputs.measured_cp.record.stamp_ns != 0
        )

    def _command(self, command: str, is_done: Callable[[OperatingState], bool]) -> Steps:
        """Sends a state command until the arm shows it: the first may come before the arm listens."""
        self.doing = command
        repeat_s = 0.0

        def sent_and_done() -> bool:
            nonlocal repeat_s
            if is_done(self._state()):
                return True
            if self._now_s() >= repeat_s and not self._state().is_busy:
                self._arm.state_command(command, self._clock.now().wall_ns)
                repeat_s = self._now_s() + _REPEAT_S
            return False

        yield from self._until(sent_and_done, f"{self._arm.name} to {command}")

    def _take_over(self) -> Steps:
        """Arms as soon as the arm may be commanded: its first valid poses come a little after its state."""
        self.doing = "arming"
        reason = ""

        def is_armed() -> bool:
            nonlocal reason
            try:
                self._controller.arm()
            except SafetyError as error:
                reason = str(error)
                return False
            return True

        deadline_s = self._now_s() + self._timeout_s
        while not is_armed():
            if self._now_s() > deadline_s:
                raise L0SurgicalError(reason)
            yield

    def _reach(self, goal: Vector, end_s: float | None) -> Steps:
        controller = self._controller
        controller.set_goal(goal)
        start_s = None
        while controller.state in (State.APPROACHING, State.REACHING):
            yield
            if start_s is None and controller.state is State.REACHING:
                start_s = self._now_s()
            if end_s is not None and self._now_s() >= end_s:
                return
        status = controller.status()
        self.outcomes.append(
            Outcome(
                status.goal_m, status.is_reached, self._now_s() - start_s, status.steps, status.distance_mm
            )
        )

    def _until(self, condition: Callable[[], bool], what: str) -> Steps:
        deadline_s = self._now_s() + self._timeout_s
        while not condition():
            if self._now_s() > deadline_s:
                raise L0SurgicalError(
                    f"waited {self._timeout_s:g} s in vain for {what}; see whether the arm's software runs"
                )
            yield

    def _has_spoken(self) -> bool:
        return self._state() is not None and self._controller.inputs.measured_cp is not None

    def _state(self) -> OperatingState | None:
        received = self._controller.inputs.operating_state
        return None if received is None else received.record

    def _now_s(self) -> float:
        return 1e-9 * self._clock.now().monotonic_ns
