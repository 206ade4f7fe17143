"""The controller: once a tick it takes what the arm says and sends one setpoint, so that a 5 Hz policy
becomes a smooth stream.

It knows no transport, no thread and no clock of its own making: `tick` is called by a servo loop, or by a
test.

States: disarmed -> (arm) ready -> (set_goal) approaching the start pose -> reaching by the policy -> holding.
A fault latches; `reset` leaves it disarmed. Nothing is sent while disarmed, ready or at fault: the arm holds
its last setpoint by itself.
"""

import enum
import logging
from dataclasses import dataclass

from l0_surgical import runtime
from l0_surgical.policy import Policy
from l0_surgical.robot.control.arm import Arm, ArmInputs
from l0_surgical.robot.control.clock import Clock, Instant, SystemClock
from l0_surgical.robot.control.limits import Limits, ServoRate, load_limits
from l0_surgical.robot.control.motion import Segment, approach, policy_step, start_pose
from l0_surgical.robot.control.policy_task import task_of
from l0_surgical.robot.control.poses import Pose
from l0_surgical.robot.control.reaching import Reaching
from l0_surgical.robot.control.records import Float64MultiArray, Record, String
from l0_surgical.robot.control.safety import Recorder, SafetyFilter
from l0_surgical.robot.control.timing import Histogram, Summary
from l0_surgical.surgical.kinematics import Vector
from l0_surgical.system.bounds import check_value
from l0_surgical.system.errors import L0SurgicalError

_LOG = logging.getLogger(__name__)


class State(str, enum.Enum):
    DISARMED = "disarmed"
    READY = "ready"
    APPROACHING = "approaching"
    REACHING = "reaching"
    HOLDING = "holding"
    FAULT = "fault"


@dataclass(frozen=True)
class Status:
    """What the controller does and how well it keeps time.

    Attributes:
        state: one of `State`'s values.
        fault: why it stopped, or None.
        goal_m: the jaw tip's goal in the arm's base frame, or None.
        distance_mm: of the jaw tip from the goal at the newest policy step, or None.
        steps: policy steps towards this goal.
        is_reached: the tip stayed at the goal.
        sent: setpoints sent (in a dry run: computed).
        limited: how many of them the step or speed limit held back.
        dry_run: nothing is sent.
        period: between the beginnings of two ticks.
        jitter: by how much that differs from the nominal period.
        latency: from the beginning of a tick to its setpoint's being sent.
        age: of measured_cp when a setpoint is sent, since it was taken from the transport.
        policy_step: of one policy step: observation, network, target pose.
    """

    state: str
    fault: str | None
    goal_m: Vector | None
    distance_mm: float | None
    steps: int
    is_reached: bool
    sent: int
    limited: int
    dry_run: bool
    period: Summary
    jitter: Summary
    latency: Summary
    age: Summary
    policy_step: Summary


