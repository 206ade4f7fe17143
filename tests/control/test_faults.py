"""Each fault latches, says why, stops the stream at once, needs a reset; and the audit finds nothing that broke a limit."""

import dataclasses
import math
from collections.abc import Callable

import pytest
from kinematic_arm import with_measured
from rig import GOAL, Rig

from l0_surgical.control.arm import ArmInputs, Received
from l0_surgical.control.clock import Instant
from l0_surgical.control.controller import State
from l0_surgical.control.motion import Segment
from l0_surgical.control.poses import Pose
from l0_surgical.control.records import JointState, OperatingState
from l0_surgical.control.safety import SafetyError
from l0_surgical.errors import BadInputError, L0SurgicalError

NAN = math.nan
MS = 1_000_000


def with_state(state: str, is_homed: bool = True) -> Callable[[ArmInputs], ArmInputs]:
    record = OperatingState(1, "", state, is_homed, is_busy=False)
    return lambda inputs: dataclasses.replace(inputs, operating_state=Received(record, 0))


def moved(dx: float, dy: float = 0.0, dz: float = 0.0) -> Callable[[ArmInputs], ArmInputs]:
    def distort(inputs: ArmInputs) -> ArmInputs:
        x, y, z = inputs.measured_cp.record.position
        return with_measured(inputs, position=(x + dx, y + dy, z + dz))

    return distort


def with_jaw(jaw: tuple[float, ...]) -> Callable[[ArmInputs], ArmInputs]:
    return lambda inputs: dataclasses.replace(inputs, jaw=Received(JointState(1, "", ("jaw",), jaw), 0))


# what the arm says from some tick on, and the words of the fault
DISTORTIONS = {
    "nan": (lambda inputs: with_measured(inputs, position=(0.0, NAN, -0.1)), "measured_cp is not finite"),
    "nan in the orientation": (lambda inputs: with_measured(inputs, orientation=(NAN, 0.0, 0.0, 1.0)), "measured_cp is not finite"),
    "no unit quaternion": (lambda inputs: with_measured(inputs, orientation=(0.0, 0.0, 0.0, 0.0)), "no unit quaternion"),
    "wrong frame": (lambda inputs: with_measured(inputs, frame_id="ECM"), "in the frame 'ECM', not 'PSM1_base'"),
    "not valid": (lambda inputs: with_measured(inputs, stamp_ns=0), "not valid yet"),
    "stale": (
        lambda inputs: with_measured(inputs, stamp_ns=inputs.measured_cp.record.stamp_ns - 300 * MS),
        "the stamp of measured_cp is 300 ms old",
    ),
    "of the future": (lambda inputs: with_measured(inputs, stamp_ns=inputs.measured_cp.record.stamp_ns + 300 * MS), "-300 ms old"),
    "stamps go back": (
        lambda inputs: with_measured(inputs, stamp_ns=inputs.measured_cp.record.stamp_ns - 100 * MS),
        "stamps of measured_cp went back by 0.095 s",
    ),
    "jump": (moved(0.0, 0.008), "measured_cp jumped by"),
    "paused": (with_state("PAUSED"), "PSM1 is PAUSED, not ENABLED"),
    "fault of the arm": (with_state("FAULT"), "PSM1 is FAULT, not ENABLED"),
    "disabled": (with_state("DISABLED"), "PSM1 is DISABLED, not ENABLED"),
    "unhomed": (with_state("ENABLED", is_homed=False), "PSM1 is not homed"),
    "jaw opens": (with_jaw((0.5,)), "the jaw is at"),
    "jaw nan": (with_jaw((NAN,)), "the jaw is at"),
    "second controller": (
        lambda inputs: dataclasses.replace(inputs, foreign_commands=["/PSM1/servo_jp"]),
        "somebody else commands PSM1 on /PSM1/servo_jp",
    ),
    "no state any more": (lambda inputs: dataclasses.replace(inputs, operating_state=None), "has not said its operating state"),
}


