"""The arm's topics: what it says and when, its states and its injected faults."""

import itertools
import math
import threading
from collections.abc import Iterator

import numpy as np
import pytest
from arm_bench import INSIDE, Bench, joints, pose_of
from in_memory_transport import MemoryTransport

from l0_surgical.robot.control.poses import Pose
from l0_surgical.robot.control.records import (
    OperatingState,
    PoseStamped,
    String,
    StringStamped,
)
from l0_surgical.robot.messaging import crtk
from l0_surgical.robot.messaging.arm_client import CrtkArm
from l0_surgical.robot.simulated_arm.faults import FAULTS
from l0_surgical.robot.simulated_arm.server import LONGEST_TICK_S
from l0_surgical.surgical.kinematics import forward_kinematics, jacobian
from l0_surgical.system.errors import BadInputError


@pytest.fixture
def bench() -> Iterator[Bench]:
    bench = Bench().homed()
    yield bench
    bench.sim.close()


def test_every_topic_of_the_table_has_its_end() -> None:
    bench = Bench()
    for name in crtk.PUBLISHED:
        assert len(bench.broker.publishers[f"/PSM1/{name}"]) == 1
    for name in crtk.SUBSCRIBED:
        assert len(bench.broker.subscriptions[f"/PSM1/{name}"]) == 1
    # the injections', too; the bench listens to what is said, and nobody commands or listens to the /system
    # topics
    count = len(crtk.PUBLISHED) + len(crtk.SUBSCRIBED) + len(crtk.SYSTEM_TOPICS) + 1
    assert bench.sim.describe_peers().startswith(
        f"PSM1: {len(crtk.PUBLISHED)} of {count} topics have found their peer: "
    )
    assert "/PSM1/measured_cp" in bench.sim.describe_peers()


def test_homing_ends_where_the_dvrks_simulation_does() -> None:
    bench = Bench()
    bench.command("enable")
    bench.pass_time(0.1)
    assert [(s.state, s.is_homed, s.is_busy) for s in bench.heard("operating_state")][-1] == (
        "ENABLED",
        False,
        False,
    )
    bench.command("home")
    bench.pass_time(3)
    said = [(s.state, s.is_homed, s.is_busy) for s in bench.heard("operating_state")]
    assert said[-1] == ("ENABLED", True, False)
    assert ("ENABLED", True, True) in said
    measured = bench.heard("measured_cp")[-1]
    assert measured.stamp_ns > 0
    assert measured.frame_id == "PSM1_base"
    np.testing.assert_allclose(measured.position, (0, 0, -0.1135), atol=1e-9)
    np.testing.assert_allclose(
        np.abs(measured.orientation), (math.sqrt(0.5), math.sqrt(0.5), 0, 0), atol=1e-9
    )
    np.testing.assert_allclose(bench.heard("measured_js")[-1].position, (0, 0, 0.12, 0, 0, 0), atol=1e-9)


def test_every_accepted_command_is_answered_and_there_is_no_heartbeat(bench: Bench) -> None:
    for _ in range(5):
        bench.command("enable")
    bench.pass_time(0.0025)
    said = bench.heard("operating_state")
    assert len(said) >= 5
    assert all(a.stamp_ns < b.stamp_ns for a, b in itertools.pairwise(said))
    bench.command("resume")
    bench.pass_time(2)
    assert bench.heard("operating_state") == []
    assert len(bench.heard("warning")) == 1


def test_telemetry_agrees_with_the_kinematics_at_its_rate(bench: Bench) -> None:
    bench.say("servo_jp", joints(INSIDE))
    bench.pass_time(1)
    measured = bench.heard("measured_js")
    assert len(measured) == 100
    assert measured[-1].name == ("yaw", "pitch", "insertion", "roll", "wrist_pitch", "wrist_yaw")
    np.testing.assert_allclose(measured[-1].position, INSIDE, atol=1e-12)
    for name in ("measured_cp", "setpoint_cp", "local/measured_cp", "local/setpoint_cp"):
        np.testing.assert_allclose(
            Pose.of(bench.heard(name)[-1]).matrix(), forward_kinematics(INSIDE), atol=1e-9
        )


