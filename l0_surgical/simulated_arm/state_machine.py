"""CRTK's operating states of an arm (sawIntuitiveResearchKit): which command each state takes, and what comes of it."""

from typing import Literal

State = Literal["DISABLED", "ENABLED", "PAUSED", "FAULT"]

ACCEPTED: dict[State, frozenset[str]] = {
    "DISABLED": frozenset({"enable", "disable", "unhome"}),
    "ENABLED": frozenset({"enable", "disable", "pause", "home", "unhome"}),
    "PAUSED": frozenset({"disable", "pause", "resume", "unhome"}),
    "FAULT": frozenset({"enable", "disable", "unhome"}),
}
_NEXT: dict[str, State] = {"enable": "ENABLED", "disable": "DISABLED", "pause": "PAUSED", "resume": "ENABLED"}
COMMANDS = ("enable", "disable", "pause", "resume", "home", "unhome")


class StateMachine:
    """`state`, `is_homed`, and whether the arm is homing; whoever moves the arm calls `homed` when that is done."""

    def __init__(self) -> None:
        self.state: State = "DISABLED"
        self.is_homed = False
        self.is_homing = False

    @property
    def may_move(self) -> bool:
        """Whether motion commands count."""
        return self.state == "ENABLED" and self.is_homed

    def command(self, command: str) -> str | None:
        """Carries out a state command; returns a warning where the state does not take it."""
        if command not in COMMANDS:
            return f"unknown state command {command!r}; known are {', '.join(COMMANDS)}"
        if command not in ACCEPTED[self.state]:
            return f"{command!r} is not accepted while {self.state}"
        self.state = _NEXT.get(command, self.state)
        if command == "home":
            self.is_homing = not self.is_homed
        elif command == "unhome":
            self.is_homed = False
        if command != "home" and (self.state != "ENABLED" or command == "unhome"):
            self.is_homing = False
        return None

    def homed(self) -> None:
        self.is_homing, self.is_homed = False, True

    def fail(self) -> None:
        """The arm's own supervision cuts the motors' power; it has to be enabled and homed again."""
        self.state, self.is_homing, self.is_homed = "FAULT", False, False
