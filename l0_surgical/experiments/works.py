"""What the cells of the suites do: train the members of one seed, or reduce one trained policy."""

import base64
import csv
import hashlib
import shutil
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from l0_surgical import training
from l0_surgical.compression import compress, lowest_rank, rank_sweep
from l0_surgical.evaluation import Evaluation
from l0_surgical.evaluation.remembering import RememberingEvaluator
from l0_surgical.experiments.jobs import CellResult, Work
from l0_surgical.experiments.results import KEY
from l0_surgical.experiments.suites.classic import cell_config
from l0_surgical.policy import Policy, load_policy, save_policy
from l0_surgical.policy.description import describe
from l0_surgical.policy.low_rank import fold, size_decrease_percent
from l0_surgical.policy.simplify import simplify
from l0_surgical.system.errors import BadInputError, L0SurgicalError
from l0_surgical.system.files import atomic_write, file_to_write

# names that suite.json keeps, and those that it kept before
TRAIN = Work(
    "classic training",
    "l0_surgical.experiments.works:train_cell",
    former=("l0_surgical.experiments.suite_work:train_cell",),
)
REDUCE = Work(
    "classic reduction",
    "l0_surgical.experiments.works:reduce_cell",
    former=("l0_surgical.experiments.suite_work:reduce_cell",),
)
REDUCE_SURGICAL = Work("surgical reduction", "l0_surgical.experiments.works:reduce_surgical_cell")

KEEP = 0.99
"""Part of the return over random actions that a reduced policy must provably keep."""
GO_ON = "run the same command again to go on"


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
    paths = [Path(row["policy"]) for row in summary["members"] if row["policy"]]
    (run / "checkpoint.pt").unlink(missing_ok=True)
    shutil.rmtree(run / "tensorboard", ignore_errors=True)
    return {
        "members": [
            {**row, "policy": Path(row["policy"]).stem if row["policy"] else None}
            for row in summary["members"]
        ],
        "curves": curves,
        "policies": {path.stem: base64.b64encode(path.read_bytes()).decode() for path in paths},
        "temperature": config.sparsity.temperature,
        "train_seconds": summary["wall_seconds"],
        "cpu_seconds": time.process_time() - started,
    }


def _curve(row: dict[str, str]) -> dict[str, Any]:
    return {
        "regularizer": row["regularizer"],
        "coefficient": float(row["coefficient"]),
        "seed": int(row["seed"]),
        "env_steps": int(row["env_steps"]),
        "return_mean": float(row["validation_return"]),
        "sparsity": float(row["actor_sparsity"]),
    }


def policy_file(out: Path, specification: dict[str, Any], name: str) -> Path:
    """Where the classic suite in `out` keeps a trained policy."""
    where = out / "policies" / specification["environment"] / specification["algorithm"]
    return where / f"{name}.safetensors"


def save_policies(cell: CellResult, out: Path) -> list[dict[str, Any]]:
    """Writes a training cell's policies into the suite's folder; returns its members' rows, labelled with the
    cell and the files' sha256."""
    specification, rows = cell.specification, []
    mapped = specification["temperature"] is not None
    count = len(cell.result["members"])
    for member in cell.result["members"]:
        row = {
            **member,
            **{key: specification[key] for key in ("environment", "algorithm")},
            "mapped": mapped,
            "failed": member.get("failed", ""),
            "temperature": cell.result["temperature"],
            "wall_seconds": cell.seconds / count,
            "cpu_seconds": cell.cpu_seconds / count,
        }
        if member["policy"] is not None:
            data = base64.b64decode(cell.result["policies"][member["policy"]])
            beta = f"beta{specification['temperature']:g}-" if mapped else ""
            path = policy_file(out, specification, f"{beta}{member['policy']}")
            if not path.exists() or path.read_bytes() != data:
                with atomic_write(path) as file:
                    file.write(data)
            policy = load_policy(path)
            row |= {
                "sha256": hashlib.sha256(data).hexdigest(),
                "nonzero": sum(int((layer.weight.to_dense() != 0).sum()) for layer in policy.layers),
                "commit": policy.provenance.get("commit"),
            }
        rows.append(row)
    return rows


