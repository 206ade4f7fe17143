"""One scene: a fresh arm and a fresh controller in a DDS domain of their own, an attacker and a judge; what
came of it.

`play` runs in a process of a pool. Each such process has an arm's and a controller's process beside it (see
`workers`).
"""

import contextlib
import re
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

from l0_surgical.robot.control.audit import audit
from l0_surgical.robot.control.limits import load_limits
from l0_surgical.robot.control.records import OperatingState, StringStamped
from l0_surgical.robot.messaging import crtk
from l0_surgical.robot.messaging.dds import DdsTransport
from l0_surgical.robot.messaging.recording import read_recording
from l0_surgical.robot.messaging.transport import Qos
from l0_surgical.robot.requests import ConnectionSettings
from l0_surgical.surgical.kinematics import Vector
from l0_surgical.system.errors import BadInputError, L0SurgicalError
from tests.attacks.attack import GOALS, POLICY, Attack, Notice
from tests.attacks.attacker import Attacker, Log
from tests.attacks.catalogue import find_attack
from tests.attacks.judge import Judge
from tests.attacks.stage import DOMAINS, ForeignArm, Result, Stage, Staging, free_domain
from tests.attacks.workers import Worker

_ATTEMPTS = 4
_MISSED = "was never"
_LATE = r"stood still for|not ticked for|not taken for|stopped \d+ ms ago|ms old \(limit|from its setpoint"
REACHED_M = 0.005
_SLACK_M = 0.0006  # what the tool still moves while the word of it is on its way
_START_S = 30.0
_ARMING_S, _REFUSAL_S = (
    15.0,
    2.0,
)  # where the arm may still be engaging its tool; where the attack is to keep the controller from it
_REPEAT_S = 2.0
_AGAIN_S = 0.05
_GOAL_S = 40.0
_LONGEST_S = 30.0
_SETTLE_S = 0.3
_LISTEN_S = 0.004
_AFTER_S = 0.25  # how long the judge listens on after the end
_READY_S = 0.1
_INTO_S = {"approaching": 0.3, "reaching": 0.4, "holding": 0.2}  # from the beginning of a phase to the attack


_stage: Stage | None = None


