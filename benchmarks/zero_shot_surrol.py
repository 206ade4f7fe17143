"""A policy that was trained on the embedded NeedleReach, evaluated there and, unchanged, in the real SurRoL.

    python benchmarks/zero_shot_surrol.py POLICY [--episodes 100] [--seed 1000]

Prints one JSON object: success rate, mean return and steps a second in both, and the difference of the success rates.
The two draw their goals from one distribution, each with its own generator, so the episodes are not paired.
"""

import argparse
import dataclasses
import json
import time
from typing import Any

from l0_surgical.evaluation import evaluate

TASKS = ("needle-reach", "surrol:NeedleReach")


def measure(policy: str, task: str, episodes: int, seed: int) -> dict[str, Any]:
    """Returns the evaluation of `policy` on `task` with the wall-clock steps per second (50 steps an episode)."""
    start = time.perf_counter()
    result = evaluate(policy, task=task, episodes=episodes, seed=seed)
    seconds = time.perf_counter() - start
    numbers = dataclasses.asdict(result) if dataclasses.is_dataclass(result) else dict(result)
    return numbers | {"steps_per_s": round(50 * episodes / seconds, 1)}


def main() -> None:
    """Evaluates on both tasks and prints the result."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("policy")
    parser.add_argument("--episodes", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1000)
    arguments = parser.parse_args()
    results = {task: measure(arguments.policy, task, arguments.episodes, arguments.seed) for task in TASKS}
    embedded, real = (results[task]["success_rate"] for task in TASKS)
    print(json.dumps(results | {"success_rate_difference": real - embedded}))


if __name__ == "__main__":
    main()
