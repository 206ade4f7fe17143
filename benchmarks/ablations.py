"""What each of our deviations from the paper is worth: preset `best` with one setting at a time put back
(docs/deviations.md).

    python benchmarks/ablations.py --out runs/ablations --results results/surgical/ablations.csv [--jobs 2]

Three seeds each (200 to 202, used for nothing else), L0 on actor and critic, 100 unseen episodes per policy.
Finished cells are kept.
"""

import argparse
import csv
import dataclasses
import json
import multiprocessing
import os
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from l0_surgical import training
from l0_surgical.system.process import THREADS
from l0_surgical.settings.presets import preset
from l0_surgical.settings.training import TrainingConfig

CELLS: dict[str, dict[str, dict[str, Any]]] = {
    "best": {},
    "D1 learning rates 1e-5": {"algorithm": {"actor_learning_rate": 1e-5, "critic_learning_rate": 1e-5}},
    "D2 tau 1e-3, discount 0.99": {"algorithm": {"target_rate": 1e-3, "discount": 0.99}},
    "D3 DEX weight 5 held": {"algorithm": {"dex_anneal_episodes": 0}},
    "D3 no DEX at all": {"algorithm": {"dex_coefficient": 0.0}},
    "D4 gate learning rate 1e-5": {"sparsity": {"gate_learning_rate": 1e-5}},
    "D5 log alpha from 0": {"sparsity": {"initial_log_alpha": 0.0}},
    "D6 sampled gates in evaluation": {"sparsity": {"evaluation": "sampled"}},
    "D7 penalty from the start": {"sparsity": {"penalty_start": 0}},
    "D12 normaliser floor 0.01": {"algorithm": {"observation_scale_floor": 0.01}},
    "actor gated alone": {"sparsity": {"apply_to": "actor"}},
    "D10 beta 0.25": {"sparsity": {"temperature": 0.25}},
    "D12 action penalty 1": {"algorithm": {"action_penalty": 1.0}},
    "D18 target not clipped": {"algorithm": {"clip_target": False}},
}


def main() -> None:
    """Trains every cell and writes one row per cell."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--results", type=Path, required=True)
    parser.add_argument("--jobs", type=int, default=2)
    arguments = parser.parse_args()
    cells = list(CELLS)
    with ProcessPoolExecutor(arguments.jobs, multiprocessing.get_context("spawn")) as pool:
        summaries = pool.map(train_cell, cells, [arguments.out] * len(cells))
        rows = []
        for name, members in zip(cells, summaries, strict=True):
            rows.append(summarise(name, members))
            print(json.dumps(rows[-1]), flush=True)
            with arguments.results.open("w", newline="", encoding="utf-8") as stream:
                writer = csv.DictWriter(stream, list(rows[0]))
                writer.writeheader()
                writer.writerows(rows)


def train_cell(name: str, out: Path) -> list[dict[str, Any]]:
    """One training run of three members on one thread; returns its members' rows."""
    run = out / name.replace(" ", "-").replace(",", "")
    if (run / "summary.json").exists():
        return json.loads((run / "summary.json").read_text(encoding="utf-8"))["members"]
    config = configuration(CELLS[name])
    return (training.resume(run) if (run / "config.json").exists() else training.train(config, run))[
        "members"
    ]


def configuration(changes: dict[str, dict[str, Any]]) -> TrainingConfig:
    """Preset `best` with the changes, seeds 200 to 202."""
    config = dataclasses.replace(preset("best"), seed=200, seeds=3, threads=1)
    parts = {part: dataclasses.replace(getattr(config, part), **values) for part, values in changes.items()}
    return dataclasses.replace(config, **parts)


def summarise(name: str, members: list[dict[str, Any]]) -> dict[str, Any]:
    """Means over seeds, and the worst seed's success."""
    means = {
        key: round(float(np.mean([m[key] for m in members])), 4)
        for key in ("success_rate", "return_mean", "sparsity", "critic_sparsity")
    }
    return {
        "cell": name,
        "seeds": len(members),
        **means,
        "success_worst": min(m["success_rate"] for m in members),
    }


if __name__ == "__main__":
    os.environ.update(dict.fromkeys(THREADS, "1"))
    main()
