"""The controller's states, goals and results at an arm that follows at once."""

from pathlib import Path

import numpy as np
import pytest
from example_policies import random_policy
from kinematic_arm import RATE_HZ
from rig import GOAL, POLICY, TASK, Rig

from l0_surgical.policy import find_policy, load_policy
from l0_surgical.robot.control.controller import State
from l0_surgical.robot.control.motion import start_pose
from l0_surgical.robot.control.poses import Pose
from l0_surgical.system.errors import BadInputError, L0SurgicalError

START_POSE = start_pose(TASK)
DATA = Path(__file__).parents[2] / "data"


def goals(count: int) -> list[tuple[float, float, float]]:
    generator = np.random.default_rng(5)
    return [TASK.draw_goal_m(generator) for _ in range(count)]


@pytest.mark.parametrize("name", ["needle-reach-dense", "needle-reach-l0", "needle-reach-l0-compressed"])
def test_the_shipped_policies_reach_their_goals_within_the_limits(name: str) -> None:
    rig = Rig(policy=load_policy(find_policy(name)))
    rig.controller.arm()
    for goal in goals(5):
        rig.controller.set_goal(goal)
        rig.until(State.HOLDING, State.FAULT)
        status = rig.controller.status()
        assert (status.state, status.is_reached, status.fault) == ("holding", True, None)
        assert status.distance_mm < 5
        assert np.linalg.norm(np.subtract(Pose.of(rig.arm.sent[-1]).tip(), goal)) == pytest.approx(
            1e-3 * status.distance_mm, abs=5e-5
        )
        # the tip flies there in 6 steps at best, and has to stay for 2 more
        assert 8 <= status.steps <= 15
    found = rig.audit()
    assert found.violations == []
    assert found.commands == len(rig.arm.sent) == rig.controller.status().sent
    assert 0.03 < found.fastest_m_per_s <= 0.0867


@pytest.mark.parametrize("rate", [100.0, 200.0, 333.0, 500.0])
def test_each_action_becomes_even_setpoints_at_every_rate(rate: float) -> None:
    rig = Rig(servo_rate=rate).reaching()
    rig.until(State.HOLDING)
    status = rig.controller.status()
    assert status.is_reached
    assert status.limited == 0
    assert rig.audit().violations == []
    actions = [record for topic, _, record in rig.recorder.messages if topic == "/PSM1/l0_surgical/action"]
    assert len(actions) == status.steps


def test_a_speed_stretches_the_policys_time() -> None:
    def seconds(speed: float) -> float:
        rig = Rig(speed=speed).reaching()
        begin = rig.clock.now().monotonic_ns
        rig.until(State.HOLDING)
        assert rig.controller.status().is_reached
        found = rig.audit()
        assert found.violations == []
        assert found.fastest_m_per_s <= speed * 0.0867
        return 1e-9 * (rig.clock.now().monotonic_ns - begin) + 50 / RATE_HZ

    assert seconds(0.25) == pytest.approx(4 * seconds(1.0), rel=0.15)


def test_nothing_is_sent_before_arming_nor_after_disarming() -> None:
    rig = Rig()
    rig.tick(20)
    assert rig.controller.status().state == "disarmed"
    with pytest.raises(L0SurgicalError, match="the controller is disarmed; arm it before you set a goal"):
        rig.controller.set_goal(GOAL)
    rig.controller.arm()
    rig.tick(20)
    assert rig.controller.state is State.READY
    assert rig.arm.sent == []
    rig.controller.arm()
    rig.controller.set_goal(GOAL)
    rig.until(State.REACHING)
    sent = len(rig.arm.sent)
    rig.controller.disarm()
    rig.tick(50)
    assert len(rig.arm.sent) == sent
    rig.controller.arm()
    rig.controller.go_to_start()
    rig.until(State.HOLDING)
    assert Pose.of(rig.arm.sent[-1]).distance_to(START_POSE) < 2e-6
    assert rig.audit().violations == []


def test_holding_keeps_sending_the_same_setpoint() -> None:
    rig = Rig().reaching()
    rig.until(State.HOLDING)
    sent = len(rig.arm.sent)
    rig.tick(30)
    assert len(rig.arm.sent) == sent + 30
    assert {record.position for record in rig.arm.sent[sent:]} == {rig.arm.sent[-1].position}


