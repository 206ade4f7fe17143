"""Each fault latches, says why, stops the stream at once, needs a reset; and the audit finds nothing that
broke a limit."""

import dataclasses
import math
from collections.abc import Callable

import numpy as np
import pytest
from kinematic_arm import START_NS, heard, with_changed, with_measured
from rig import GOAL, Rig

from l0_surgical.robot.control.arm import FIELDS, STREAMS, ArmInputs
from l0_surgical.robot.control.clock import Instant
from l0_surgical.robot.control.controller import State
from l0_surgical.robot.control.motion import Segment
from l0_surgical.robot.control.poses import Pose
from l0_surgical.robot.control.safety import SafetyError
from l0_surgical.surgical.kinematics import forward_kinematics, inverse_kinematics
from l0_surgical.system.errors import BadInputError, L0SurgicalError

NAN = math.nan
MS = 1_000_000


def with_state(state: str, is_homed: bool = True) -> Callable[[ArmInputs], ArmInputs]:
    return lambda inputs: with_changed(inputs, "operating_state", state=state, is_homed=is_homed)


def moved(dx: float, dy: float = 0.0, dz: float = 0.0) -> Callable[[ArmInputs], ArmInputs]:
    def distort(inputs: ArmInputs) -> ArmInputs:
        x, y, z = inputs.measured_cp.record.position
        return with_measured(inputs, position=(x + dx, y + dy, z + dz))

    return distort


def with_jaw(jaw: tuple[float, ...]) -> Callable[[ArmInputs], ArmInputs]:
    return lambda inputs: with_changed(inputs, "jaw/measured_js", position=jaw)


def with_joints(*joints: float) -> Callable[[ArmInputs], ArmInputs]:
    return lambda inputs: with_changed(inputs, "measured_js", position=joints)


def without(field: str, topic: str) -> Callable[[ArmInputs], ArmInputs]:
    return lambda inputs: dataclasses.replace(inputs, **{field: None}, news=inputs.news | {topic: []})


def published_also_by_another(topic: str) -> Callable[[ArmInputs], ArmInputs]:
    return lambda inputs: dataclasses.replace(
        inputs, writers=inputs.writers | {topic: inputs.writers[topic] | {"another"}}
    )


def base_moved(dx: float) -> Callable[[ArmInputs], ArmInputs]:
    """What the arm says in its base frame, after that was moved."""

    def distort(inputs: ArmInputs) -> ArmInputs:
        for topic in ("measured_cp", "setpoint_cp"):
            x, y, z = inputs.newest(topic).record.position
            inputs = with_changed(inputs, topic, position=(x + dx, y, z))
        return inputs

    return distort


# what the arm says from some tick on, and the words of the fault
DISTORTIONS = {
    "nan": (lambda inputs: with_measured(inputs, position=(0.0, NAN, -0.1)), "measured_cp is not finite"),
    "nan in the orientation": (
        lambda inputs: with_measured(inputs, orientation=(NAN, 0.0, 0.0, 1.0)),
        "measured_cp is not finite",
    ),
    "no unit quaternion": (
        lambda inputs: with_measured(inputs, orientation=(0.0, 0.0, 0.0, 0.0)),
        "no unit quaternion",
    ),
    "wrong frame": (
        lambda inputs: with_measured(inputs, frame_id="ECM"),
        "in the frame 'ECM', not 'PSM1_base'",
    ),
    "not valid": (lambda inputs: with_measured(inputs, stamp_ns=0), "not valid yet"),
    "stale": (
        lambda inputs: with_measured(inputs, stamp_ns=inputs.measured_cp.record.stamp_ns - 300 * MS),
        "the stamp of measured_cp is 300 ms old",
    ),
    "of the future": (
        lambda inputs: with_measured(inputs, stamp_ns=inputs.measured_cp.record.stamp_ns + 300 * MS),
        "-300 ms old",
    ),
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
    "no state any more": (without("operating_state", "operating_state"), "has not said its operating state"),
    "busy": (lambda inputs: with_changed(inputs, "operating_state", is_busy=True), "PSM1 is busy"),
    "a state of 1970": (
        lambda inputs: with_changed(inputs, "operating_state", stamp_ns=1_000),
        "cannot be true",
    ),
    "an older state": (
        lambda inputs: with_changed(inputs, "operating_state", stamp_ns=START_NS - 2 * MS),
        "0.002 s older than the one before it",
    ),
    "stamps go back by 1 ms": (
        lambda inputs: with_measured(inputs, stamp_ns=inputs.measured_cp.record.stamp_ns - 6 * MS),
        "stamps of measured_cp went back by 0.001 s",
    ),
    "nan in the joints": (with_joints(0.0, NAN, 0.12, 0.0, 0.0, 0.0), "a PSM has six finite ones"),
    "seven joints": (with_joints(*(0.0,) * 7), "a PSM has six finite ones"),
    "the base was moved by 2.1 mm": (
        base_moved(0.0021),
        "measured_cp is 2.1 mm and 0.000 rad from where the joints",
    ),
    "local/measured_cp says otherwise": (
        lambda inputs: with_changed(inputs, "local/measured_cp", orientation=(0.0, 0.0, 0.0, 1.0)),
        "local/measured_cp jumped by 0.4 mm and 3.142 rad",
    ),
    "setpoint_cp and setpoint_js disagree": (
        lambda inputs: with_changed(inputs, "setpoint_js", position=(0.0, 0.0, 0.12, 0.0, 0.0, 0.0)),
        "from where the joints (setpoint_js) put the tool",
    ),
    **{
        f"a second publisher of {topic}": (
            published_also_by_another(topic),
            f"somebody else publishes /PSM1/{topic} now",
        )
        for topic in (*STREAMS, "operating_state")
    },
    "the publisher has gone": (
        lambda inputs: dataclasses.replace(inputs, writers=inputs.writers | {"setpoint_cp": frozenset()}),
        "who published /PSM1/setpoint_cp has gone",
    ),
}


