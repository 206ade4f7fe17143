"""The audit finds each kind of broken limit in a recording that was clean before."""

import dataclasses

import pytest
from rig import Rig

from l0_surgical.robot.control.audit import audit
from l0_surgical.robot.control.controller import State
from l0_surgical.robot.control.records import OperatingState, PoseStamped, String

COMMAND = "/PSM1/servo_cp"
Messages = list[tuple[str, int, object]]


@pytest.fixture(scope="module")
def rig() -> Rig:
    rig = Rig().reaching()
    rig.until(State.HOLDING)
    return rig


def changed(rig: Rig, number: int, **changes: object) -> Messages:
    """The recording with its `number`-th command changed."""
    messages = list(rig.recorder.messages)
    places = [index for index, (topic, _, _) in enumerate(messages) if topic == COMMAND]
    topic, log_time, record = messages[places[number]]
    messages[places[number]] = topic, log_time, dataclasses.replace(record, **changes)
    return messages


def command(rig: Rig, number: int) -> PoseStamped:
    return [record for topic, _, record in rig.recorder.messages if topic == COMMAND][number]


def test_a_clean_recording_shows_how_fast_it_was(rig: Rig) -> None:
    found = audit(rig.recorder.messages, "PSM1", rig.controller.limits)
    assert found.violations == []
    assert found.commands == len(rig.arm.sent) > 300
    assert 0.0001 < found.longest_step_m <= rig.controller.limits.max_step_m
    assert 0.03 < found.fastest_m_per_s <= rig.controller.limits.max_speed_m_per_s


def test_each_broken_limit_is_found(rig: Rig) -> None:
    x, y, z = command(rig, -40).position
    tenth = command(rig, -40).stamp_ns
    cases = {
        "is no finite pose": {"position": (x, y, float("nan"))},
        "is in the frame 'world'": {"frame_id": "world"},
        "leaves the workspace": {"position": (x, y, -0.16)},
        "cannot be reached": {"orientation": (0.0, 0.0, 0.0, 1.0)},
        "steps by 0.00": {"position": (x + 0.0013, y, z)},
        "moves at": {"position": (x + 0.0009, y, z)},
        "from the measured pose": {"position": (x + 0.012, y, z)},
        "before the one before it": {"stamp_ns": tenth - 10_000_000},
    }
    for words, changes in cases.items():
        found = audit(changed(rig, -40, **changes), "PSM1", rig.controller.limits)
        assert any(words in violation for violation in found.violations), (words, found.violations)


@pytest.mark.parametrize("state", ["fault: the arm stopped", "disarmed", "ready"])
def test_a_command_without_the_right_to_move_is_found(rig: Rig, state: str) -> None:
    messages = rig.recorder.messages
    late = (COMMAND, messages[-1][1], command(rig, -1))
    found = audit(
        [*messages, ("/PSM1/l0_surgical/state", 0, String(state)), late], "PSM1", rig.controller.limits
    )
    assert found.violations == [f"command {found.commands} was sent while the controller had no right to"]
    assert found.faults == (["the arm stopped"] if "fault" in state else [])


def test_a_command_to_an_arm_that_is_not_enabled_is_found(rig: Rig) -> None:
    paused = ("/PSM1/operating_state", 0, OperatingState(1, "", "PAUSED", True, False))
    late = (COMMAND, 0, dataclasses.replace(command(rig, -1), stamp_ns=command(rig, -1).stamp_ns + 5_000_000))
    found = audit([*rig.recorder.messages, paused, late], "PSM1", rig.controller.limits)
    assert found.violations == [
        f"command {found.commands} was sent to an arm that is PAUSED, homed: True, busy: False"
    ]


def heard(topic: str, record: object) -> tuple[str, int, object]:
    return f"/PSM1/{topic}", 0, record


def before(rig: Rig, number: int, *messages: tuple[str, int, object]) -> Messages:
    """The recording with more messages before its `number`-th command."""
    place = [index for index, (topic, _, _) in enumerate(rig.recorder.messages) if topic == COMMAND][number]
    return [*rig.recorder.messages[:place], *messages, *rig.recorder.messages[place:]]


def newest(rig: Rig, number: int, topic: str) -> object:
    place = [index for index, (name, _, _) in enumerate(rig.recorder.messages) if name == COMMAND][number]
    return [record for name, _, record in rig.recorder.messages[:place] if name == f"/PSM1/{topic}"][-1]


def test_what_the_arm_says_against_a_command_is_found_once(rig: Rig) -> None:
    """A base frame that creeps, a tool outside the box, a setpoint of somebody else, a hand at the clutch."""
    cp, js, setpoint = (newest(rig, -40, topic) for topic in ("measured_cp", "measured_js", "setpoint_cp"))
    x, y, z = cp.position
    moved = dataclasses.replace(cp, position=(x, y, z + 0.0021))
    told = dataclasses.replace(setpoint, position=(x, y, z + 0.003))
    outside = dataclasses.replace(js, position=(*js.position[:2], js.position[2] + 0.02, *js.position[3:]))
    busy = dataclasses.replace(newest(rig, -40, "operating_state"), is_busy=True)
    cases = {
        "was sent although measured_cp was 2.1 mm from where the joints put the tool": heard(
            "measured_cp", moved
        ),
        "was sent although local/measured_cp was 2.1 mm from where the joints put the tool": heard(
            "local/measured_cp", moved
        ),
        "was sent although setpoint_cp was 3.0 mm from where the joints put the tool": heard(
            "setpoint_cp", told
        ),
        "was sent although the arm had been told to be 3.0 mm away": heard("setpoint_cp", told),
        "mm outside the workspace": heard("measured_js", outside),
        "was sent to an arm that is ENABLED, homed: True, busy: True": heard("operating_state", busy),
    }
    for words, message in cases.items():
        found = audit(before(rig, -40, message), "PSM1", rig.controller.limits)
        assert sum(words in violation for violation in found.violations) == 1, (words, found.violations)


def test_a_first_command_that_is_farther_than_a_step_from_what_the_arm_was_told_is_found(rig: Rig) -> None:
    x, y, z = newest(rig, 0, "setpoint_cp").position
    message = heard(
        "setpoint_cp", dataclasses.replace(newest(rig, 0, "setpoint_cp"), position=(x + 0.009, y, z))
    )
    found = audit(before(rig, 0, message), "PSM1", rig.controller.limits)
    assert any("command 1 steps by 0.0090" in violation for violation in found.violations)


def test_accelerations_and_jerks_are_those_of_the_limits(rig: Rig) -> None:
    found, limits = rig.audit(), rig.controller.limits
    assert (
        0.8 * limits.max_acceleration_m_per_s2 < found.strongest_m_per_s2 <= limits.max_acceleration_m_per_s2
    )
    assert 0.8 * limits.max_jerk_m_per_s3 < found.sharpest_m_per_s3 <= 1.001 * limits.max_jerk_m_per_s3
    tighter = dataclasses.replace(limits, max_acceleration_m_per_s2=0.5, max_jerk_m_per_s3=20.0)
    violations = audit(rig.recorder.messages, "PSM1", tighter).violations
    assert any("accelerates with" in line for line in violations) and any(
        "has a jerk of" in line for line in violations
    )
