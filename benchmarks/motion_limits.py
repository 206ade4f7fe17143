"""What limits of acceleration and jerk cost a policy: success and time over many goals for each of several
limits.

    python benchmarks/motion_limits.py --out results/robot/motion_limits.csv

The real controller, safety filter and policy tick on a clock of their own at an arm that is at once where it
is told to be, so that no network and no computer's lateness is in the numbers; goals are drawn as the task
draws them, the same for all limits. The limits without an acceleration are the bounds of the limits file,
which nothing here reaches.
"""

import argparse
import csv
import dataclasses
import io
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np

from l0_surgical.policy import find_policy, load_policy
from l0_surgical.robot.control.arm import FIELDS, ArmInputs, Received
from l0_surgical.robot.control.audit import audit
from l0_surgical.robot.control.clock import Instant
from l0_surgical.robot.control.controller import Controller, State
from l0_surgical.robot.control.limits import HOME_M, load_limits
from l0_surgical.robot.control.poses import Pose
from l0_surgical.robot.control.records import JointState, OperatingState, PoseStamped, Record
from l0_surgical.surgical.kinematics import inverse_kinematics
from l0_surgical.system.files import atomic_write

POLICY = "needle-reach-l0-compressed"
RATE_HZ = 200.0
SEED = 71  # of the goals; no policy was trained, chosen or compressed on them
# (m/s2, m/s3)
LIMITS = ((20.0, 5000.0), (8.0, 800.0), (4.0, 400.0), (2.0, 100.0), (1.0, 50.0), (0.5, 10.0), (0.2, 5.0))
COLUMNS = (
    "acceleration_m_per_s2",
    "jerk_m_per_s3",
    "goals",
    "reached",
    "mean_steps",
    "mean_seconds",
    "strongest_m_per_s2",
    "sharpest_m_per_s3",
)


class Clock:
    """Moves by `advance` only."""

    def __init__(self) -> None:
        self._now = Instant(10**9, 1_700_000_000 * 10**9)

    def now(self) -> Instant:
        return self._now

    def sleep_until(self, monotonic_ns: int) -> None:
        raise NotImplementedError

    def advance(self, nanoseconds: int) -> None:
        self._now = Instant(self._now.monotonic_ns + nanoseconds, self._now.wall_ns + nanoseconds)


class FollowingArm:
    """Enabled, homed, and at once where it is told to be."""

    name = "PSM1"

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._pose = Pose(HOME_M, (0.5**0.5, 0.5**0.5, 0.0, 0.0))
        self._roll_rad = 0.0

    def poll(self) -> ArmInputs:
        now = self._clock.now()
        joints = tuple(inverse_kinematics(self._pose.matrix(), self._roll_rad).tolist())
        self._roll_rad = joints[3]
        pose = PoseStamped(now.wall_ns, "PSM1_base", self._pose.position, self._pose.orientation)
        said: dict[str, Record] = dict.fromkeys(("measured_cp", "local/measured_cp", "setpoint_cp"), pose)
        said |= dict.fromkeys(("measured_js", "setpoint_js"), JointState(now.wall_ns, "", (), joints))
        said["jaw/measured_js"] = JointState(now.wall_ns, "", (), (0.0,))
        said["operating_state"] = OperatingState(now.wall_ns, "", "ENABLED", is_homed=True, is_busy=False)
        received = {topic: Received(record, now.monotonic_ns) for topic, record in said.items()}
        return ArmInputs(
            **{FIELDS[topic]: one for topic, one in received.items()},
            news={topic: [one] for topic, one in received.items()},
        )

    def servo_cp(self, pose: PoseStamped) -> None:
        self._pose = Pose.of(pose)

    def state_command(self, command: str, stamp_ns: int) -> None:
        raise NotImplementedError


class Recorder:
    """Keeps the commands of one goal."""

    def __init__(self) -> None:
        self.messages: list[tuple[str, int, Record]] = []

    def write(self, topic: str, record: Record, log_time_ns: int) -> None:
        if topic == "/PSM1/servo_cp":
            self.messages.append((topic, log_time_ns, record))


def measure(acceleration: float, jerk: float, goals: int) -> dict[str, float]:
    limits = dataclasses.replace(
        load_limits(), max_acceleration_m_per_s2=acceleration, max_jerk_m_per_s3=jerk
    )
    clock, recorder = Clock(), Recorder()
    controller = Controller(
        load_policy(find_policy(POLICY)),
        FollowingArm(clock),
        limits,
        servo_rate=RATE_HZ,
        recorder=recorder,
        clock=clock,
    )

    def tick() -> None:
        clock.advance(round(1e9 / RATE_HZ))
        controller.tick()

    tick()
    controller.arm()
    generator = np.random.default_rng(SEED)
    reached, steps, ticks, strongest, sharpest = 0, [], [], 0.0, 0.0
    for _ in range(goals):
        controller.set_goal(controller.task.draw_goal_m(generator))
        while controller.state is State.APPROACHING:
            tick()
        begin = controller.ticks
        while controller.state is State.REACHING:
            tick()
        if controller.fault is not None:
            raise RuntimeError(f"{acceleration} m/s2, {jerk} m/s3: {controller.fault}")
        status = controller.status()
        reached += status.is_reached
        steps.append(status.steps)
        ticks.append(controller.ticks - begin)
        found = audit(recorder.messages, "PSM1", limits)
        strongest, sharpest = max(strongest, found.strongest_m_per_s2), max(sharpest, found.sharpest_m_per_s3)
        recorder.messages.clear()
    values = (
        acceleration,
        jerk,
        goals,
        reached,
        np.mean(steps),
        np.mean(ticks) / RATE_HZ,
        strongest,
        sharpest,
    )
    return dict(zip(COLUMNS, (round(float(value), 4) for value in values), strict=True))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=Path("results/robot/motion_limits.csv"))
    parser.add_argument("--goals", type=int, default=500)
    parser.add_argument("--jobs", type=int, default=2)
    arguments = parser.parse_args()
    begin = time.perf_counter()
    with ProcessPoolExecutor(arguments.jobs) as pool:
        rows = list(pool.map(measure, *zip(*LIMITS, strict=True), [arguments.goals] * len(LIMITS)))
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS)
    writer.writeheader()
    writer.writerows(rows)
    with atomic_write(arguments.out) as file:
        file.write(text.getvalue().encode())
    for row in rows:
        print(row)
    print(f"wrote {arguments.out} in {time.perf_counter() - begin:.0f} s")


if __name__ == "__main__":
    main()