def test_velocity_and_jacobians_are_those_of_the_motion(bench: Bench) -> None:
    bench.say("servo_jp", joints(INSIDE))
    bench.pass_time(0.1)
    rates = np.array((0.1, -0.2, 0.02, 0.3, 0.2, -0.1))
    positions = []
    for number in range(1, 41):
        bench.say("servo_jp", joints(tuple(INSIDE + rates * 0.0025 * number)))
        bench.pass_time(0.0025)
        positions.append(bench.sim.arm.measured_pose()[:3, 3])
    twist = bench.heard("measured_cv")[-1]
    there = bench.heard("measured_js")[-1]
    np.testing.assert_allclose(there.velocity, rates, atol=1e-9)
    np.testing.assert_allclose((*twist.linear, *twist.angular), jacobian(there.position) @ rates, atol=1e-9)
    np.testing.assert_allclose(twist.linear, (positions[-1] - positions[-5]) / 0.01, atol=2e-4)
    pose = forward_kinematics(there.position)
    # as the CRTK client reads them
    body, spatial = (
        np.reshape(heard.data, heard.shape)
        for heard in (bench.heard(name)[-1] for name in ("body/jacobian", "spatial/jacobian"))
    )
    np.testing.assert_allclose(pose[:3, :3] @ body[:3], jacobian(there.position)[:3], atol=1e-9)
    # the spatial velocity of the base's origin, carried to the tool, is the tool's
    at_tool = spatial[:3] + np.cross(spatial[3:].T, pose[:3, 3]).T
    np.testing.assert_allclose(at_tool, jacobian(there.position)[:3], atol=1e-9)
    assert bench.heard("body/measured_cf")[-1].force == (0.0, 0.0, 0.0)


@pytest.mark.parametrize("rate_hz", [60.0, 100.0, 150.0])
def test_velocities_are_those_between_samples_at_any_rate(rate_hz: float) -> None:
    """Also where a sample's period is not a multiple of the loop's."""
    bench = Bench(telemetry_rate=rate_hz).homed()
    for number in range(1, 201):
        bench.say("servo_jp", joints((0.1 * 0.0025 * number, 0, 0.12, 0, 0, 0)))
        bench.say("jaw/servo_jp", joints((-0.2 * 0.0025 * number,)))
        bench.pass_time(0.0025)
    for name, speed in (("measured_js", 0.1), ("jaw/measured_js", -0.2)):
        velocities = [record.velocity[0] for record in bench.heard(name)]
        # a sample that comes late does not delay the next; the first sees the arm at rest as well
        assert len(velocities) == pytest.approx(0.5 * rate_hz, abs=1)
        np.testing.assert_allclose(velocities[1:], speed, rtol=1e-9)


@pytest.mark.parametrize("fault", [fault for fault in FAULTS if fault != "clear"])
def test_each_injected_fault_shows_and_ends(bench: Bench, fault: str) -> None:
    bench.pass_time(0.1)
    for ear in bench.ears.values():
        ear.take()
    bench.say("simulation/inject", String(fault))
    bench.pass_time(0.1)
    bench.say("servo_jp", joints((0.05, 0, 0.12, 0, 0, 0)))
    bench.pass_time(0.1)
    measured, state = bench.heard("measured_cp"), bench.heard("operating_state")
    true = Pose.from_matrix(bench.sim.arm.measured_pose())
    seen = {
        "stop_telemetry": lambda: measured == [],
        "stale": lambda: abs(bench.clock.now().wall_ns - measured[-1].stamp_ns - 1e9) < 2e7,
        "nan": lambda: math.isnan(measured[-1].position[1]),
        "wrong_frame": lambda: measured[-1].frame_id == "ECM",
        "jump": lambda: measured[-1].position[0] == pytest.approx(true.position[0] + 0.02),
        "not_valid": lambda: measured[-1].stamp_ns == 0,
        "freeze": lambda: measured[-1].position == measured[0].position != true.position,
        "pause": lambda: state[-1].state == "PAUSED",
        "fault": lambda: (
            (state[-1].state, state[-1].is_homed, bench.heard("error")[-1].data)
            == ("FAULT", True, "fault injected")
        ),
        "unhome": lambda: (state[-1].state, state[-1].is_homed) == ("ENABLED", False),
        "clutch": lambda: (state[-1].state, state[-1].is_busy) == ("ENABLED", True),
        "clutch_released": lambda: state == [],
        "teleoperate": lambda: (
            bench.heard("setpoint_cp")[-1].position[0] == pytest.approx(0.02 * 0.2, abs=2e-4)
        ),
        "teleoperate_end": lambda: state == [],
    }
    assert seen[fault]()
    bench.say("simulation/inject", String("clear"))
    for command in ("disable", "enable", "home"):
        bench.command(command)
        bench.pass_time(0.01)
    bench.pass_time(3)
    assert (bench.heard("operating_state")[-1].state, bench.heard("operating_state")) == ("ENABLED", [])
    last = bench.heard("measured_cp")[-1]
    assert last.position == pytest.approx(bench.sim.arm.measured_pose()[:3, 3].tolist())


