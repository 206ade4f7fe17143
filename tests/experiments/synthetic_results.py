"""A small classic results folder with numbers that are known in advance: written by code, the same each
time."""

import csv
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from l0_surgical.policy.low_rank import (
    dense_parameters,
    folded_parameters,
    paper_parameters,
    size_decrease_percent,
)

ENVIRONMENTS = {
    "cartpole": (4, 2, 500.0, 22.0),
    "acrobot": (6, 3, -100.0, -499.0),
    "lunar-lander": (8, 4, 200.0, -182.0),
}
COEFFICIENTS = (1e-4, 1e-2, 5e-1)
SEEDS = range(5)
RUN = {"suite": "classic", "format": 1, "l0_surgical": "0.1.0", "commit": "abc1234def, 567890abcd"}
RUN |= {"versions": {"torch": "2.13.0"}, "preset": "best"}
RUN |= {
    "command": "l0-surgical suite classic",
    "machine": "a test",
    "wall_seconds": 3600.0,
    "cpu_seconds": 7000.0,
}

# coefficient: sparsity at the end, and the share of the way from random to the dense reward that is kept
L0 = {1e-4: (0.40, 1.0), 1e-2: (0.90, 1.0), 5e-1: (0.99, 0.2)}
L1 = {1e-4: (0.05, 1.0), 1e-2: (0.50, 1.0), 5e-1: (0.95, 0.1)}
L2 = {1e-4: (0.01, 1.0), 1e-2: (0.10, 1.0), 5e-1: (0.60, 0.1)}
SPARSITY_AT_INIT = 0.17
DENSE_GAIN = {"cartpole": 1.0, "acrobot": 1.05, "lunar-lander": 1.1}  # of the way from random to the target
STEPS = 20_000
Change = Callable[[str, list[dict[str, Any]]], list[dict[str, Any]]]


def policy_return(environment: str, share: float, seed: int) -> float:
    """A reward that differs by 0.1 from seed to seed, and never passes CartPole's limit."""
    _, _, target, random_return = ENVIRONMENTS[environment]
    value = random_return + share * DENSE_GAIN[environment] * (target - random_return) + 0.1 * (seed - 2)
    return min(500.0, value) if environment == "cartpole" else value


def shapes(environment: str) -> list[tuple[int, int]]:
    """The (out, in) of every layer."""
    observation, actions, *_ = ENVIRONMENTS[environment]
    widths = (observation, 128, 64, 32, actions)
    return list(zip(widths[1:], widths[:-1], strict=True))


def policies(
    coefficients: Sequence[float] = COEFFICIENTS, seeds: Sequence[int] = SEEDS
) -> list[dict[str, Any]]:
    """The grid: one dictionary per policy with its key, sparsity and share of the dense reward."""
    grid = []
    for environment in ENVIRONMENTS:
        for algorithm in ("dqn", "ppo"):
            cells = [("none", 0.0, 0.0, 1.0)]
            for name, table in (("l0", L0), ("l1", L1), ("l2", L2)):
                cells += [(name, c, *table.get(c, (0.3, 1.0))) for c in coefficients]
            for name, coefficient, sparsity, share in cells:
                head = {
                    "environment": environment,
                    "algorithm": algorithm,
                    "regularizer": name,
                    "coefficient": coefficient,
                }
                grid += [{**head, "seed": seed, "sparsity": sparsity, "share": share} for seed in seeds]
    return grid


def _key(policy: dict[str, Any]) -> dict[str, Any]:
    return {name: policy[name] for name in ("environment", "algorithm", "regularizer", "coefficient", "seed")}


def _returns(mean: float) -> dict[str, float]:
    return {"return_mean": mean, "return_low": mean - 1, "return_high": mean + 1}


def _member(policy: dict[str, Any]) -> dict[str, Any]:
    environment, regularizer, seed = policy["environment"], policy["regularizer"], policy["seed"]
    mean = policy_return(environment, policy["share"], seed)
    parameters = dense_parameters(shapes(environment))
    reached = mean >= ENVIRONMENTS[environment][2]
    steps = 8_000 + 1_000 * seed + (5_000 if regularizer == "l0" else 0)
    return {
        **_key(policy),
        "temperature": 2 / 3 if regularizer == "l0" else "",
        **_returns(mean),
        "sparsity": policy["sparsity"],
        "sparsity_at_init": SPARSITY_AT_INIT if regularizer == "l0" else 0.0,
        "critic_sparsity": "",
        "parameters": parameters,
        "nonzero": round(parameters * (1 - policy["sparsity"])),
        "env_steps": STEPS,
        "updates": 5_000,
        "steps_to_target": steps if reached else "",
        "wall_seconds": 60.0,
        "cpu_seconds": 55.0,
        "failed": "",
    }


