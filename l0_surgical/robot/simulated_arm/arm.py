"""The arm itself, without any transport: what each CRTK command does to it, and how it moves while time
passes.

Follows the dVRK's kinematic simulation of a Classic PSM (sawIntuitiveResearchKit 2.4): see `control` for what
commands do to the setpoint and `state_machine` for the operating states. A setpoint that leaps too far for
the motors ends in FAULT, one that is no number in DISABLED, and there is no time-out on commands. Forces are
not simulated: what asks for one makes the arm stay where it is until the next command.
"""

from collections.abc import Sequence

import numpy as np

from l0_surgical.robot.simulated_arm import tool
from l0_surgical.robot.simulated_arm.body import Body, Mode
from l0_surgical.robot.simulated_arm.control import CartesianGoal, Control, Space
from l0_surgical.robot.simulated_arm.state_machine import StateMachine
from l0_surgical.surgical.kinematics import UnreachablePoseError, forward_kinematics, inverse_kinematics

HOME = np.array((0.0, 0.0, 0.12, 0.0, 0.0, 0.0, 0.0))
REFUSAL_EVERY_S = 2.0
OperatingState = tuple[str, bool, bool]
Event = tuple[str, str | bool | OperatingState]


class PsmArm:
    """One arm with its jaw. What it has to say is gathered in `events` (topic and value) until `take_events`.

    Attributes:
        machine: the operating state.
        control: the setpoint, and what becomes of it.
    """

    def __init__(self, mode: Mode) -> None:
        self._events: list[Event] = []
        self.machine = StateMachine(self._leave, self._show)
        self.control = Control(self.say, self.machine.busy)
        self._is_physical = mode == "physical"
        self._body = Body(mode, self.control.measured[:6])
        self._is_driven = False
        self._time_s = 0.0
        self._refused: dict[str, float] = {}

    @property
    def measured(self) -> np.ndarray:
        """Where the joints (6,) are, rad and m."""
        return self.control.measured[:6]

    @property
    def setpoint(self) -> np.ndarray:
        """Where the joints (6,) should be."""
        return self.control.setpoint[:6]

    @property
    def is_free(self) -> bool:
        """Whether a hand that has the arm by its clutch may move it: nothing has commanded it since."""
        return self.machine.current == "MANUAL" and self.control.mode == "effort"

    def measured_pose(self) -> np.ndarray:
        """The tool's pose (4, 4), m, in the arm's own base."""
        return forward_kinematics(self.measured)

    def setpoint_pose(self) -> np.ndarray:
        """Likewise, where it should be."""
        return forward_kinematics(self.setpoint)

    def take_events(self) -> list[Event]:
        events, self._events = self._events, []
        return events

    def close(self) -> None:
        self._body.close()

    def step(self, seconds: float) -> None:
        """Lets time pass: one cycle of the arm's program."""
        self._time_s += seconds
        control = self.control
        self.machine.run()
        former = control.setpoint
        try:
            if self.machine.current == "HOMING":
                if control.home(seconds):
                    self.machine.homed()
            elif self.machine.current in ("HOMED", "MANUAL") and self.machine.is_joint_ready:
                control.run(seconds)
        except UnreachablePoseError as error:
            self.say("error", f"inverse kinematics failed: {error}")
        is_new = control.setpoint is not former
        if is_new and not np.isfinite(control.setpoint).all():
            control.setpoint = former
            # as the dVRK's program when it has caught the exception that comes of it
            self.say("error", "the setpoint is no number; the arm is disabled")
            self.machine.disable()
        is_watched = self._is_driven and control.is_checked and (is_new or self._is_physical)
        is_lost = is_watched and tool.is_out_of_control(control.setpoint, control.measured)
        self._body.step(control.setpoint[:6], float(control.setpoint[6]), seconds)
        joints, jaw = self._body.joints()
        control.measured = np.array((*joints, jaw))
        if is_lost:
            self.fail("tracking error too large, PID disabled")

    def state_command(self, command: str) -> None:
        """One of CRTK's: enable, disable, pause, resume, home, unhome."""
        if (warning := self.machine.command(command)) is not None:
            self.say("warning", warning)

    def fail(self, reason: str) -> None:
        """The arm's own supervision stops it."""
        self.say("error", reason)
        self.machine.fault()

    def servo_joints(self, joints: Sequence[float], *, is_relative: bool = False) -> None:
        """servo_jp, servo_jr: joints (6,) to be at, at once, or how far from where they should be now; the
        limits are clipped silently."""
        if self._is_ready("servo_jr" if is_relative else "servo_jp"):
            (self.control.servo_by if is_relative else self.control.servo_joints)(np.array(joints))

    def move_joints(self, joints: Sequence[float], *, is_relative: bool = False) -> None:
        """move_jp, move_jr: joints (6,) to move to within the speed limits, or how far beyond the goal of a
        running move_*."""
        command = "move_jr" if is_relative else "move_jp"
        if not self._is_ready(command):
            return
        if len(joints) != 6:
            # here an assertion ends the dVRK's whole process (seen with five joints), which a simulated arm
            # need not do
            self.say("error", f"{command} has {len(joints)} joints, not 6; it is ignored")
            return
        (self.control.move_by if is_relative else self.control.move_joints)(np.array(joints))

    def servo_pose(self, pose: np.ndarray) -> None:
        """servo_cp: the tool's pose (4, 4) in the frame of Cartesian data, to be at, at once."""
        if self._is_ready("servo_cp", "cartesian"):
            self._servo_cartesian(CartesianGoal(pose))

    def servo_state(self, pose: np.ndarray | None, *, has_velocity: bool, has_force: bool) -> None:
        """servo_cs: as `servo_pose`; without a pose see `control.CartesianGoal`, without anything it is a
        force of zero."""
        if pose is None and not has_velocity and not has_force:
            self.relax("servo_cs", "cartesian")
        elif self._is_ready("servo_cs", "cartesian"):
            self._servo_cartesian(CartesianGoal(pose, has_velocity))

    def move_pose(self, pose: np.ndarray) -> None:
        """move_cp: the tool's pose (4, 4), to move to within the joints' speed limits."""
        if not self._is_ready("move_cp", "cartesian"):
            return
        try:
            is_past_cannula = self.control.move_cartesian(pose)
        except UnreachablePoseError as error:
            self.say("error", f"inverse kinematics failed: {error}")
            self.say("goal_reached", False)
            self.machine.busy(False)
        else:
            self._warn_of_cannula(is_past_cannula)

    def hold(self) -> None:
        """Stay where it should be."""
        if self._is_ready("hold"):
            self.control.hold()

    def relax(self, command: str, space: Space = "joint") -> None:
        """free, and whatever else asks for forces: the arm stays where it is, but for a hand."""
        if self._is_ready(command, space):
            is_past_cannula = self.control.switch(space, "effort")
            self._warn_of_cannula(is_past_cannula)
            if is_past_cannula:
                self.control.rest()

    def servo_jaw(self, angle: Sequence[float]) -> None:
        """jaw/servo_jp: the angle (1,), rad."""
        if self._is_ready("jaw/servo_jp", "cartesian"):
            self.control.servo_jaw(angle)

    def move_jaw(self, angle: Sequence[float]) -> None:
        """jaw/move_jp: the angle (1,), rad."""
        if self._is_ready("jaw/move_jp", "cartesian"):
            self.control.move_jaw(angle)

    def clutch(self, pressed: bool) -> bool:
        """Somebody presses the clutch button at the arm, or lets go of it; False where the arm cannot be
        moved by hand now."""
        self.say("arm_clutch", pressed)
        if pressed and not self._is_ready("the clutch"):
            return False
        self.machine.clutch(pressed)
        return True

    def guide(self, pose: np.ndarray) -> None:
        """The hand brings the tool to a pose (4, 4) in the arm's own base; the setpoint goes with it."""
        joints = inverse_kinematics(pose, self.measured[3], check=False)
        self.control.setpoint = np.clip((*joints, self.control.setpoint[6]), tool.LOWER, tool.UPPER)

    def servo_from_console(self, pose: np.ndarray) -> None:
        """A servo_cp that comes from inside the console's program, as a pose (4, 4) in the arm's own base."""
        self.servo_pose(self.control.base_frame @ pose)

    def set_ratios(self, speed: float | None = None, acceleration: float | None = None) -> bool:
        """trajectory_j/set_ratio, set_ratio_v, set_ratio_a; False, and a warning, for one that cannot be."""
        asked_for = tuple(
            former if new is None else new
            for former, new in zip(self.control.ratios, (speed, acceleration), strict=True)
        )
        wrong = next((ratio for ratio in asked_for if not 0 < ratio <= 1), None)
        if wrong is not None:
            self.say("warning", f"the trajectory ratio {wrong:g} is not in (0, 1]")
            return False
        self.control.set_ratios(*asked_for)
        return True

    def set_tool(self, name: str) -> None:
        """set_tool_type: there is one instrument only."""
        self.say("status", f"{name!r} is to be the tool")
        if name not in (tool.NAME, tool.SHOWN_NAME):
            self.say("error", f"the tool {name!r} is not simulated, only {tool.NAME}")
            self.say("tool_type", "ERROR")

    def say(self, topic: str, value: str | bool) -> None:
        """Adds an event."""
        self._events.append((topic, value))

    def refuse(self, text: str) -> None:
        """A warning, at most every two seconds, so that a stream of commands does not become one of texts."""
        if self._time_s >= self._refused.get(text, 0.0):
            self._refused[text] = self._time_s + REFUSAL_EVERY_S
            self.say("warning", text)

    def _show(self, with_desired: bool) -> None:
        machine = self.machine
        if with_desired:
            self.say("desired_state", machine.desired)
        self._events.append(("operating_state", (machine.state, machine.is_homed, machine.is_busy)))

    def _leave(self, state: str, following: str) -> None:
        """What changes with the finer state, before the new one is told."""
        control = self.control
        self.say("status", f"{following} after {state}")
        if state == "MANUAL":
            control.hold()
        if state in ("HOMED", "MANUAL") or following in ("DISABLED", "HOMED"):
            control.switch(None, None)
        if following in ("DISABLED", "FAULT"):
            self._is_driven = False
            control.rest()
        elif following == "POWERING":
            control.is_checked, self._is_driven = False, True
            # the dVRK's kinematic simulation begins there; a real arm stays where it is
            control.setpoint = control.measured.copy() if self._is_physical else np.zeros(7)
        elif following == "HOMING":
            control.begin_homing(HOME)
        elif following == "ENGAGING_TOOL":
            self.say("tool_type", tool.SHOWN_NAME)
        elif following == "MANUAL":
            control.switch("joint", "effort")
            control.rest()

    def _is_ready(self, command: str, space: Space = "joint") -> bool:
        machine = self.machine
        is_ready = machine.state == "ENABLED" and (
            machine.is_joint_ready if space == "joint" else machine.is_cartesian_ready
        )
        if not is_ready:
            self.refuse(f"{command} is ignored while {machine.state}, homed: {machine.is_homed}")
        return is_ready

    def _servo_cartesian(self, goal: CartesianGoal) -> None:
        self._warn_of_cannula(self.control.servo_cartesian(goal))

    def _warn_of_cannula(self, is_past: bool) -> None:
        if not is_past:
            self.refuse("Cartesian control begins when the instrument is inserted past the cannula")
