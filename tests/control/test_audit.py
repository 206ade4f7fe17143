"""The audit finds each kind of broken limit in a recording that was clean before."""

import dataclasses

import pytest
from rig import Rig

from l0_surgical.control.audit import audit
from l0_surgical.control.controller import State
from l0_surgical.control.records import OperatingState, PoseStamped, String

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
    found = audit([*messages, ("/PSM1/l0_surgical/state", 0, String(state)), late], "PSM1", rig.controller.limits)
    assert found.violations == [f"command {found.commands} was sent while the controller had no right to"]
    assert found.faults == (["the arm stopped"] if "fault" in state else [])


def test_a_command_to_an_arm_that_is_not_enabled_is_found(rig: Rig) -> None:
    paused = ("/PSM1/operating_state", 0, OperatingState(1, "", "PAUSED", True, False))
    late = (COMMAND, 0, dataclasses.replace(command(rig, -1), stamp_ns=command(rig, -1).stamp_ns + 5_000_000))
    found = audit([*rig.recorder.messages, paused, late], "PSM1", rig.controller.limits)
    assert found.violations == [f"command {found.commands} was sent to an arm that is PAUSED, homed: True, busy: False"]