def play(name: str, number: int, staging: Staging) -> Result:
    """Plays the attack of that name, again where the computer was too busy; `number` spreads the scenes over
    the domains."""
    global _stage
    _stage = _stage or Stage()
    attack = find_attack(name)
    for again in range(_ATTEMPTS):
        begin = time.monotonic()
        with (
            tempfile.TemporaryDirectory(prefix="l0-attack-") as folder,
            free_domain(number + again * DOMAINS // _ATTEMPTS) as domain,
        ):
            result = Scene(attack, staging, domain, Path(folder), _stage).play()
        result.seconds, result.again = time.monotonic() - begin, again
        if not _is_late(attack, result):
            break
    return result


def _is_late(attack: Attack, result: Result) -> bool:
    """Whether the controller ended because of this computer, which plays other scenes, and not because of the
    attack."""
    if result.said is None:
        return bool(re.search(_MISSED, result.trouble or ""))
    is_expected = (
        isinstance(attack.expect, Notice)
        and result.noticed_ms is not None
        and re.search(attack.expect.words, result.said)
    )
    return not is_expected and bool(re.search(_LATE, result.said))


class Scene:
    """See `play`. The scene's own thread is the operator and the judge; the attack has another."""

    def __init__(self, attack: Attack, staging: Staging, domain: int, folder: Path, stage: Stage) -> None:
        self._attack, self._staging, self._domain = attack, staging, domain
        self._stage = stage
        self._arm: Worker | ForeignArm = stage.arm
        self._recording = folder / "attack.mcap"
        self._limits = load_limits(staging.limits_file, staging.arm_name)
        self._result = Result()
        self._over = threading.Event()
        self._attack_thread: threading.Thread | None = None
        self._fault: str | None = None
        self._fault_ns: int | None = None
        self._state = "disarmed"
        self._state_since = 0.0

    def play(self) -> Result:
        log = Log()
        with contextlib.ExitStack() as opened:
            try:
                self._open(opened)
                log = self._attacker.log
                self._perform()
            except (AssertionError, EOFError, TimeoutError, L0SurgicalError, RuntimeError) as error:
                self._result.trouble = f"{type(error).__name__}: {error}"
            finally:
                self._over.set()
                if self._attack_thread is not None:
                    self._attack_thread.join()
                if hasattr(self, "_judge"):
                    self._listen_for(_AFTER_S)
        self._conclude(log)
        return self._result

    # --- the beginning and the end ---

    def _open(self, opened: contextlib.ExitStack) -> None:
        staging, stage = self._staging, self._stage
        stage.controller.start()
        if staging.arm_command is None:
            stage.arm.start()
            stage.arm.ask("begin", self._domain, staging.arm_name)
        else:
            self._arm = ForeignArm(staging.arm_command, self._domain, staging.arm_name)
        opened.callback(self._end, self._arm)
        judges, attackers = (opened.enter_context(DdsTransport(self._domain)) for _ in range(2))
        self._judge = Judge(judges, staging.arm_name)
        self._state_command = judges.publisher(
            crtk.topic_name(staging.arm_name, "state_command"), StringStamped, Qos(10)
        )
        command_line = [
            POLICY,
            "--arm",
            staging.arm_name,
            "--domain",
            str(self._domain),
            "--no-real-time",
            "--goals",
            "1",
        ]
        command_line += ["--limits", str(staging.limits_file)] if staging.limits_file else []
        self._attacker = Attacker(
            attackers,
            staging.arm_name,
            self._arm,
            stage.controller,
            self._limits,
            self._domain,
            command_line,
            self._over,
        )
        opened.callback(self._attacker.close)
        settings = ConnectionSettings(
            POLICY, staging.arm_name, limits=staging.limits_file, record=self._recording, real_time=False
        )
        opened.callback(self._end, stage.controller)
        stage.controller.ask("begin", settings, self._domain)

    @staticmethod
    def _end(process: Worker | ForeignArm) -> None:
        with contextlib.suppress(EOFError, L0SurgicalError):
            process.ask("end")

    def _conclude(self, log: Log) -> None:
        """All that can be said afterwards."""
        result = self._result
        result.rates, result.others = log.rates, log.said
        result.answer_ms = None if log.answer_s is None else 1e3 * log.answer_s
        result.said = self._fault
        if self._fault_ns is not None and log.begun_ns is not None:
            result.noticed_ms = 1e-6 * (self._fault_ns - log.begun_ns)
        if not hasattr(self, "_judge"):
            return
        found = self._judge.find(log, self._limits, self._attack.judged_by)
        result.outside_mm, result.step_mm = found.outside_mm, found.step_mm
        result.any_outside_mm, result.any_step_mm = found.any_outside_mm, found.any_step_mm
        result.commands = len(self._judge.commands(log))
        if found.last_ns is not None and log.begun_ns is not None:
            result.went_on_s = max(0.0, 1e-9 * (found.last_ns - log.begun_ns))
        if self._recording.exists():
            try:
                result.audited = audit(
                    read_recording(self._recording), self._staging.arm_name, self._limits
                ).violations
            except BadInputError as error:
                result.audited = [str(error)]

    # --- the operator ---

    def _perform(self) -> None:
        attack = self._attack
        self._bring_up()
        for topic in attack.opens.split():
            self._attacker.open(topic)
        if attack.when == "before arming":
            self._attack_first()
        if not self._take_over():
            return
        self._listen_for(_READY_S)
        if attack.when == "ready":
            self._attack_first()
        for number in range(attack.goals):
            if self._fault is None:
                self._reach(GOALS[number % len(GOALS)])
        if attack.when == "holding" and self._fault is None:
            self._listen_for(_INTO_S["holding"])
            self._begin_attack()
        assert self._fault is not None or self._attack_thread is not None, (
            f"the controller {_MISSED} {attack.when}"
        )
        self._until(lambda: self._fault is not None or self._is_attack_over(), _LONGEST_S)
        self._listen_for(_AFTER_S)

    def _attack_first(self) -> None:
        """Before the operator goes on the attack must be over, or have begun where it is to last."""
        self._begin_attack()
        self._until(
            lambda: self._fault is not None or self._attacker.proceed.is_set() or self._is_attack_over(),
            _LONGEST_S,
        )
        self._listen_for(_SETTLE_S)

    def _is_attack_over(self) -> bool:
        return self._attack_thread is not None and not self._attack_thread.is_alive()

    def _bring_up(self) -> None:
        """What a person does at the arm's own console."""
        self._until(lambda: self._arm_state() is not None, _START_S, "the arm's operating state")
        self._command("enable", lambda state: state.state == "ENABLED")
        self._command("home", lambda state: state.is_homed and not state.is_busy)
        self._until(lambda: self._judge.tip() is not None, _START_S, "a valid pose")

    def _command(self, command: str, is_done: Callable[[OperatingState], bool]) -> None:
        repeat = 0.0

        def done() -> bool:
            nonlocal repeat
            if not is_done(self._arm_state()) and time.monotonic() > repeat and not self._arm_state().is_busy:
                self._state_command.publish(StringStamped(time.time_ns(), "", command))
                repeat = time.monotonic() + _REPEAT_S
            return is_done(self._arm_state())

        self._until(done, _START_S, command)

    def _take_over(self) -> bool:
        """Arms as an operator's session does, whose first attempts may come before the arm's first valid
        words."""
        deadline = time.monotonic() + (_REFUSAL_S if self._attack.when == "before arming" else _ARMING_S)
        while (refusal := self._refusal("arm")) is not None and time.monotonic() < deadline:
            self._fault, self._fault_ns = refusal, self._fault_ns or time.time_ns()
            self._listen_for(_AGAIN_S)
        if refusal is None:
            self._fault = self._fault_ns = None
        return refusal is None

    def _reach(self, goal: Vector) -> None:
        """Sets a goal and waits for its outcome; in its phase the attack begins."""
        if (refusal := self._refusal("goal", goal)) is not None:
            self._listen_for(_AGAIN_S)  # a fault of just before says more
            self._fault, self._fault_ns = self._fault or refusal, self._fault_ns or time.time_ns()
            return
        self._result.goals += 1
        outcomes = len(self._outcomes())
        deadline = time.monotonic() + _GOAL_S
        while self._fault is None and len(self._outcomes()) == outcomes and time.monotonic() < deadline:
            if (
                self._attack_thread is None
                and self._attack.when == self._state
                and time.monotonic() > self._state_since + _INTO_S[self._state]
            ):
                self._begin_attack()
            self._listen()
            if not self._stage.controller.is_alive or (
                self._state == "disarmed" and self._attack_thread is not None
            ):
                return
        if self._fault is None and self._outcomes()[outcomes:] == [True]:
            self._check_goal(goal)

    def _check_goal(self, goal: Vector) -> None:
        """A goal that was said to be reached, by the arm's own word."""
        self._listen_for(0.03)
        self._result.reached += 1
        distance = _distance(self._judge.tip(), goal)
        self._result.farthest_mm = max(self._result.farthest_mm, 1e3 * distance)
        self._result.falsely_reached += distance > REACHED_M + _SLACK_M

    def _begin_attack(self) -> None:
        self._attack_thread = threading.Thread(target=self._act, daemon=True)
        self._attack_thread.start()

    def _act(self) -> None:
        try:
            self._attack.act(self._attacker)
        except BaseException as error:  # pytest's own, too
            self._result.trouble = f"the attack failed: {type(error).__name__}: {error}"

    # --- hearing ---

    def _refusal(self, *order: object) -> str | None:
        """Why the controller does not do it; None where it does."""
        try:
            self._stage.controller.ask(*order)
        except L0SurgicalError as error:
            return str(error)
        return None

    def _arm_state(self) -> OperatingState | None:
        heard = self._judge.heard["operating_state"]
        return heard[-1] if heard else None

    def _outcomes(self) -> list[bool]:
        return [event[2] for event in self._stage.controller.events if event[0] == "outcome"]

    def _listen(self) -> None:
        time.sleep(_LISTEN_S)
        self._judge.listen()
        controller = self._stage.controller
        controller.listen()
        states = [event for event in controller.events if event[0] == "state"]
        if states and states[-1][2] != self._state:
            self._state, self._state_since = states[-1][2], time.monotonic()
        faults = [event for event in states if event[3] is not None]
        if faults and self._fault is None:
            _, self._fault_ns, _, self._fault = faults[0]

    def _listen_for(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self._listen()

    def _until(self, condition: Callable[[], bool], timeout_s: float, what: str | None = None) -> None:
        """Listens until the condition holds; where the time is up before, that is trouble if it has a
        name."""
        deadline = time.monotonic() + timeout_s
        while not condition():
            if time.monotonic() > deadline:
                assert what is None, f"waited {timeout_s:g} s in vain for {what}"
                return
            self._listen()


def _distance(one: Vector, other: Vector) -> float:
    return sum((a - b) ** 2 for a, b in zip(one, other, strict=True)) ** 0.5
