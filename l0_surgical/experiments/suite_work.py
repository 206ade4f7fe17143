"""What a cell of the classic suite does: train the members of one seed, or reduce one trained policy."""

import base64
import csv
import dataclasses
import hashlib
import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from l0_surgical import training
from l0_surgical.compression import compress, lowest_rank, rank_sweep
from l0_surgical.evaluation import Evaluation
from l0_surgical.evaluation.remembering import RememberingEvaluator
from l0_surgical.experiments._cell_store import canonical
from l0_surgical.experiments.cells import CellResult
from l0_surgical.policy import Policy, load_policy
from l0_surgical.policy.low_rank import fold, size_decrease_percent
from l0_surgical.policy.simplify import simplify
from l0_surgical.settings.presets import preset
from l0_surgical.settings.training import TrainingConfig, as_dict
from l0_surgical.system.errors import BadInputError, L0SurgicalError
from l0_surgical.system.files import atomic_write

KEEP = 0.99
"""Part of the return over random actions that a reduced policy must provably keep."""
GO_ON = "run the same command again to go on"


def cell_config(specification: dict[str, Any]) -> TrainingConfig:
    """The training of a cell."""
    config = preset(specification["preset"], specification["environment"], specification["algorithm"])
    config = dataclasses.replace(
        config,
        regularizer=(specification["regularizer"],),
        coefficient=tuple(specification["coefficients"]),
        seed=specification["seed"],
        seeds=specification["seeds"],
        threads=1,
    )
    if specification["temperature"] is not None:
        config = dataclasses.replace(
            config, sparsity=dataclasses.replace(config.sparsity, temperature=specification["temperature"])
        )
    if not specification["quick"]:
        return config
    soon = {"learning_starts": 100} if config.algorithm.name == "dqn" else {}
    return dataclasses.replace(
        config,
        steps=2 * config.algorithm.steps_per_round,
        evaluate_every=1,
        checkpoint_every=1,
        evaluation_episodes=2,
        final_evaluation_episodes=4,
        sparsity=dataclasses.replace(config.sparsity, penalty_start=0),
        algorithm=dataclasses.replace(config.algorithm, **soon),
    )