def _curve(policy: dict[str, Any], points: int) -> list[dict[str, Any]]:
    rows = []
    for point in range(1, points + 1):
        share = policy["share"] * point / points
        mean = policy_return(policy["environment"], share, policy["seed"])
        rows.append(
            {
                **_key(policy),
                "env_steps": STEPS * point // points,
                "return_mean": mean,
                "sparsity": policy["sparsity"] * point / points,
            }
        )
    return rows


def _ranks(policy: dict[str, Any]) -> list[dict[str, Any]]:
    """Dense policies reach the target from rank 12 + seed on, sparse ones from rank 6."""
    first = 12 + policy["seed"] if policy["regularizer"] == "none" else 6
    sizes = shapes(policy["environment"])
    dense = dense_parameters(sizes)
    rows = []
    for rank in range(5, 30):
        share = policy["share"] if rank >= first else 0.5
        numbers = {
            "parameters_paper": paper_parameters(sizes, rank),
            "parameters": folded_parameters(sizes, rank),
        }
        decrease = {"size_decrease_percent": size_decrease_percent(numbers["parameters"], dense)}
        mean = policy_return(policy["environment"], share, 2)
        rows.append({**_key(policy), "rank": rank, **numbers, **decrease, **_returns(mean)})
    return rows


def _compressed(policy: dict[str, Any]) -> list[dict[str, Any]]:
    dense = dense_parameters(shapes(policy["environment"]))
    rows = []
    for method, share in (("one rank", 0.5), ("automatic ranks", 0.4), ("best", 0.1)):
        numbers = round(dense * share * (1 if policy["regularizer"] == "none" else 0.5))
        size = {
            "parameters": numbers,
            "bytes": 4 * numbers,
            "size_decrease_percent": size_decrease_percent(numbers, dense),
        }
        rows.append(
            {
                **_key(policy),
                "method": method,
                **size,
                **_returns(policy_return(policy["environment"], 1.0, 2)),
                "kept": "true",
            }
        )
    return rows


def _temperatures() -> list[dict[str, Any]]:
    rows = []
    for policy in policies():
        if (policy["environment"], policy["algorithm"], policy["regularizer"]) == ("cartpole", "dqn", "l0"):
            rows += [{**_member(policy), "temperature": beta} for beta in (0.25, 0.667, 1.0)]
    return rows


def write_results(
    folder: Path,
    change: Change | None = None,
    coefficients: Sequence[float] = COEFFICIENTS,
    points: int = 10,
    temperatures: bool = True,
    more_seeds: bool = True,
) -> Path:
    """Writes the folder; `change(name, rows)` may take rows away or alter them before they are written.

    `more_seeds`: seeds 5 to 9 of the dense policies and of L0 with 1e-2 and 0.5.
    """
    folder.mkdir(parents=True, exist_ok=True)
    grid = policies(coefficients)
    swept = [
        p
        for p in grid
        if p["regularizer"] == "none" or (p["regularizer"] == "l0" and p["coefficient"] == 1e-2)
    ]
    tables = {
        "members": [_member(policy) for policy in grid],
        "curves": [row for policy in grid for row in _curve(policy, points)],
        "ranks": [row for policy in swept for row in _ranks(policy)],
        "compressed": [row for policy in swept for row in _compressed(policy)],
    }
    if temperatures:
        tables["temperatures"] = _temperatures()
    if more_seeds:
        further = [
            p
            for p in policies(COEFFICIENTS, range(5, 10))
            if p["regularizer"] == "none" or p["regularizer"] == "l0"
        ]
        tables["members_ten_seeds"] = [_member(p) for p in further if p["coefficient"] != 1e-4]
    (folder / "run.json").write_text(json.dumps(RUN))
    for name, rows in tables.items():
        kept = change(name, rows) if change else rows
        with (folder / f"{name}.csv").open("w", newline="") as stream:
            writer = csv.DictWriter(stream, list(rows[0]))
            writer.writeheader()
            writer.writerows(kept)
    return folder
