"""Every state with every command, as the dVRK 2.4 answers them."""

import pytest

from l0_surgical.robot.simulated_arm.state_machine import COMMANDS, StateMachine

Said = tuple[str, bool, bool]
# state: what each accepted command leads to, after a while
TABLE = {
    "DISABLED": {"enable": "ENABLED", "disable": "DISABLED", "unhome": "DISABLED"},
    "ENABLED": {
        "enable": "ENABLED",
        "disable": "DISABLED",
        "pause": "PAUSED",
        "home": "ENABLED",
        "unhome": "ENABLED",
    },
    "PAUSED": {"disable": "DISABLED", "pause": "PAUSED", "resume": "ENABLED", "unhome": "PAUSED"},
    # there is no way out but disable
    "FAULT": {"enable": "FAULT", "disable": "DISABLED", "unhome": "FAULT"},
}
HOW_TO_GET_THERE = {"DISABLED": ("disable",), "ENABLED": (), "PAUSED": ("pause",), "FAULT": ()}


class Machine(StateMachine):
    """Notes what it says, without repetitions; homing is over as soon as `homed` is called."""

    def __init__(self) -> None:
        self.said: list[Said] = []
        super().__init__(lambda former, following: None, self._note)

    def _note(self, with_desired: bool) -> None:
        said = self.state, self.is_homed, self.is_busy
        if said not in self.said[-1:]:
            self.said.append(said)

    def told(self, command: str) -> list[Said]:
        """What it says to a command and in the ten cycles that follow."""
        del self.said[:]
        assert self.command(command) is None
        for _ in range(10):
            self.run()
        return self.said

    def now_homed(self) -> list[Said]:
        del self.said[:]
        self.homed()
        for _ in range(10):
            self.run()
        return self.said


def homed() -> Machine:
    machine = Machine()
    machine.told("enable")
    machine.told("home")
    machine.now_homed()
    return machine


def machine_in(state: str) -> Machine:
    machine = homed()
    for command in HOW_TO_GET_THERE[state]:
        machine.told(command)
    if state == "FAULT":
        machine.fault()
    assert machine.state == state
    return machine


@pytest.mark.parametrize("state", TABLE)
@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_in_each_state(state: str, command: str) -> None:
    machine = machine_in(state)
    was_homed = machine.is_homed
    if command in TABLE[state]:
        assert machine.told(command)[-1] == (machine.state, machine.is_homed, machine.is_busy)
        assert machine.state == TABLE[state][command]
    else:
        del machine.said[:]
        assert machine.command(command) == f"{command!r} is not accepted while {state}"
        assert (machine.state, machine.is_homed, machine.said) == (state, was_homed, [])


def test_homed_is_said_as_soon_as_the_encoders_are_biased() -> None:
    machine = Machine()
    assert machine.told("enable") == [
        ("DISABLED", False, False),
        ("DISABLED", False, True),
        ("ENABLED", False, False),
    ]
    assert not machine.is_joint_ready
    assert machine.told("home") == [
        ("ENABLED", False, False),
        ("ENABLED", False, True),
        ("ENABLED", True, False),
        ("ENABLED", True, True),
    ]
    assert machine.current == "HOMING"
    assert (machine.is_joint_ready, machine.is_cartesian_ready) == (True, False)
    # the adapter and the tool are engaged once
    assert machine.now_homed() == [("ENABLED", True, False), ("ENABLED", True, True)] * 2 + [
        ("ENABLED", True, False)
    ]
    assert machine.is_cartesian_ready


def test_what_is_disabled_says_homed_until_it_has_power_again() -> None:
    machine = homed()
    assert machine.told("disable") == [("ENABLED", True, False), ("DISABLED", True, False)]
    assert not machine.is_joint_ready
    assert machine.told("disable") == [("DISABLED", True, False), ("DISABLED", False, False)]
    assert machine.told("enable")[-1] == ("ENABLED", False, False)
    # its encoders and its tool are what they were
    assert machine.is_cartesian_ready
    assert machine.told("home") == [
        ("ENABLED", False, False),
        ("ENABLED", True, True),
        ("ENABLED", True, False),
        ("ENABLED", True, True),
    ]
    assert machine.now_homed() == [("ENABLED", True, False)]


def test_home_after_unhome_does_nothing_before_the_arm_was_disabled() -> None:
    machine = homed()
    assert machine.told("unhome") == [("ENABLED", False, False)]
    assert not machine.is_joint_ready
    assert machine.told("home") == [("ENABLED", False, False)]
    for command in ("disable", "enable", "home"):
        machine.told(command)
    assert machine.current == "HOMING"


def test_a_second_pause_forgets_what_to_resume() -> None:
    machine = homed()
    machine.told("pause")
    assert machine.told("resume") == [("ENABLED", True, False)]
    machine.told("pause")
    machine.told("pause")
    assert machine.told("resume") == [("PAUSED", True, False)]


@pytest.mark.parametrize("command", ["disable", "pause", "unhome"])
def test_homing_is_ended_by(command: str) -> None:
    machine = Machine()
    machine.told("enable")
    machine.told("home")
    machine.told(command)
    assert (machine.current == "HOMING") == (command == "unhome")
    if command == "pause":
        machine.told("resume")
        assert machine.current == "HOMING"


def test_enabling_again_does_not_end_homing_and_homing_again_does_not_begin_it() -> None:
    machine = Machine()
    for command in ("enable", "home", "enable"):
        machine.told(command)
    assert machine.current == "HOMING"
    machine.now_homed()
    assert machine.told("home") == [("ENABLED", True, False)]


def test_a_fault_has_to_be_disabled_enabled_and_homed() -> None:
    machine = machine_in("FAULT")
    assert (machine.is_homed, machine.is_busy) == (True, False)
    assert "unknown state command 'jump'" in machine.command("jump")
    for command in ("enable", "disable", "enable", "home"):
        machine.told(command)
    assert machine.current == "HOMING"


def test_a_hand_at_the_clutch_is_busy_until_it_lets_go() -> None:
    machine = homed()
    machine.clutch(True)
    assert (machine.state, machine.is_homed, machine.is_busy) == ("ENABLED", True, True)
    machine.clutch(False)
    assert (machine.current, machine.is_busy) == ("HOMED", False)
    # one that has lost it has nothing to let go
    machine.clutch(True)
    machine.fault()
    machine.clutch(False)
    assert machine.state == "FAULT"
