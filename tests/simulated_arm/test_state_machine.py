"""Every state with every command, as the dVRK documents them."""

import pytest

from l0_surgical.simulated_arm.state_machine import COMMANDS, StateMachine

# state: what each accepted command leads to
TABLE = {
    "DISABLED": {"enable": "ENABLED", "disable": "DISABLED", "unhome": "DISABLED"},
    "ENABLED": {"enable": "ENABLED", "disable": "DISABLED", "pause": "PAUSED", "home": "ENABLED", "unhome": "ENABLED"},
    "PAUSED": {"disable": "DISABLED", "pause": "PAUSED", "resume": "ENABLED", "unhome": "PAUSED"},
    "FAULT": {"enable": "ENABLED", "disable": "DISABLED", "unhome": "FAULT"},
}
HOW_TO_GET_THERE = {"DISABLED": (), "ENABLED": ("enable",), "PAUSED": ("enable", "pause"), "FAULT": ("enable",)}


def machine_in(state: str, *, is_homed: bool = True) -> StateMachine:
    machine = StateMachine()
    for command in HOW_TO_GET_THERE[state]:
        assert machine.command(command) is None
    if state == "FAULT":
        machine.fail()
    elif is_homed:
        machine.homed()
    assert machine.state == state
    return machine


@pytest.mark.parametrize("state", TABLE)
@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_in_each_state(state: str, command: str) -> None:
    machine = machine_in(state)
    was_homed = machine.is_homed
    warning = machine.command(command)
    if command in TABLE[state]:
        assert warning is None
        assert machine.state == TABLE[state][command]
        assert machine.is_homed == (was_homed and command != "unhome")
    else:
        assert warning == f"{command!r} is not accepted while {state}"
        assert (machine.state, machine.is_homed) == (state, was_homed)


def test_homing_takes_until_it_is_done_and_only_once() -> None:
    machine = machine_in("ENABLED", is_homed=False)
    assert not machine.may_move
    machine.command("home")
    assert machine.is_homing
    machine.homed()
    assert machine.may_move
    machine.command("home")
    assert not machine.is_homing


@pytest.mark.parametrize("command", ["disable", "pause", "unhome"])
def test_homing_is_ended_by(command: str) -> None:
    machine = machine_in("ENABLED", is_homed=False)
    machine.command("home")
    machine.command(command)
    assert not machine.is_homing
    assert not machine.is_homed


def test_enabling_again_does_not_end_homing() -> None:
    machine = machine_in("ENABLED", is_homed=False)
    machine.command("home")
    machine.command("enable")
    assert machine.is_homing


def test_a_fault_has_to_be_homed_again_and_an_unknown_command_changes_nothing() -> None:
    machine = machine_in("FAULT")
    assert "unknown state command 'jump'" in machine.command("jump")
    for command in ("disable", "enable", "home"):
        assert machine.command(command) is None
    assert machine.is_homing