def assert_ends_safely(rig: Rig, words: str, sent: int) -> None:
    """At fault with a reason, nothing sent since `sent` commands, nothing allowed until a reset, and a clean
    audit."""
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


@pytest.mark.parametrize(
    "case",
    [
        "nan",
        "wrong frame",
        "stale",
        "jaw opens",
        "paused",
        "fault of the arm",
        "unhomed",
        "second controller",
    ],
)
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


@pytest.mark.parametrize("topic", STREAMS)
def test_a_topic_stops(topic: str) -> None:
    rig = Rig()
    rig.controller.arm()
    rig.controller.go_to_start()
    rig.until(State.HOLDING)
    rig.tick(100)
    last = rig.arm.poll().newest(topic)
    rig.arm.distort = lambda inputs: dataclasses.replace(
        inputs, **{FIELDS[topic]: last}, news=inputs.news | {topic: []}
    )
    begin = rig.clock.now().monotonic_ns
    rig.until(State.FAULT)
    # one period later than the limit at most
    assert 0.100 < 1e-9 * (rig.clock.now().monotonic_ns - begin) <= 0.1051
    assert_ends_safely(rig, f"{topic} stopped 105 ms ago", len(rig.arm.sent))


def test_the_arm_does_not_follow() -> None:
    rig = Rig().reaching()
    stuck = rig.arm.pose
    joints = tuple(inverse_kinematics(stuck.matrix()))

    def sticks(inputs: ArmInputs) -> ArmInputs:
        for topic in ("measured_cp", "local/measured_cp"):
            inputs = with_changed(inputs, topic, position=stuck.position, orientation=stuck.orientation)
        return with_changed(inputs, "measured_js", position=joints)

    rig.arm.distort = sticks
    rig.until(State.FAULT)
    ahead = Pose.of(rig.arm.sent[-1]).distance_to(stuck)
    assert 0.0095 < ahead < 0.0105
    rig.arm.pose = stuck
    assert_ends_safely(rig, "mm and 0.000 rad from its setpoint", len(rig.arm.sent))


def test_a_jump_between_two_polls_is_seen_message_by_message() -> None:
    rig = Rig().reaching()
    sent = len(rig.arm.sent)

    def there_and_back(inputs: ArmInputs) -> ArmInputs:
        return dataclasses.replace(
            inputs, news=inputs.news | {"measured_cp": [moved(0.02)(inputs).measured_cp, inputs.measured_cp]}
        )

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
    rig.controller._segment = Segment(
        rig.arm.pose, Pose(rig.arm.pose.position, (0.0, 0.0, 0.0, 1.0)), 2000, is_smooth=False
    )
    rig.until(State.FAULT)
    assert len(rig.arm.sent) > sent + 100
    assert_ends_safely(rig, "the setpoint cannot be reached: the ", len(rig.arm.sent))


def test_a_setpoint_outside_the_workspace_or_not_finite() -> None:
    for position, words in (
        ((0.06, 0.07, -0.17), "the tool's z would be"),
        ((NAN, 0.07, -0.15), "the command is not finite"),
    ):
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


def test_a_loop_that_hangs_is_at_fault_at_once_and_stays_so_when_it_ticks_again() -> None:
    rig = Rig().reaching()
    sent = len(rig.arm.sent)
    rig.controller.stall("the servo loop has not ticked for 1.1 s")
    assert (rig.controller.state, rig.controller.fault) == (
        State.FAULT,
        "the servo loop has not ticked for 1.1 s",
    )
    assert rig.controller.status().state == "fault"
    rig.tick()
    assert_ends_safely(rig, "the servo loop has not ticked for 1.1 s", sent)