class Controller:
    """One policy at one arm. All methods are called from the thread that ticks, but `status`, which any
    thread may call.

    Args:
        policy: of a task of one arm, by which it is run (`task`).
        arm: the arm; nobody else may poll it.
        limits: the package's where None.
        servo_rate: ticks per second (Hz), 100 to 500.
        speed: fraction of the policy's own speed, in (0, 1]: all motion and its limits are slowed down by it.
        dry_run: computes and records, but sends nothing; others may move the arm meanwhile.
        recorder: keeps what was heard, computed and sent, or None.
        clock: the system's where None.

    Raises:
        BadInputError: the policy is for another task, a number is out of its range, or the limits do not hold
            the task's start pose.
    """

    def __init__(
        self,
        policy: Policy,
        arm: Arm,
        limits: Limits | None = None,
        *,
        servo_rate: float = 200.0,
        speed: float = 1.0,
        dry_run: bool = False,
        recorder: Recorder | None = None,
        clock: Clock | None = None,
    ) -> None:
        self.task = task_of(policy)
        check_value("servo-rate", servo_rate, ServoRate)
        self.limits = (limits or load_limits()).scaled(speed)
        self.limits.check_task(self.task)
        self._servo_rate = servo_rate
        self._speed = speed
        self._dry_run = dry_run
        self._arm = arm
        self._engine = runtime.compile(policy)
        self._recorder = recorder
        self._clock = clock or SystemClock()
        self._filter = SafetyFilter(arm, self.limits, 1 / servo_rate, dry_run=dry_run, recorder=recorder)
        self._state = State.DISARMED
        self._fault: str | None = None
        self._stall: str | None = None
        self._inputs = ArmInputs()
        self._wanted: Pose | None = None
        self._segment: Segment | None = None
        self._reaching: Reaching | None = None
        self._former: Instant | None = None
        self._ticks = 0
        self._period, self._jitter, self._latency, self._age, self._policy_step = (
            Histogram() for _ in range(5)
        )

    @property
    def inputs(self) -> ArmInputs:
        """What the arm had said by the newest tick."""
        return self._inputs

    @property
    def ticks(self) -> int:
        return self._ticks

    @property
    def state(self) -> State:
        return self._state if self._stall is None else State.FAULT

    @property
    def fault(self) -> str | None:
        """Why it stopped, or None."""
        return self._fault or self._stall

    def stall(self, reason: str) -> None:
        """Says, in another thread than the loop's, that the loop does not tick: a fault at once, which
        latches when it ticks again."""
        self._stall = reason

    def tick(self) -> None:
        """Takes the arm's inputs and, where the state asks for it, sends one setpoint. Any failure latches as
        a fault."""
        now = self._clock.now()
        self._count_period(now)
        if self._stall is not None:
            self._fail(self._stall)
        try:
            self._inputs = self._arm.poll()
            self._record_inputs(now)
            self._filter.hear(self._inputs, now)
            self._act(now)
        except L0SurgicalError as error:
            self._fail(str(error))
        except Exception as error:
            _LOG.exception("the controller failed")
            self._fail(f"the controller failed: {type(error).__name__}: {error}")

    def arm(self) -> None:
        """Takes over the arm, which must be ENABLED, homed and where it says it is; harmless when that is
        done already.

        Raises:
            SafetyError: the arm may not be commanded; says why.
            L0SurgicalError: a fault was not reset.
        """
        if self._state is State.FAULT:
            raise L0SurgicalError(f"a fault is latched ({self._fault}); reset it first")
        if self._state is State.DISARMED:
            self._take_over()
            self._change(State.READY)

    def disarm(self) -> None:
        """Stops sending; the arm holds its last setpoint. A fault stays latched."""
        if self._state is not State.FAULT:
            self._change(State.DISARMED)

    def reset(self) -> None:
        """Forgets a fault and leaves the controller disarmed; harmless where there is none."""
        if self._state is State.FAULT:
            self._fault = self._stall = None
            self._change(State.DISARMED)

    def set_goal(self, tip_m: Vector) -> None:
        """Moves slowly to the task's start pose and from there, by the policy, the jaw tip to `tip_m` (m, in
        the arm's base frame).

        Raises:
            BadInputError: the goal is not finite, outside the workspace or not reachable, or the way to the
                start pose cannot be gone; what was going on goes on.
            L0SurgicalError: the controller is not armed, or the arm may not be commanded.
        """
        if self._state in (State.DISARMED, State.FAULT):
            raise L0SurgicalError(f"the controller is {self._state.value}; arm it before you set a goal")
        self._approach(Reaching(self.task, self._engine, tip_m, self.limits))
        self._record("goal", Float64MultiArray(tuple(map(float, tip_m))))

    def go_to_start(self) -> None:
        """Moves slowly to the task's start pose and holds it.

        Raises:
            BadInputError: the way cannot be gone; what was going on goes on.
            L0SurgicalError: the controller is not armed, or the arm may not be commanded.
        """
        if self._state in (State.DISARMED, State.FAULT):
            raise L0SurgicalError(f"the controller is {self._state.value}; arm it before you move it")
        self._approach(None)

    def status(self) -> Status:
        """The state, and the statistics of all ticks so far."""
        reaching = self._reaching
        return Status(
            state=self.state.value,
            fault=self.fault,
            goal_m=reaching.goal_m if reaching else None,
            distance_mm=reaching.distance_mm if reaching else None,
            steps=reaching.steps if reaching else 0,
            is_reached=bool(reaching and reaching.is_reached),
            sent=self._filter.sent,
            limited=self._filter.limited,
            dry_run=self._dry_run,
            period=self._period.summary(),
            jitter=self._jitter.summary(),
            latency=self._latency.summary(),
            age=self._age.summary(),
            policy_step=self._policy_step.summary(),
        )

    def _take_over(self) -> None:
        self._wanted = self._filter.start(self._inputs, self._clock.now())

    def _approach(self, reaching: Reaching | None) -> None:
        """The way to the start pose, and from there to the goal if there is one."""
        if self._state is State.READY:
            # nothing was sent since arming, and others may have moved the arm
            self._take_over()
        segment = approach(self._wanted, start_pose(self.task), self.limits, self._servo_rate)
        self._filter.check_way(segment)
        self._segment, self._reaching = segment, reaching
        self._change(State.APPROACHING)

    def _act(self, now: Instant) -> None:
        if self._state in (State.DISARMED, State.FAULT):
            return
        measured = self._filter.check(self._inputs, now)
        if self._state is State.READY:
            return
        if self._segment is not None and self._segment.is_over:
            self._next_segment(measured)
        if self._segment is not None:
            self._wanted = self._segment.next_pose()
        self._filter.send(self._wanted, self._inputs, now)
        after = self._clock.now().monotonic_ns
        self._latency.add(1e-9 * (after - now.monotonic_ns))
        self._age.add(1e-9 * (after - self._inputs.measured_cp.received_ns))

    def _next_segment(self, measured: Pose) -> None:
        """What follows a finished segment: the next policy step, or standing still."""
        if self._state is State.APPROACHING and self._reaching is not None:
            self._change(State.REACHING)
        if self._state is State.REACHING:
            before = self._clock.now().monotonic_ns
            target = self._reaching.step(measured, self._inputs.jaw.record.position[0])
            self._policy_step.add(1e-9 * (self._clock.now().monotonic_ns - before))
            self._record("observation", Float64MultiArray(self._reaching.observation))
            self._record("action", Float64MultiArray(self._reaching.action))
            if not self._reaching.is_over:
                seconds = self.task.step_s / self._speed
                self._segment = policy_step(self._wanted, target, self._servo_rate, seconds)
                return
        self._segment = None
        self._change(State.HOLDING)

    def _change(self, state: State) -> None:
        if state is not self._state:
            self._state = state
            self._record(
                "state", String(state.value if self._fault is None else f"{state.value}: {self._fault}")
            )
        if state in (State.DISARMED, State.FAULT):
            self._segment = None

    def _fail(self, reason: str) -> None:
        if self._state is not State.FAULT:
            self._fault = reason
            self._change(State.FAULT)

    def _count_period(self, now: Instant) -> None:
        self._ticks += 1
        if self._former is not None:
            period_s = 1e-9 * (now.monotonic_ns - self._former.monotonic_ns)
            self._period.add(period_s)
            self._jitter.add(abs(period_s - 1 / self._servo_rate))
        self._former = now

    def _record(self, name: str, record: Record) -> None:
        if self._recorder is not None:
            self._recorder.write(f"/{self._arm.name}/l0_surgical/{name}", record, self._clock.now().wall_ns)

    def _record_inputs(self, now: Instant) -> None:
        if self._recorder is None:
            return
        for topic, heard in self._inputs.news.items():
            for received in heard:
                self._recorder.write(f"/{self._arm.name}/{topic}", received.record, now.wall_ns)