def reduce_cell(specification: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Sweeps the ranks of one policy, and makes it as small as the evidence allows in three ways.

    Returns:
        ranks: one row for each rank; compressed: one row for each of "one rank", "automatic ranks" and
        "best". Returns are those of the test episodes; what was accepted was decided on validation episodes.

    Raises:
        L0SurgicalError: the policy file is not the one that was trained.
    """
    path = policy_file(folder.parents[2], specification, specification["policy"])
    policy, episodes = _trained(path, specification["sha256"]), specification["episodes"]
    label = {key: specification[key] for key in (*KEY, "seed")}
    with RememberingEvaluator(policy.task) as evaluator:
        ranks = rank_sweep(policy, specification["ranks"], episodes, stream="test", evaluator=evaluator)
        found = [
            ("one rank", *_one_rank(policy, episodes, evaluator)),
            ("automatic ranks", *_compressed(policy, episodes, ("low_rank",), evaluator)),
            ("best", *_compressed(policy, episodes, ("sparse", "low_rank"), evaluator)),
        ]
        results = [evaluator.evaluate(small, "test", 0, episodes) for _, small, _ in found]
    compressed = [_reduced_row(policy, *one, result) for one, result in zip(found, results, strict=True)]
    return {
        "ranks": [{**label, **row} for row in ranks],
        "compressed": [{**label, **row} for row in compressed],
    }


def reduce_surgical_cell(specification: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Sweeps the ranks of one policy of NeedleReach on unseen episodes, or compresses it into the suite's
    folder `compressed`.

    Raises:
        L0SurgicalError: the policy file is not the one that was trained.
    """
    out, name, episodes = folder.parents[2], specification["name"], specification["episodes"]
    path = out / specification["run"] / "policies" / f"{name}.safetensors"
    policy = _trained(path, specification["sha256"])
    if specification["do"] == "ranks":
        with RememberingEvaluator(policy.task) as evaluator:
            ranks = specification["ranks"]
            return {"ranks": rank_sweep(policy, ranks, episodes, stream="test", evaluator=evaluator)}
    seed = specification["seed"]
    with RememberingEvaluator(policy.task) as evaluator:
        small, _ = _compressed(policy, episodes, ("sparse", "low_rank"), evaluator, seed)
        result = evaluator.evaluate(small, "test", seed, episodes).as_dict()
    evaluation = {**result, "stream": "test", "seed": seed}
    save_policy(replace(small, evaluation=evaluation), file_to_write(out / "compressed" / path.name))
    description = describe(small)
    return {
        "policy": name,
        **{key: description[key] for key in ("parameters", "bytes", "size_decrease_percent")},
        "units": "-".join(str(units) for units in description["network"]),
        "representation": "+".join(layer["representation"] for layer in description["layers"]),
        **{key: result[key] for key in ("return_mean", "success_rate")},
    }


def _trained(path: Path, sha256: str) -> Policy:
    if hashlib.sha256(path.read_bytes()).hexdigest() != sha256:
        raise L0SurgicalError(
            f"{path} is not the policy that was trained; delete it and run the same command again"
        )
    return load_policy(path)


def _one_rank(policy: Policy, episodes: int, evaluator: RememberingEvaluator) -> tuple[Policy, bool]:
    try:
        rank = lowest_rank(policy, range(1, 33), KEEP, 0.95, episodes, 0, evaluator)
    except BadInputError:  # no better than random actions: nothing to keep
        rank = None
    return (policy, False) if rank is None else (fold(policy, rank), True)


def _compressed(
    policy: Policy, episodes: int, methods: Sequence[Any], evaluator: RememberingEvaluator, seed: int = 0
) -> tuple[Policy, bool]:
    try:
        small, report = compress(policy, KEEP, 0.95, episodes, seed, methods=methods, evaluator=evaluator)
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
