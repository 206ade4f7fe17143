"""What the safety filter costs in a tick: all checks of what an arm says, and those of a command with its
limits of motion.

    python benchmarks/safety_checks.py

At an arm in this process that says everything anew at every tick, twice as often as a dVRK does; without a
network, whose part is in the latency of benchmarks/closed_loop.py. Close other programs first.
"""

import argparse
import json
import time

import numpy as np
from motion_limits import RATE_HZ, Clock, FollowingArm

from l0_surgical.robot.control.limits import load_limits
from l0_surgical.robot.control.motion import approach, start_pose
from l0_surgical.robot.control.safety import SafetyFilter
from l0_surgical.surgical import arm_task

WARM_UP = 200


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--ticks", type=int, default=20_000)
    arguments = parser.parse_args()
    clock, limits = Clock(), load_limits()
    arm = FollowingArm(clock)
    safety = SafetyFilter(arm, limits, 1 / RATE_HZ)
    start = start_pose(arm_task("needle-reach"))
    segment = approach(safety.start(arm.poll(), clock.now()), start, limits, RATE_HZ)
    check, send = [], []
    for _ in range(arguments.ticks + WARM_UP):
        clock.advance(round(1e9 / RATE_HZ))
        inputs, now = arm.poll(), clock.now()
        begin = time.perf_counter_ns()
        safety.check(inputs, now)
        checked = time.perf_counter_ns()
        safety.send(segment.next_pose(), inputs, now)
        sent = time.perf_counter_ns()
        check.append(1e-3 * (checked - begin))
        send.append(1e-3 * (sent - checked))
    percentiles = {
        name: {
            f"p{percent:g}_us": round(float(np.percentile(values[WARM_UP:], percent)), 1)
            for percent in (50, 99, 99.9)
        }
        for name, values in (("checks", check), ("command", send), ("both", np.add(check, send)))
    }
    print(json.dumps(percentiles))


if __name__ == "__main__":
    main()