STARTS = {
    "open jaw": (with_jaw((0.5,)), "not closed"),
    **{
        f"no {topic}": (
            without(FIELDS[topic], topic),
            f"PSM1 has not said its {topic}; .* an instrument is mounted",
        )
        for topic in STREAMS
    },
    "five joints": (with_joints(*(0.0,) * 5), "a PSM has six finite ones"),
    "another base frame or instrument": (
        base_moved(0.004),
        r"from where the joints \(measured_js\) put the tool",
    ),
    "a setpoint of somebody else": (
        lambda inputs: with_changed(inputs, "setpoint_cp", position=(0.009, 0.0, -0.1135)),
        r"setpoint_cp is 9.0 mm and 0.000 rad from where the joints \(setpoint_js\) put the tool",
    ),
    "not homed": (with_state("ENABLED", is_homed=False), "not homed"),
    "busy": (lambda inputs: with_changed(inputs, "operating_state", is_busy=True), "PSM1 is busy"),
    "a state of 1970": (
        lambda inputs: with_changed(inputs, "operating_state", stamp_ns=1_000),
        "cannot be true",
    ),
    "a state of the future": (
        lambda inputs: with_changed(inputs, "operating_state", stamp_ns=START_NS + 10_000 * MS),
        "cannot be true",
    ),
    "two publishers": (
        published_also_by_another("measured_cp"),
        "2 publish /PSM1/measured_cp; only the arm may",
    ),
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


def test_an_arm_that_somebody_else_has_just_commanded_is_not_taken_over() -> None:
    """Between two commands of another controller's stream there is a tick without one."""
    rig = Rig()
    rig.arm.distort = lambda inputs: dataclasses.replace(inputs, foreign_commands=["/PSM1/servo_cp"])
    rig.tick()
    rig.arm.distort = lambda inputs: inputs
    rig.tick()
    with pytest.raises(SafetyError, match=r"somebody else has commanded PSM1 within the last 0\.1 s"):
        rig.controller.arm()
    rig.tick(20)
    rig.controller.arm()


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


def test_what_the_arm_was_told_by_somebody_inside_its_console() -> None:
    """It moves: every source agrees, no topic was used, only that no command of ours was there."""
    rig = Rig().reaching()
    sent = len(rig.arm.sent)
    x, y, z = rig.arm.pose.position
    rig.arm.pose = Pose((x, y, z + 0.0015), rig.arm.pose.orientation)
    rig.tick()
    assert_ends_safely(rig, "PSM1 was told to be where no command of ours of the last 50 ms was, 1.", sent)


def test_a_setpoint_that_the_arm_says_late_is_compared_with_the_commands_of_its_time() -> None:
    rig = Rig().reaching()
    said = []

    def late(inputs: ArmInputs) -> ArmInputs:
        said.append({topic: inputs.newest(topic) for topic in ("setpoint_cp", "setpoint_js")})
        return heard(inputs, **said[max(0, len(said) - 20)])  # 95 ms, when the policy has gone on by 4 mm

    rig.arm.distort = late
    rig.tick(60)
    assert rig.controller.state is State.REACHING, rig.controller.fault


def test_leaving_ready_goes_on_from_where_the_arm_was_moved_meanwhile() -> None:
    rig = Rig()
    rig.controller.arm()
    rig.tick(20)
    x, y, z = rig.arm.pose.position
    for _ in range(50):
        z -= 0.0002
        rig.arm.pose = Pose((x, y, z), rig.arm.pose.orientation)
        rig.tick()
    assert rig.controller.state is State.READY
    moved_to = rig.arm.pose
    rig.controller.set_goal(GOAL)
    rig.tick()
    assert Pose.of(rig.arm.sent[0]).distance_to(moved_to) < 1e-5
    rig.until(State.HOLDING)
    assert rig.controller.status().is_reached
    assert rig.audit().violations == []


def test_stamps_that_jitter_and_samples_that_come_twice_are_no_fault() -> None:
    """The dVRK makes a stamp as now minus age, of two readings of the clock: a sample sent twice has two."""
    generator = np.random.default_rng(0)
    rig = Rig()

    def twice(inputs: ArmInputs) -> ArmInputs:
        news = {}
        for topic in STREAMS:
            received = inputs.newest(topic)
            stamps = received.record.stamp_ns + generator.integers(-50_000, 50_001, 2)
            news[topic] = [
                dataclasses.replace(
                    received, record=dataclasses.replace(received.record, stamp_ns=int(stamp))
                )
                for stamp in stamps
            ]
        return dataclasses.replace(
            inputs, news=inputs.news | news, **{FIELDS[topic]: records[-1] for topic, records in news.items()}
        )

    rig.arm.distort = twice
    rig.tick()
    rig.controller.arm()
    rig.controller.go_to_start()
    rig.tick(10_000)
    assert rig.controller.state is State.HOLDING


def test_a_way_to_the_start_pose_that_no_joint_can_go_is_refused_when_it_is_set() -> None:
    rig = Rig()
    rig.arm.pose = Pose.from_matrix(forward_kinematics((0.0, 0.0, 0.12, math.radians(-259), 0.0, 0.0)))
    rig.arm.distort = with_joints(0.0, 0.0, 0.12, math.radians(-259), 0.0, 0.0)
    rig.tick()
    rig.controller.arm()
    with pytest.raises(
        BadInputError,
        match=r"the way from here to the start pose cannot be gone: after [0-9]+ % of it the roll joint "
        r"would be at",
    ):
        rig.controller.set_goal(GOAL)
    rig.tick(5)
    assert (rig.controller.state, rig.arm.sent) == (State.READY, [])
