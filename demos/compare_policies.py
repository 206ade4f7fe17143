"""The dense, the sparse and the compressed policy in the same closed loop, at the same goals of the same
simulated arm.

python demos/compare_policies.py [--goals 10] [--mode physical]
"""

import argparse
import statistics
import sys

from rich.console import Console
from rich.table import Table

from l0_surgical.policy import find_policy, load_policy, shipped_policies
from l0_surgical.robot.operation import Operation
from l0_surgical.robot.requests import ControlRequest
from l0_surgical.robot.simulated_arm.process import arm_beside
from l0_surgical.system.errors import L0SurgicalError


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "policies", nargs="*", default=shipped_policies(), help="policy files or names of shipped policies"
    )
    parser.add_argument("--goals", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0, help="of the goals")
    parser.add_argument("--mode", choices=("kinematic", "physical"), default="kinematic")
    arguments = parser.parse_args()

    table = Table(
        "policy",
        "numbers",
        "bytes",
        "reached",
        "median s",
        "median mm off",
        "policy step p50 (us)",
        "jitter p99 (ms)",
    )
    with arm_beside("--mode", arguments.mode):
        for name in arguments.policies:
            policy = load_policy(find_policy(name))
            result = Operation(
                ControlRequest(name, goals=arguments.goals, seed=arguments.seed), say=lambda text: None
            ).run()
            outcomes = result["outcomes"]
            seconds = (
                statistics.median(outcome["seconds"] for outcome in outcomes) if outcomes else float("nan")
            )
            distance = (
                statistics.median(outcome["final_distance_mm"] for outcome in outcomes)
                if outcomes
                else float("nan")
            )
            reached = f"{result['reached']} of {result['goals']}"
            timing = (f"{1e3 * result['policy_step']['p50_ms']:.0f}", f"{result['jitter']['p99_ms']:.2f}")
            table.add_row(
                name,
                str(policy.numbers),
                str(policy.nbytes),
                reached,
                f"{seconds:.1f}",
                f"{distance:.1f}",
                *timing,
            )
            if result["failure"]:
                raise L0SurgicalError(f"{name}: {result['failure']}")
    Console(width=120).print(table)


if __name__ == "__main__":
    try:
        main()
    except L0SurgicalError as error:
        sys.exit(f"{error}")