def assert_ends_safely(rig: Rig, words: str, sent: int) -> None:
    """At fault with a reason, nothing sent since `sent` commands, nothing allowed until a reset, and a clean audit."""
    assert rig.controller.state is State.FAULT
    assert words in rig.controller.status().fault
    rig.arm.distort = lambda inputs: inputs
    rig.tick(100)
    assert rig.controller.state is State.FAULT
    assert len(rig.arm.sent) == sent
    with pytest.raises(L0SurgicalError, match=r"a fault is latched .*; reset it first"):
        rig.controller.arm()
    with pytest.raises(L0SurgicalError, match="the controller is fault"):
        rig.controller.set_goal(GOAL)
    rig.controller.disarm()
    assert rig.controller.state is State.FAULT
    rig.controller.reset()
    rig.tick()
    rig.controller.arm()
    rig.controller.set_goal(GOAL)
    rig.until(State.HOLDING, State.FAULT)
    assert rig.controller.status().is_reached
    found = rig.audit()
    assert found.violations == []
    assert len(found.faults) == 1
    assert words in found.faults[0]


@pytest.mark.parametrize("case", DISTORTIONS)
def test_what_the_arm_says_while_the_policy_moves_it(case: str) -> None:
    distort, words = DISTORTIONS[case]
    rig = Rig().reaching()
    sent = len(rig.arm.sent)
    rig.arm.distort = distort
    rig.tick()
    assert_ends_safely(rig, words, sent)


@pytest.mark.parametrize("case", ["nan", "wrong frame", "stale", "jaw opens", "paused", "fault of the arm", "unhomed", "second controller"])
def test_the_same_while_the_controller_is_ready_or_holds(case: str) -> None:
    distort, words = DISTORTIONS[case]
    for is_holding in (False, True):
        rig = Rig()
        rig.controller.arm()
        if is_holding:
            rig.controller.go_to_start()
            rig.until(State.HOLDING)
        rig.tick(10)
        sent = len(rig.arm.sent)
        rig.arm.distort = distort
        rig.tick()
        assert_ends_safely(rig, words, sent)


def test_measured_cp_stops() -> None:
    rig = Rig().reaching()
    last = rig.arm.poll()
    rig.arm.distort = lambda inputs: dataclasses.replace(last, measured_poses=[])
    begin = rig.clock.now().monotonic_ns
    rig.until(State.FAULT)
    # one period later than the limit at most
    assert 0.100 < 1e-9 * (rig.clock.now().monotonic_ns - begin) <= 0.1051
    assert_ends_safely(rig, "measured_cp stopped 105 ms ago", len(rig.arm.sent))


def test_the_arm_does_not_follow() -> None:
    rig = Rig().reaching()
    stuck = rig.arm.pose
    rig.arm.distort = lambda inputs: with_measured(inputs, position=stuck.position, orientation=stuck.orientation)
    rig.until(State.FAULT)
    ahead = Pose.of(rig.arm.sent[-1]).distance_to(stuck)
    assert 0.0095 < ahead < 0.0105
    rig.arm.pose = stuck
    assert_ends_safely(rig, "mm and 0.000 rad from its setpoint", len(rig.arm.sent))


def test_a_jump_between_two_polls_is_seen_message_by_message() -> None:
    rig = Rig().reaching()
    sent = len(rig.arm.sent)

    def there_and_back(inputs: ArmInputs) -> ArmInputs:
        return dataclasses.replace(inputs, measured_poses=[moved(0.02)(inputs).measured_cp, inputs.measured_cp])

    rig.arm.distort = there_and_back
    rig.tick()
    assert_ends_safely(rig, "measured_cp jumped by 20", sent)


@pytest.mark.parametrize("step_s", [1.0, -1.0, 0.06])
def test_the_wall_clock_steps(step_s: float) -> None:
    rig = Rig().reaching()
    sent, now = len(rig.arm.sent), rig.clock.now()
    rig.clock.instant = Instant(now.monotonic_ns, now.wall_ns + round(step_s * 1e9))
    rig.tick()
    assert_ends_safely(rig, f"clock was set by {step_s:+.3f} s", sent)


def test_the_loop_overruns() -> None:
    rig = Rig().reaching()
    sent = len(rig.arm.sent)
    rig.clock.advance(0.2)
    rig.tick()
    assert_ends_safely(rig, "the servo loop stood still for 205 ms", sent)


