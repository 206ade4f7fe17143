"""Steps a second of NeedleReach, resets included, beside the real SurRoL's in the same run where it is
installed.

    python benchmarks/environment_speed.py [--episodes 40] [--surrol-episodes 4]

Each kind of action is timed by itself, because steps near the tray cost more (see
l0_surgical/tasks/needle_reach/simulation.py): `expert` is the scripted expert, `uniform` are random actions,
`down` presses on the tray all the time (the worst case). Prints one JSON object; SurRoL is timed inside its
own process, so without the adapter's message passing.
"""

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from l0_surgical.tasks.needle_reach.environment import NeedleReachEnv
from l0_surgical.tasks.needle_reach.expert import expert_action

STEPS = 50
KINDS: dict[str, Callable[[dict, np.random.Generator], np.ndarray]] = {
    "expert": lambda observation, rng: expert_action(observation),
    "uniform": lambda observation, rng: rng.uniform(-1, 1, 5),
    "down": lambda observation, rng: np.append(rng.uniform(-1, 1, 2), (-1, 0, 0)),
}
SURROL = """
import json, sys, time
import numpy as np
from surrol.tasks.needle_reach import NeedleReach
env, episodes, start = NeedleReach(), int(sys.argv[1]), time.perf_counter()
for _ in range(episodes):
    observation = env.reset()
    for _ in range(50):
        observation, *_ = env.step(np.array(env.get_oracle_action(observation)))
print(json.dumps(episodes * 50 / (time.perf_counter() - start)), file=sys.stderr)
"""


def ours(kind: str, episodes: int) -> float:
    """Returns steps per second, resets included, over that many episodes of one kind of action."""
    env, rng = NeedleReachEnv(), np.random.default_rng(0)
    env.reset(seed=0)
    start = time.perf_counter()
    for episode in range(episodes):
        observation, _ = env.reset(seed=episode)
        for _ in range(STEPS):
            observation, *_ = env.step(KINDS[kind](observation, rng))
    rate = episodes * STEPS / (time.perf_counter() - start)
    env.close()
    return rate


def surrol(episodes: int) -> float | None:
    """Returns SurRoL's own steps per second with its scripted expert, resets included; None where it does not
    run."""
    result = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", SURROL, str(episodes)],
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    return float(result.stderr.strip().splitlines()[-1]) if result.returncode == 0 else None


def main() -> None:
    """Times both and prints the result."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--episodes", type=int, default=40)
    parser.add_argument("--surrol-episodes", type=int, default=4)
    arguments = parser.parse_args()
    result: dict[str, Any] = {f"{kind}_steps_per_s": round(ours(kind, arguments.episodes)) for kind in KINDS}
    reference = surrol(arguments.surrol_episodes)
    result["surrol_steps_per_s"] = None if reference is None else round(reference, 1)
    result["ratio_with_the_expert"] = (
        None if reference is None else round(result["expert_steps_per_s"] / reference, 1)
    )
    print(json.dumps(result))


if __name__ == "__main__":
    main()
