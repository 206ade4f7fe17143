"""Policies that were trained on the embedded NeedleReach, evaluated there and, unchanged, in the real SurRoL.

    python benchmarks/zero_shot_surrol.py POLICY ... [--episodes 100] [--seed 1000] [--out FILE.json]

Needs an installed SurRoL (docs/running.md). Writes, per policy, success rate and mean return in both and
their differences. The two draw their goals from one distribution, each with its own generator, so the
episodes are not paired.
"""

import argparse
import json
import time
from pathlib import Path
from typing import Any

from l0_surgical.evaluation import evaluate
from l0_surgical.policy import Policy, find_policy, load_policy

TASKS = ("needle-reach", "surrol:NeedleReach")


def measure(policy: Policy, task: str, episodes: int, seed: int) -> dict[str, Any]:
    """The evaluation of `policy` on `task`, with the wall-clock steps per second (50 steps an episode)."""
    start = time.perf_counter()
    result = evaluate(policy, task=task, episodes=episodes, seed=seed).as_dict()
    return result | {"steps_per_s": round(50 * episodes / (time.perf_counter() - start), 1)}


def main() -> None:
    """Evaluates each policy on both tasks and prints one JSON object, or writes it to --out."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("policies", nargs="+")
    parser.add_argument("--episodes", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1000)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    report = {}
    for name in arguments.policies:
        policy = load_policy(find_policy(name))
        results = {task: measure(policy, task, arguments.episodes, arguments.seed) for task in TASKS}
        ours, real = (results[task] for task in TASKS)
        difference = {f"{key}_difference": real[key] - ours[key] for key in ("success_rate", "return_mean")}
        report[Path(name).stem] = results | difference
        text = json.dumps(report, indent=2)
        if arguments.out:
            arguments.out.write_text(text + "\n", encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
