"""An operator's procedure at an arm with a small operating-state machine of its own."""

import dataclasses

import pytest
from kinematic_arm import KinematicArm, SteppedClock, with_measured
from rig import GOAL, POLICY, MemoryRecorder

from l0_surgical.robot.control.arm import ArmInputs
from l0_surgical.robot.control.audit import audit
from l0_surgical.robot.control.controller import Controller
from l0_surgical.robot.control.session import Session


class SwitchedArm(KinematicArm):
    """Obeys enable, disable and home, the last after half a second; what it says is not valid before."""

    def __init__(self, clock: SteppedClock, state: str, is_homed: bool = False) -> None:
        super().__init__(clock)
        self.state = dataclasses.replace(self.state, state=state, is_homed=is_homed)
        self.distort = lambda inputs: inputs if self.state.is_homed else with_measured(inputs, stamp_ns=0)
        self.is_deaf = False
        self._homed_at_ns: int | None = None

    def state_command(self, command: str, stamp_ns: int) -> None:
        super().state_command(command, stamp_ns)
        if self.is_deaf:
            return
        if command == "home" and self.state.state == "ENABLED":
            self._homed_at_ns = self.clock.now().monotonic_ns + 500_000_000
            self.state = dataclasses.replace(self.state, is_busy=True)
        if command in ("enable", "disable"):
            self.state = dataclasses.replace(
                self.state, state={"enable": "ENABLED", "disable": "DISABLED"}[command]
            )

    def poll(self) -> object:
        if self._homed_at_ns is not None and self.clock.now().monotonic_ns >= self._homed_at_ns:
            self.state = dataclasses.replace(self.state, is_homed=True, is_busy=False)
            self._homed_at_ns = None
        return super().poll()


class Case:
    def __init__(
        self, state: str, *, is_homed: bool = False, goals: object = (GOAL, GOAL), **options: object
    ) -> None:
        self.clock = SteppedClock()
        self.arm = SwitchedArm(self.clock, state, is_homed)
        self.recorder = MemoryRecorder()
        self.controller = Controller(POLICY, self.arm, recorder=self.recorder, clock=self.clock)
        self.session = Session(self.controller, self.arm, goals, clock=self.clock, **options)

    def tick(self, seconds: float) -> None:
        for _ in range(round(200 * seconds)):
            self.clock.advance(0.005)
            self.session.tick()
            if self.session.is_over:
                return


@pytest.mark.parametrize(
    ("state", "commands"),
    [
        ("DISABLED", ["enable", "home"]),
        ("ENABLED", ["disable", "enable", "home"]),
        ("FAULT", ["disable", "enable", "home"]),
    ],
)
def test_it_enables_homes_arms_and_reaches(state: str, commands: list[str]) -> None:
    case = Case(state)
    case.tick(60)
    assert case.session.is_over
    assert case.session.failure is None
    assert case.arm.state_commands == commands
    assert [outcome.is_reached for outcome in case.session.outcomes] == [True, True]
    for outcome in case.session.outcomes:
        assert outcome.goal_m == GOAL
        assert 1.4 < outcome.seconds < 3
        assert outcome.final_distance_mm < 5
    assert case.controller.status().state == "disarmed"
    assert audit(case.recorder.messages, "PSM1", case.controller.limits).violations == []


def test_an_arm_that_says_homed_as_soon_as_its_encoders_are_biased_is_homed() -> None:
    """As the dVRK does: what it says of its pose is not valid before it was homed."""
    case = Case("ENABLED", is_homed=True)
    has_been_homed = False

    def distort(inputs: ArmInputs) -> ArmInputs:
        nonlocal has_been_homed
        has_been_homed |= "home" in case.arm.state_commands and not case.arm.state.is_busy
        return inputs if has_been_homed else with_measured(inputs, stamp_ns=0)

    case.arm.distort = distort
    case.tick(60)
    assert case.session.failure is None
    assert case.arm.state_commands == ["home"]
    assert len(case.session.outcomes) == 2


def test_an_arm_that_is_ready_gets_no_state_command() -> None:
    case = Case("ENABLED", is_homed=True, bring_up=False)
    case.tick(60)
    assert case.arm.state_commands == []
    assert len(case.session.outcomes) == 2


@pytest.mark.parametrize(
    ("state", "is_homed", "options", "words"),
    [
        ("PAUSED", True, {}, "PSM1 is PAUSED; resume it on its own console"),
        ("DISABLED", False, {"bring_up": False}, "PSM1 is DISABLED, not ENABLED"),
        ("ENABLED", False, {"bring_up": False}, "PSM1 is not homed"),
        ("ENABLED", True, {"goals": [(0.06, 0.07, -0.3)]}, "outside the task's workspace"),
    ],
)
def test_what_cannot_be_begun_ends_with_a_reason(
    state: str, is_homed: bool, options: dict[str, object], words: str
) -> None:
    case = Case(state, is_homed=is_homed, **options)
    case.tick(60)
    assert case.session.is_over
    assert words in case.session.failure
    assert case.arm.sent == []


def test_an_arm_that_does_not_answer_is_asked_again_and_given_up() -> None:
    case = Case("DISABLED", timeout_s=5.0)
    case.arm.is_deaf = True
    case.tick(60)
    assert (
        case.session.failure == "waited 5 s in vain for PSM1 to enable; see whether the arm's software runs"
    )
    assert case.arm.state_commands == ["enable"] * 3


def test_a_fault_ends_the_session_with_what_was_reached_so_far() -> None:
    case = Case("ENABLED", is_homed=True, goals=[GOAL] * 10)
    case.tick(6)
    assert len(case.session.outcomes) == 1
    case.arm.state = dataclasses.replace(case.arm.state, state="PAUSED")
    case.tick(1)
    assert case.session.is_over
    assert "PSM1 is PAUSED, not ENABLED" in case.session.failure
    assert case.controller.status().state == "fault"
    assert len(case.session.outcomes) == 1
    sent = len(case.arm.sent)
    case.tick(1)
    assert len(case.arm.sent) == sent


def test_a_duration_ends_endless_goals() -> None:
    case = Case("ENABLED", is_homed=True, goals=iter(lambda: GOAL, None), duration_s=10.0)
    case.tick(60)
    assert case.session.failure is None
    assert 1e-9 * case.clock.now().monotonic_ns - 5 == pytest.approx(10, abs=0.1)
    assert 1 <= len(case.session.outcomes) <= 3
    assert case.controller.status().state == "disarmed"
