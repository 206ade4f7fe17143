"""The states of a dVRK arm in kinematic simulation (sawIntuitiveResearchKit 2.4): those that CRTK shows and
the finer ones behind them.

Oddities of the original are kept, because a controller meets them: the arm says that it is homed as soon as
its encoders are biased, which is before it moves to its home position; it still says so when it has just been
disabled, and in FAULT; enable does not lead out of FAULT; home after unhome does nothing until the arm has
been disabled; a second pause forgets what to resume.
"""

from collections.abc import Callable
from typing import Literal

State = Literal["DISABLED", "ENABLED", "PAUSED", "FAULT"]

ACCEPTED: dict[State, frozenset[str]] = {
    "DISABLED": frozenset({"enable", "disable", "unhome"}),
    "ENABLED": frozenset({"enable", "disable", "pause", "home", "unhome"}),
    "PAUSED": frozenset({"disable", "pause", "resume", "unhome"}),
    "FAULT": frozenset({"enable", "disable", "unhome"}),
}
COMMANDS = ("enable", "disable", "pause", "resume", "home", "unhome")
_DESIRED = {"enable": "ENABLED", "disable": "DISABLED", "pause": "PAUSED", "home": "HOMED"}
_TOWARDS_DESIRED = {
    "DISABLED": "POWERING",
    "ENABLED": "CALIBRATING_ENCODERS",
    "ENCODERS_BIASED": "HOMING",
    "TOOL_ENGAGED": "HOMED",
}
# the state to show in each of the finer states, and whether the arm is busy there
_SHOWN: dict[str, tuple[State, bool]] = {
    "DISABLED": ("DISABLED", False),
    "POWERING": ("DISABLED", True),
    "ENABLED": ("ENABLED", False),
    "CALIBRATING_ENCODERS": ("ENABLED", True),
    "ENCODERS_BIASED": ("ENABLED", False),
    "HOMING": ("ENABLED", True),
    "HOMED": ("ENABLED", False),
    "ENGAGING_ADAPTER": ("ENABLED", True),
    "ENGAGING_TOOL": ("ENABLED", True),
    "TOOL_ENGAGED": ("ENABLED", False),
    "MANUAL": ("ENABLED", True),
    "PAUSED": ("PAUSED", False),
    "FAULT": ("FAULT", False),
}


class StateMachine:
    """One arm's state. `run` it once in each of the arm's cycles.

    Args:
        left: called with a finer state and the one that follows it, when the arm leaves it.
        shown: called whenever the arm has to say what state it is in, with whether it is to say the desired
            one, too.

    Attributes:
        current: the finer state.
        desired: the one to be in.
        state, is_homed, is_busy: what the arm says.
        is_tool_engaged: whether the instrument can be moved; it stays so when the arm is disabled.
    """

    def __init__(self, left: Callable[[str, str], None], shown: Callable[[bool], None]) -> None:
        self._left = left
        self._shown = shown
        self.current = self.desired = self._former = self._former_desired = "DISABLED"
        self._resumed, self._resumed_desired = "DISABLED", "DISABLED"
        self.state: State = "DISABLED"
        self.is_homed = self.is_busy = False
        self.is_tool_engaged = self._is_adapter_engaged = False
        self._is_powered = self._are_encoders_biased = False

    @property
    def is_joint_ready(self) -> bool:
        """Whether the joints' positions are known; commands to them also need `state` to be ENABLED."""
        return self._is_powered and self._are_encoders_biased

    @property
    def is_cartesian_ready(self) -> bool:
        """Likewise of the tool's pose."""
        return self.is_joint_ready and self.is_tool_engaged

    def command(self, command: str) -> str | None:
        """Carries out a state command; returns a warning where the state does not take it."""
        if command not in COMMANDS:
            return f"unknown state command {command!r}; known are {', '.join(COMMANDS)}"
        if command not in ACCEPTED[self.state]:
            return f"{command!r} is not accepted while {self.state}"
        if command == "unhome":
            self._are_encoders_biased = self.is_homed = False
            self._shown(False)
        elif command == "resume":
            self._former_desired, self.desired = self.desired, self._resumed_desired
            self._go_to(self._resumed)
        else:
            self._desire(_DESIRED[command])
            if command in ("disable", "pause"):
                self._go_to(_DESIRED[command])
        return None

    def run(self) -> None:
        """At most one step towards the desired state."""
        match self.current:
            case "POWERING":
                self._go_to("ENABLED")
            case "CALIBRATING_ENCODERS":
                self._are_encoders_biased = True
                self._go_to("ENCODERS_BIASED")
            case "HOMED" if not self._is_adapter_engaged:
                self._go_to("ENGAGING_ADAPTER")
            case "HOMED" if not self.is_tool_engaged:
                self._go_to("ENGAGING_TOOL")
            case "ENGAGING_ADAPTER":
                self._is_adapter_engaged = True
                self._go_to("HOMED")
            case "ENGAGING_TOOL":
                self._go_to("TOOL_ENGAGED")
            case state if state in _TOWARDS_DESIRED and self.desired != state:
                self._go_to(_TOWARDS_DESIRED[state])

    def homed(self) -> None:
        """The arm has moved to its home position."""
        self.is_homed = True
        self._go_to("HOMED")

    def fault(self) -> None:
        """The arm's own supervision stops it; it has to be disabled, enabled and homed again."""
        self._desire("FAULT")
        self._go_to("FAULT")

    def disable(self) -> None:
        """The arm's program gives up."""
        self._desire("DISABLED")
        self._go_to("DISABLED")

    def clutch(self, pressed: bool) -> None:
        """A hand takes the arm, or lets go of it."""
        if pressed:
            self._go_to("MANUAL")
        elif self.current == "MANUAL":
            self._go_to(self._former)

    def busy(self, is_busy: bool) -> None:
        """A move begins or ends."""
        self.is_busy = is_busy
        self._shown(False)

    def _desire(self, state: str) -> None:
        self._shown(True)
        self._former_desired, self.desired = self.desired, state
        self._shown(True)

    def _go_to(self, state: str) -> None:
        self._left(self.current, state)
        if state == "PAUSED":
            self._resumed, self._resumed_desired = self.current, self._former_desired
        if state == "TOOL_ENGAGED":
            self.is_tool_engaged = True
        self._former, self.current = self.current, state
        self.state, self.is_busy = _SHOWN[state]
        self.is_homed = self.is_joint_ready
        # power changes after the state was told
        self._is_powered = state not in ("DISABLED", "POWERING") and (self._is_powered or state == "ENABLED")
        self._shown(True)