def test_a_hand_at_the_clutch_takes_the_arm_until_a_servo_command_takes_it_back(bench: Bench) -> None:
    bench.say("simulation/inject", String("clutch"))
    bench.pass_time(1.0)
    assert [record.buttons for record in bench.heard("arm_clutch")] == [(1,)]
    for name in ("measured_cp", "setpoint_cp", "local/measured_cp"):
        poses = bench.heard(name)
        assert poses[-1].position == pytest.approx((0.005, 0, -0.1135), abs=1e-4)
        np.testing.assert_allclose(np.diff([pose.position[0] for pose in poses]), 5e-5, atol=1e-9)
    # the hand comes to rest after 8 mm
    bench.pass_time(2.0)
    assert bench.heard("measured_cp")[-1].position[0] == pytest.approx(0.008)
    bench.say("servo_cp", pose_of(INSIDE))
    bench.pass_time(0.1)
    assert bench.heard("measured_cp")[-1].position == pytest.approx(pose_of(INSIDE).position)
    assert [(record.state, record.is_homed, record.is_busy) for record in bench.heard("operating_state")][
        -1
    ] == ("ENABLED", True, True)
    bench.say("simulation/inject", String("clutch_released"))
    bench.pass_time(1.0)
    assert [record.buttons for record in bench.heard("arm_clutch")] == [(0,)]
    assert bench.heard("operating_state")[-1].is_busy is False
    assert bench.heard("measured_cp")[-1].position == pytest.approx(pose_of(INSIDE).position)
    assert bench.heard("warning") == []


def test_the_clutch_of_an_arm_that_cannot_be_moved_is_a_warning() -> None:
    bench = Bench()
    bench.say("simulation/inject", String("clutch"))
    bench.pass_time(0.1)
    assert "the clutch is ignored while DISABLED" in bench.heard("warning")[-1].data
    assert [record.buttons for record in bench.heard("arm_clutch")] == [(1,)]


def test_teleoperation_moves_the_arm_to_and_fro_and_no_topic_says_who(bench: Bench) -> None:
    turn = (0.0, 0.0, math.sqrt(0.5), math.sqrt(0.5))
    bench.say("set_base_frame", PoseStamped(1, "table", (0.1, 0.2, 0.3), turn))
    bench.say("simulation/inject", String("teleoperate"))
    bench.pass_time(2.0)
    x = np.array([pose.position[0] for pose in bench.heard("local/setpoint_cp")])
    assert (x.min(), x.max()) == pytest.approx((0.0, 0.02), abs=2e-4)
    # 20 mm/s, but where it turns
    assert np.sum(np.isclose(np.abs(np.diff(x)), 2e-4, atol=1e-9)) >= len(x) - 3
    # what others ask for meanwhile is gone at once
    bench.say("servo_cp", pose_of(INSIDE))
    bench.pass_time(0.1)
    assert np.abs(np.diff([pose.position[0] for pose in bench.heard("local/measured_cp")])).max() < 2.1e-4
    assert all(
        bench.heard(name) == []
        for name in ("operating_state", "warning", "status", "goal_reached", "arm_clutch")
    )
    bench.say("simulation/inject", String("teleoperate_end"))
    bench.pass_time(0.1)
    still = bench.heard("local/setpoint_cp")
    assert still[-1].position == still[-5].position


def test_an_unknown_fault_is_a_warning(bench: Bench) -> None:
    bench.say("simulation/inject", String("explode"))
    bench.pass_time(0.01)
    assert "unknown fault 'explode'; known are stop_telemetry" in bench.heard("warning")[-1].data


def test_without_crtk_msgs_the_system_topics_enable_and_home() -> None:
    bench = Bench(without=(OperatingState, StringStamped))
    client = CrtkArm(MemoryTransport(bench.broker, (OperatingState, StringStamped)), "PSM1")
    bench.pass_time(0.1)
    assert client.poll().operating_state.record.state == "DISABLED"
    for command in ("enable", "home"):
        client.state_command(command, 1)
        bench.pass_time(2)
    state = client.poll().operating_state.record
    assert (state.state, state.is_homed) == ("ENABLED", True)


def test_time_that_was_missed_is_not_made_up_for() -> None:
    """A process that was stopped for an hour, or physics that cannot follow, would else hear nothing for
    long."""
    bench, stop = Bench(), threading.Event()
    steps: list[float] = []

    def step(seconds: float) -> None:
        steps.append(seconds)
        bench.clock.advance(3600.0)
        if len(steps) == 3:
            stop.set()

    bench.sim.step = step
    bench.sim.run(stop, speed=2.0)
    assert steps[0] == pytest.approx(2.0 * 0.0025)
    assert steps[1:] == [2.0 * LONGEST_TICK_S] * 2


def test_options_that_make_no_sense_are_refused() -> None:
    for options, words in (
        ({"mode": "magic"}, "choose kinematic or physical"),
        ({"telemetry_rate": 0.5}, "choose 1 to 400 Hz"),
    ):
        with pytest.raises(BadInputError, match=words):
            Bench(**options)
    bench = Bench()
    with pytest.raises(BadInputError, match="0 for as fast as possible"):
        bench.sim.run(None, speed=-1)