def train_cell(specification: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Trains the cell's members, from the last checkpoint if there is one.

    Returns:
        members: the rows of the run's summary; curves: validation return and sparsity; policies: the files'
            bytes in base64 by name.
    """
    config, run, started = cell_config(specification), folder / "run", time.process_time()
    if run.exists() and not training.is_of(run, config):
        shutil.rmtree(run)  # a preset has changed since
    summary = training.complete(config, run, go_on=GO_ON)
    with (run / "metrics.csv").open(newline="", encoding="utf-8") as stream:
        curves = [_curve(row) for row in csv.DictReader(stream) if row["validation_return"]]
    policies = {
        Path(row["policy"]).stem: Path(row["policy"]).read_bytes()
        for row in summary["members"]
        if row["policy"]
    }
    (run / "checkpoint.pt").unlink(missing_ok=True)
    shutil.rmtree(run / "tensorboard", ignore_errors=True)
    return {
        "members": [
            {**row, "policy": Path(row["policy"]).stem if row["policy"] else None}
            for row in summary["members"]
        ],
        "curves": curves,
        "policies": {name: base64.b64encode(data).decode() for name, data in policies.items()},
        "temperature": config.sparsity.temperature,
        "train_seconds": summary["wall_seconds"],
        "cpu_seconds": time.process_time() - started,
    }


def settings_digest(config: TrainingConfig) -> str:
    """Changes with every setting that the training depends on."""
    return hashlib.sha256(canonical(as_dict(config)).encode()).hexdigest()[:16]


def _curve(row: dict[str, str]) -> dict[str, Any]:
    return {
        "regularizer": row["regularizer"],
        "coefficient": float(row["coefficient"]),
        "seed": int(row["seed"]),
        "env_steps": int(row["env_steps"]),
        "return_mean": float(row["validation_return"]),
        "sparsity": float(row["actor_sparsity"]),
    }


def policy_folder(out: Path) -> Path:
    """Where the suite keeps the trained policies."""
    return out / "policies"


def save_policies(cell: CellResult, folder: Path) -> list[dict[str, Any]]:
    """Writes a training cell's policies into `folder`; returns its members' rows, labelled with the cell and
    the files' sha256."""
    specification, rows = cell.specification, []
    mapped = specification["temperature"] is not None
    count = len(cell.result["members"])
    for member in cell.result["members"]:
        row = {
            **member,
            **{key: specification[key] for key in ("environment", "algorithm")},
            "mapped": mapped,
        }
        row |= {"failed": member.get("failed", ""), "temperature": cell.result["temperature"]}
        row |= {"wall_seconds": cell.seconds / count, "cpu_seconds": cell.cpu_seconds / count}
        if member["policy"] is not None:
            data = base64.b64decode(cell.result["policies"][member["policy"]])
            path = (
                folder
                / specification["environment"]
                / specification["algorithm"]
                / f"{member['policy']}.safetensors"
            )
            if mapped:
                path = path.with_name(f"beta{specification['temperature']:g}-{path.name}")
            if not path.exists() or path.read_bytes() != data:
                path.parent.mkdir(parents=True, exist_ok=True)
                with atomic_write(path) as file:
                    file.write(data)
            policy = load_policy(path)
            row |= {
                "sha256": hashlib.sha256(data).hexdigest(),
                "nonzero": _nonzero(policy),
                "commit": policy.provenance.get("commit"),
            }
        rows.append(row)
    return rows


def _nonzero(policy: Policy) -> int:
    return sum(int((layer.weight.to_dense() != 0).sum()) for layer in policy.layers)


def reduce_cell(specification: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Sweeps the ranks of one policy, and makes it as small as the evidence allows in three ways.

    Returns:
        ranks: one row for each rank; compressed: one row for each of "one rank", "automatic ranks" and
        "best". Returns are those of the test episodes; what was accepted was decided on validation episodes.

    Raises:
        L0SurgicalError: the policy file is not the one that was trained.
    """
    path = _policy_path(specification, folder)
    if hashlib.sha256(path.read_bytes()).hexdigest() != specification["sha256"]:
        raise L0SurgicalError(
            f"{path} is not the policy that was trained; delete it and run the same command again"
        )
    policy, episodes = load_policy(path), specification["episodes"]
    label = {
        key: specification[key] for key in ("environment", "algorithm", "regularizer", "coefficient", "seed")
    }
    with RememberingEvaluator(policy.task) as evaluator:
        ranks = [
            {**label, **row}
            for row in rank_sweep(
                policy, specification["ranks"], episodes, stream="test", evaluator=evaluator
            )
        ]
        found = [
            ("one rank", *_one_rank(policy, episodes, evaluator)),
            ("automatic ranks", *_compressed(policy, episodes, ("low_rank",), evaluator)),
            ("best", *_compressed(policy, episodes, ("sparse", "low_rank"), evaluator)),
        ]
        results = [evaluator.evaluate(small, "test", 0, episodes) for _, small, _ in found]
    compressed = [
        {**label, **_reduced_row(policy, *one, result)} for one, result in zip(found, results, strict=True)
    ]
    return {"ranks": ranks, "compressed": compressed}


def _policy_path(specification: dict[str, Any], folder: Path) -> Path:
    out = folder.parents[2]
    return (
        policy_folder(out)
        / specification["environment"]
        / specification["algorithm"]
        / f"{specification['policy']}.safetensors"
    )


def _one_rank(policy: Policy, episodes: int, evaluator: RememberingEvaluator) -> tuple[Policy, bool]:
    try:
        rank = lowest_rank(policy, range(1, 33), KEEP, 0.95, episodes, 0, evaluator)
    except BadInputError:  # no better than random actions: nothing to keep
        rank = None
    return (policy, False) if rank is None else (fold(policy, rank), True)


def _compressed(
    policy: Policy, episodes: int, methods: Sequence[Any], evaluator: RememberingEvaluator
) -> tuple[Policy, bool]:
    try:
        small, report = compress(policy, KEEP, 0.95, episodes, methods=methods, evaluator=evaluator)
    except BadInputError:
        return simplify(policy), False
    return small, bool(report["chosen"]["confirmation"]["accepted"] or report["chosen"]["method"] == "exact")


def _reduced_row(
    policy: Policy, method: str, small: Policy, kept: bool, result: Evaluation
) -> dict[str, Any]:
    low, high = result.return_ci95
    return {
        "method": method,
        "parameters": small.numbers,
        "bytes": small.nbytes,
        "size_decrease_percent": size_decrease_percent(small.numbers, policy.trained_parameters),
        "return_mean": result.return_mean,
        "return_low": low,
        "return_high": high,
        "kept": kept,
    }
