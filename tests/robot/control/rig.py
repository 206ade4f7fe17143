"""A controller at a kinematic arm on a stepped clock, with everything it records."""

from pathlib import Path

from kinematic_arm import RATE_HZ, KinematicArm, SteppedClock

from l0_surgical.policy import find_policy, load_policy
from l0_surgical.robot.control.audit import Audit, audit
from l0_surgical.robot.control.controller import Controller, State
from l0_surgical.robot.control.records import Record
from l0_surgical.surgical import arm_task

GOAL = (0.06, 0.07, -0.165)
POLICY = load_policy(find_policy("needle-reach-l0-compressed"))
TASK = arm_task(POLICY.task)


class MemoryRecorder:
    """Keeps what is written in a list."""

    def __init__(self) -> None:
        self.messages: list[tuple[str, int, Record]] = []

    def write(self, topic: str, record: Record, log_time_ns: int) -> None:
        self.messages.append((topic, log_time_ns, record))

    def texts(self, topic: str) -> list[str]:
        return [record.data for name, _, record in self.messages if name == topic]


class Rig:
    def __init__(self, **options: object) -> None:
        self.clock = SteppedClock()
        self.arm = KinematicArm(self.clock)
        self.recorder = MemoryRecorder()
        options = {"servo_rate": RATE_HZ, "recorder": self.recorder} | options
        self.period_s = 1 / options["servo_rate"]
        self.controller = Controller(options.pop("policy", POLICY), self.arm, clock=self.clock, **options)
        self.tick()

    def tick(self, count: int = 1) -> None:
        for _ in range(count):
            self.clock.advance(self.period_s)
            self.controller.tick()

    def until(self, *states: State, limit: int = 20_000) -> None:
        """Ticks until the controller is in one of `states`."""
        for _ in range(limit):
            if self.controller.state in states:
                return
            self.tick()
        raise AssertionError(f"still {self.controller.state} after {limit} ticks")

    def reaching(self) -> "Rig":
        """Armed, past the approach, some ticks into the policy's motion."""
        self.controller.arm()
        self.controller.set_goal(GOAL)
        self.until(State.REACHING)
        self.tick(50)
        assert self.controller.state is State.REACHING
        return self

    def audit(self) -> Audit:
        return audit(self.recorder.messages, "PSM1", self.controller.limits)


def written(folder: Path, text: str) -> Path:
    path = folder / "limits.yaml"
    path.write_text(text, encoding="utf-8")
    return path