def test_one_late_period_is_no_fault_and_makes_no_leap() -> None:
    rig = Rig().reaching()
    for late in (0.004, 0.008, 0.03):
        rig.clock.advance(late)
        rig.tick(5)
    rig.until(State.HOLDING)
    assert rig.controller.status().is_reached
    assert rig.audit().violations == []


def test_a_pose_without_inverse_kinematics() -> None:
    rig = Rig().reaching()
    sent = len(rig.arm.sent)
    # a target whose orientation no joint position gives: the tool upside down
    rig.controller._segment = Segment(Pose(rig.arm.pose.position, (0.0, 0.0, 0.0, 1.0)), 2000, is_smooth=False)
    rig.until(State.FAULT)
    assert len(rig.arm.sent) > sent + 100
    assert_ends_safely(rig, "the setpoint cannot be reached: the ", len(rig.arm.sent))


def test_a_setpoint_outside_the_workspace_or_not_finite() -> None:
    for position, words in (((0.06, 0.07, -0.17), "the tool's z would be"), ((NAN, 0.07, -0.15), "the command is not finite")):
        rig = Rig().reaching()
        rig.controller._segment.target = Pose(position, rig.arm.pose.orientation)
        rig.until(State.FAULT)
        assert_ends_safely(rig, words, len(rig.arm.sent))


def test_an_observation_that_the_policy_cannot_take() -> None:
    class NoAction:
        def act(self, observation: object) -> None:
            raise BadInputError("the network overflows")

    rig = Rig().reaching()
    rig.controller._reaching._engine = NoAction()
    rig.until(State.FAULT)
    assert_ends_safely(rig, "the network overflows", len(rig.arm.sent))


def test_a_fault_of_the_program_itself() -> None:
    rig = Rig().reaching()
    sent = len(rig.arm.sent)

    def broken(inputs: ArmInputs) -> ArmInputs:
        raise ZeroDivisionError("nothing to divide by")

    rig.arm.distort = broken
    rig.tick()
    assert_ends_safely(rig, "the controller failed: ZeroDivisionError: nothing to divide by", sent)


STARTS = {
    "open jaw": (with_jaw((0.5,)), "not closed"),
    "no jaw": (lambda inputs: dataclasses.replace(inputs, jaw=None), "mount an instrument"),
    "no joints": (lambda inputs: dataclasses.replace(inputs, measured_js=None), "measured_js"),
    "five joints": (
        lambda inputs: dataclasses.replace(inputs, measured_js=Received(JointState(1, "", (), (0.0,) * 5), 0)),
        "a PSM has six finite ones",
    ),
    "no setpoint": (lambda inputs: dataclasses.replace(inputs, setpoint_cp=None), "setpoint_cp"),
    "nothing yet": (lambda inputs: dataclasses.replace(inputs, measured_cp=None, measured_poses=[]), "has not said where it is"),
    "another base frame or instrument": (moved(0.004), "from where the joints put the tool"),
    "not homed": (with_state("ENABLED", is_homed=False), "not homed"),
}


@pytest.mark.parametrize("case", STARTS)
def test_an_arm_that_may_not_be_taken_over(case: str) -> None:
    distort, words = STARTS[case]
    rig = Rig()
    rig.arm.distort = distort
    rig.tick()
    with pytest.raises(SafetyError, match=words):
        rig.controller.arm()
    rig.tick(20)
    assert rig.controller.state is State.DISARMED
    assert rig.arm.sent == []


def test_an_arm_outside_the_workspace_is_not_taken_over() -> None:
    rig = Rig()
    rig.arm.pose = Pose((0.0, 0.0, -0.2), rig.arm.pose.orientation)
    rig.tick()
    with pytest.raises(SafetyError, match=r"the tool's z would be -0\.2000 m, the workspace is -0\.1572"):
        rig.controller.arm()


def test_in_a_dry_run_others_may_command_the_arm() -> None:
    rig = Rig(dry_run=True)
    rig.arm.distort = DISTORTIONS["second controller"][0]
    rig.controller.arm()
    rig.controller.set_goal(GOAL)
    rig.until(State.HOLDING, State.FAULT)
    assert rig.controller.status().fault is None
