"""The smallest program that lets a policy reach goals at an arm: simulated beside it, or one that is there
already.

python demos/reach_needle.py                                  # a simulated arm over DDS
python demos/reach_needle.py --real --arm PSM1 --speed 0.1    # yours: read docs/robot.md first
"""

import argparse
import contextlib
import sys

from l0_surgical.robot.operation import Operation
from l0_surgical.robot.requests import ControlRequest
from l0_surgical.robot.simulated_arm.process import arm_beside
from l0_surgical.system.errors import L0SurgicalError


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--policy", default="needle-reach-l0-compressed", help="a policy file or the name of a shipped policy"
    )
    parser.add_argument("--arm", default="PSM1")
    parser.add_argument("--transport", choices=("dds", "ros2"), default="dds")
    parser.add_argument("--goals", type=int, default=5)
    parser.add_argument("--speed", type=float, default=1.0, help="fraction of the policy's own speed")
    parser.add_argument("--real", action="store_true", help="do not start a simulated arm: there is one")
    arguments = parser.parse_args()

    with contextlib.ExitStack() as stack:
        if not arguments.real:
            stack.enter_context(arm_beside("--arm", arguments.arm, "--transport", arguments.transport))
        request = ControlRequest(
            arguments.policy,
            arguments.arm,
            transport=arguments.transport,
            goals=arguments.goals,
            speed=arguments.speed,
            bring_up=not arguments.real,
        )
        result = Operation(request, say=print).run()

    for number, outcome in enumerate(result["outcomes"], 1):
        x, y, z = (1e3 * part for part in outcome["goal_m"])
        how = "reached" if outcome["is_reached"] else "missed"
        off = f"{how} in {outcome['seconds']:.1f} s, {outcome['final_distance_mm']:.1f} mm off"
        print(f"goal {number} at ({x:6.1f}, {y:6.1f}, {z:6.1f}) mm: {off}")
    period, jitter = result["period"], result["jitter"]
    print(
        f"{result['reached']} of {result['goals']}; a setpoint every {period['p50_ms']:.2f} ms, jitter p99 "
        f"{jitter['p99_ms']:.2f} ms"
    )
    if result["failure"]:
        print(result["failure"], file=sys.stderr)
    return 0 if result["reached"] == arguments.goals else 1


if __name__ == "__main__":
    try:
        sys.exit(main())
    except L0SurgicalError as error:
        sys.exit(f"{error}")
