"""The whole path on one machine in minutes: train one dense and one L0 policy, compress the sparse one,
evaluate all three, let the small one control a simulated arm in real time, draw."""

import dataclasses
import itertools
import json
import os
import time
from pathlib import Path
from typing import Any

from l0_surgical import training
from l0_surgical.compression import compress, rank_sweep
from l0_surgical.evaluation.remembering import RememberingEvaluator
from l0_surgical.experiments.report import pictures
from l0_surgical.experiments.suites.surgical import quick as quick_training
from l0_surgical.policy import Policy, load_policy, save_policy
from l0_surgical.policy.simplify import simplify
from l0_surgical.robot.operation import Operation
from l0_surgical.robot.requests import ControlRequest
from l0_surgical.robot.simulated_arm.process import arm_beside
from l0_surgical.settings.presets import preset
from l0_surgical.settings.training import TrainingConfig
from l0_surgical.system.errors import BadInputError
from l0_surgical.system.files import atomic_write, make_folder
from l0_surgical.system.progress import Progress

RANKS = (1, 2, 3, 4, 5, 6, 8, 10, 15, 20, 30, 40, 60, 80, 100, 130)
SWEEP_EPISODES = 30
CONTROL_GOALS = 5
GO_ON = "run the same command again to go on"


def demo_config(quick: bool) -> TrainingConfig:
    """One dense and one L0 member of the preset `best`; `quick` only shows that everything runs."""
    config = dataclasses.replace(preset("best"), regularizer=("none", "l0"), seeds=1)
    return quick_training(config) if quick else config


def run_demo(out: Path, *, quick: bool = False, progress: Progress) -> dict[str, Any]:
    """Runs (or goes on with) the demonstration in `out`; returns the table's figures and writes them as
    report.json.

    Raises:
        BadInputError: the folder cannot be written, or holds a demonstration of another kind.
        InterruptedRun: stopped by Ctrl-C after saving; run it again to go on.
    """
    make_folder(out)
    started = time.monotonic()
    config = demo_config(quick)
    dense_row, sparse_row = _train(config, out / "run", progress)["members"]
    dense, sparse = (load_policy(row["policy"]) for row in (dense_row, sparse_row))
    episodes = 100 if not quick else 4

    compressed_path = out / "compressed.safetensors"
    with RememberingEvaluator(config.task) as evaluator:
        compressing = time.monotonic()
        compressed, evidence = _compress(sparse, quick, evaluator, progress)
        tell = lambda n: progress("evaluating the compressed policy", n, episodes)  # noqa: E731
        result = evaluator.evaluate(compressed, "test", 0, episodes, tell)
        save_policy(dataclasses.replace(compressed, evaluation=result.as_dict()), compressed_path)
        compressing = time.monotonic() - compressing
        sweeps = [
            (name, _sweep(name, policy, quick, evaluator, progress))
            for name, policy in (("dense", dense), ("L0", sparse))
        ]

    controlled = _control(compressed_path, out / "control.mcap", quick, progress)

    progress("drawing", 0, 3)
    pictures.learning_curves(
        out / "run" / "metrics.csv", out / "learning_curves.png", "NeedleReach, DDPG + HER + DEX"
    )
    progress("drawing", 1, 3)
    pictures.return_by_rank(
        sweeps, out / "return_by_rank.png", "Low-rank decomposition of the NeedleReach actor"
    )
    progress("drawing", 2, 3)
    shown = [("dense", dense), ("compressed", compressed)]
    pictures.animate(shown, out / "reach.gif", episodes=2 if not quick else 1, steps=12 if not quick else 2)
    progress("drawing", 3, 3)

    final = {
        "policy": str(compressed_path),
        "sparsity_at_init": sparse_row["sparsity_at_init"],
        **result.as_dict(),
    }
    rows = [
        _row("dense", dense, dense_row, dense_row["wall_seconds"]),
        _row("L0", sparse, sparse_row, sparse_row["wall_seconds"]),
        _row("L0 compressed", compressed, {**final, "sparsity": _sparsity(compressed, sparse)}, compressing),
    ]
    report = {
        "out": str(out),
        "episodes": episodes,
        "seconds": time.monotonic() - started,
        "policies": rows,
        "compression": evidence["chosen"],
        "control": controlled,
    }
    report["rank_sweep"] = dict(sweeps)
    with atomic_write(out / "report.json") as file:
        file.write(json.dumps(report, indent=2).encode())
    return report


def _train(config: TrainingConfig, run: Path, progress: Progress) -> dict[str, Any]:
    if (run / "config.json").exists() and not training.is_of(run, config):
        raise BadInputError(
            f"{run} holds the training of another demonstration (with or without --quick?); choose another "
            "--out"
        )
    return training.complete(config, run, progress=progress, go_on=GO_ON)


def _compress(
    sparse: Policy, quick: bool, evaluator: RememberingEvaluator, progress: Progress
) -> tuple[Policy, dict[str, Any]]:
    tried = itertools.count(1)
    tell = lambda line: progress("compressing: candidates", next(tried), 0)  # noqa: E731
    try:
        return compress(sparse, episodes=100 if not quick else 2, progress=tell, evaluator=evaluator)
    except BadInputError as error:  # the policy has learned nothing that could be kept
        return simplify(sparse), {"chosen": {"method": "exact", "reason": str(error)}}


def _sweep(
    name: str, policy: Policy, quick: bool, evaluator: RememberingEvaluator, progress: Progress
) -> list[dict[str, Any]]:
    ranks, episodes = (RANKS, SWEEP_EPISODES) if not quick else ((2, 8), 2)
    tell = lambda n: progress(f"rank sweep, {name}", n, len(ranks))  # noqa: E731
    return rank_sweep(policy, ranks, episodes, progress=tell, evaluator=evaluator)


def _control(policy: Path, recording: Path, quick: bool, progress: Progress) -> dict[str, Any]:
    """The policy in closed loop over DDS with a simulated arm in a process of its own; what the controller
    reports of it."""
    progress("controlling a simulated arm", 0, 1)
    recording.unlink(missing_ok=True)
    # a demonstration does not ask for real-time priority: it would keep it
    domain = 180 + os.getpid() % 50  # apart from other demonstrations and from a robot
    duration = 4.0 if quick else None
    request = ControlRequest(
        str(policy), domain=domain, goals=CONTROL_GOALS, duration=duration, record=recording, real_time=False
    )
    with arm_beside("--domain", str(domain)):
        result = Operation(request, say=lambda text: None).run()
    progress("controlling a simulated arm", 1, 1)
    return result


def _sparsity(policy: Policy, trained: Policy) -> float:
    """The part of the trained network's weights that the policy no longer holds (or holds as zeros)."""
    kept = sum(int((layer.weight.to_dense() != 0).sum()) for layer in policy.layers)
    return 1 - kept / sum(layer.weight.shape[0] * layer.weight.shape[1] for layer in trained.layers)


def _row(name: str, policy: Policy, figures_: dict[str, Any], seconds: float) -> dict[str, Any]:
    keys = ("policy", "success_rate", "return_mean", "return_ci95", "sparsity_at_init", "sparsity")
    return {
        "name": name,
        **{key: figures_[key] for key in keys},
        "parameters": policy.numbers,
        "bytes": policy.nbytes,
        "seconds": seconds,
    }