@pytest.mark.parametrize(
    ("goal", "words"),
    [
        ((0.06, 0.07, -0.30), "outside the task's workspace"),
        ((0.5, 0.0, -0.165), "outside the task's workspace"),
        ((0.06, 0.07, -0.1685), "outside the workspace of the limits"),
        ((0.027, 0.112, -0.0926), "cannot be reached: the pitch joint would be at"),
        ((float("nan"), 0.0, -0.165), "not three finite numbers"),
        ((0.0, -0.165), "not three finite numbers"),
    ],
)
def test_a_goal_that_may_not_be_is_refused_and_what_was_going_on_goes_on(
    goal: tuple[float, ...], words: str
) -> None:
    rig = Rig().reaching()
    with pytest.raises(BadInputError, match=words):
        rig.controller.set_goal(goal)
    rig.until(State.HOLDING)
    assert rig.controller.status().is_reached
    assert rig.controller.status().goal_m == GOAL


def test_a_new_goal_on_the_way_begins_again_at_the_start_pose() -> None:
    rig = Rig().reaching()
    first, second = goals(2)
    rig.controller.set_goal(first)
    rig.tick(10)
    rig.controller.set_goal(second)
    rig.until(State.REACHING)
    # the policy's first setpoint has been sent already
    assert rig.arm.pose.distance_to(START_POSE) < 0.0005
    rig.until(State.HOLDING)
    assert rig.controller.status().is_reached
    assert rig.audit().violations == []


def test_a_goal_that_the_policy_does_not_reach_ends_after_fifty_steps() -> None:
    rig = Rig(dry_run=True)  # the arm never follows, and nobody expects it to
    rig.controller.arm()
    rig.controller.set_goal(GOAL)
    rig.until(State.HOLDING)
    status = rig.controller.status()
    assert (status.is_reached, status.steps) == (False, 50)
    assert status.distance_mm > 50


def test_a_dry_run_computes_and_records_but_sends_nothing() -> None:
    rig = Rig(dry_run=True)
    rig.controller.arm()
    rig.controller.set_goal(GOAL)
    rig.until(State.HOLDING)
    topics = [topic for topic, _, _ in rig.recorder.messages]
    assert rig.arm.sent == []
    assert "/PSM1/servo_cp" not in topics
    assert topics.count("/PSM1/l0_surgical/dry_run_servo_cp") == rig.controller.status().sent > 1000
    assert rig.controller.status().fault is None


def test_a_policy_for_another_task_and_numbers_out_of_range_are_refused() -> None:
    with pytest.raises(BadInputError, match="runs NeedleReach policies"):
        Rig(policy=random_policy(0))
    for rate in (99.0, 501.0, float("nan")):
        with pytest.raises(BadInputError, match="--servo-rate "):
            Rig(servo_rate=rate)


def test_status_counts_every_tick_and_setpoint() -> None:
    rig = Rig().reaching()
    status = rig.controller.status()
    assert status.period.count == status.jitter.count == 313
    assert status.sent == len(rig.arm.sent) == 313
    assert status.latency.count == status.age.count == status.sent
    assert status.policy_step.count == status.steps
    assert status.period.p50_ms == pytest.approx(5.0, rel=0.03)
    assert status.jitter.max_ms == pytest.approx(0, abs=1e-9)


def test_the_policy_sees_what_it_saw_in_training() -> None:
    rig = Rig().reaching()
    observation = next(
        record for topic, _, record in rig.recorder.messages if topic == "/PSM1/l0_surgical/observation"
    )
    start = (2.5, 0.25, 3.776, -np.pi / 2, 0.0, np.pi / 2, 0.0)
    # the setpoints follow the end of the approach some micrometres behind
    np.testing.assert_allclose(observation.data[:7], start, atol=1e-4)
    np.testing.assert_allclose(TASK.arm.world.point_in_rcm(observation.data[7:]), GOAL, atol=1e-12)
    assert POLICY.observation_size == len(observation.data)


def test_the_setpoints_stay_what_they_were() -> None:
    """Every 25th setpoint of three goals (7 numbers: position in m, quaternion xyzw), as `needle-reach-l0-
    compressed` sent them when the recording was made. Float32 against float64 is 6 micrometres, so another
    processor's kernels may be as far; actions that are longer by a thousandth are 34 off."""
    recorded = np.load(DATA / "needle_reach_setpoints.npz")
    rig = Rig()
    rig.controller.arm()
    counts = []
    for goal in recorded["goals"].tolist():
        rig.controller.set_goal(tuple(goal))
        rig.until(State.HOLDING)
        assert rig.controller.status().is_reached
        counts.append(len(rig.arm.sent))
    assert counts == recorded["counts"].tolist()
    sent = [(*record.position, *record.orientation) for record in rig.arm.sent[::25]]
    np.testing.assert_allclose(sent, recorded["setpoints"], rtol=0, atol=2e-5)
