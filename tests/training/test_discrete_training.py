"""Training runs of DQN and PPO: what they leave, the policy that is kept, resumption, and the paper's stop at
the target."""

import csv
import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from l0_surgical import training
from l0_surgical.algorithms.vector_cohort import VectorCohort
from l0_surgical.evaluation import Evaluator, episode_seeds
from l0_surgical.policy import load_policy
from l0_surgical.settings.presets import preset
from l0_surgical.settings.training import TrainingConfig, as_dict, from_dict
from l0_surgical.system.errors import BadInputError
from l0_surgical.system.progress import Progress
from l0_surgical.tasks import get_task

LABELS = ["round", "member", "seed", "regularizer", "coefficient", "env_steps", "updates"]
REPORTED = {
    "dqn": ["train_return", "validation_return", "loss", "q", "penalty", "actor_sparsity", "epsilon"],
    "ppo": [
        *(
            "train_return",
            "validation_return",
            "actor_loss",
            "critic_loss",
            "actor_penalty",
            "critic_penalty",
            "actor_sparsity",
        ),
        *("entropy", "approximate_kl"),
    ],
}


def small(algorithm: str, **changes: object) -> TrainingConfig:
    """A run of seconds on CartPole: six rounds of two members."""
    config = preset("best", "cartpole", algorithm)
    own = {
        "dqn": {
            "cycles_per_round": 10,
            "updates_per_cycle": 4,
            "learning_starts": 50,
            "buffer_size": 500,
        },
        "ppo": {"horizon": 40, "minibatch_size": 40},
    }
    section = dataclasses.replace(config.algorithm, hidden=(32, 16), environments=4, **own[algorithm])
    settings = {
        "steps": 960,
        "regularizer": ("none", "l0"),
        "evaluate_every": 2,
        "evaluation_episodes": 3,
        "checkpoint_every": 2,
    }
    settings |= {"final_evaluation_episodes": 5, "threads": 1, "algorithm": section, "keep_best_after": 0.5}
    settings |= {"sparsity": dataclasses.replace(config.sparsity, penalty_start=2)}
    return dataclasses.replace(config, **{**settings, **changes})


@pytest.mark.parametrize("algorithm", ["dqn", "ppo"])
def test_a_run_leaves_everything(algorithm: str, tmp_path: Path) -> None:
    config = small(algorithm)
    summary = training.train(config, tmp_path / "run")
    assert config.rounds == 6
    assert [m["regularizer"] for m in summary["members"]] == ["none", "l0"]
    for row in summary["members"]:
        assert row["env_steps"] == 960
        assert row["parameters"] == 4 * 32 + 32 + 32 * 16 + 16 + 16 * 2 + 2
        policy = load_policy(row["policy"])
        assert policy.task == "cartpole"
        assert [field.name for field in policy.outputs] == ["push_left", "push_right"]
        assert policy.provenance["algorithm"] == algorithm
        assert row["sparsity_at_init"] == 0
        zeros = sum(int((layer.weight.to_dense() == 0).sum()) for layer in policy.layers)
        assert row["sparsity"] == pytest.approx(zeros / (4 * 32 + 32 * 16 + 16 * 2))
        with Evaluator("cartpole") as evaluator:
            again = evaluator.run(policy, episode_seeds("test", 0, 5))
        assert np.mean([episode.total_reward for episode in again]) == row["return_mean"]
    with (tmp_path / "run" / "metrics.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [(int(r["round"]), int(r["member"])) for r in rows] == [(n, m) for n in range(6) for m in range(2)]
    assert [
        name for name in rows[0] if not any(row[name] for row in rows)
    ] == []  # what a cohort says it reports, it reports
    assert list(rows[0]) == [*LABELS, *REPORTED[algorithm], "steps_per_second", "updates_per_second"]
    validated = [r for r in rows if r["validation_return"]]
    assert sorted({int(r["round"]) for r in validated}) == [1, 3, 5]
    for member, row in enumerate(summary["members"]):
        first = 2 if row["regularizer"] == "l0" else 0
        late = [
            (float(r["validation_return"]), int(r["round"]))
            for r in validated
            if int(r["member"]) == member and int(r["round"]) >= first
        ]
        assert row["kept_round"] == max(late)[1]


def test_a_metric_that_no_column_was_made_for_ends_no_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A learner that finds out something new in the third round, and does not know it any more after
    resumption."""
    train_round = VectorCohort.train_round

    def with_novelty(cohort: VectorCohort, number: int) -> list[dict[str, float]]:
        return [
            {**row, **({"novelty": float(number)} if number >= 2 else {})}
            for row in train_round(cohort, number)
        ]

    with monkeypatch.context() as patched:
        patched.setattr(VectorCohort, "train_round", with_novelty)
        with pytest.raises(MemoryError):
            training.train(small("ppo"), tmp_path / "run", progress=fail_after(5))
    training.resume(tmp_path / "run")
    with (tmp_path / "run" / "metrics.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["novelty"] for row in rows[::2]] == ["", "", "2.0", "3.0", "", ""]
    assert all(row["actor_loss"] for row in rows)


@pytest.mark.parametrize("algorithm", ["dqn", "ppo"])
def test_a_killed_run_resumes_to_the_same_policies(algorithm: str, tmp_path: Path) -> None:
    config = small(algorithm)
    whole = training.train(config, tmp_path / "whole")
    script = f"""
import json, sys, time
from pathlib import Path
from l0_surgical import training
from l0_surgical.algorithms.vector_cohort import VectorCohort
from l0_surgical.settings.training import from_dict
def slowly(text, done, total):
    print(text, done, flush=True)
    if text == "training" and done >= 3:
        time.sleep(60)
training.train(from_dict(json.loads(sys.argv[1])), Path({str(tmp_path / "killed")!r}), progress=slowly)
"""
    with subprocess.Popen(
        [sys.executable, "-c", script, json.dumps(as_dict(config))], stdout=subprocess.PIPE, text=True
    ) as process:
        for line in process.stdout:
            if line.startswith("training 3"):
                break
        os.kill(process.pid, signal.SIGKILL)
    told = []
    resumed = training.resume(
        tmp_path / "killed", progress=lambda text, done, total: told.append((text, done))
    )
    assert ("training", 1) not in told
    assert ("training", 3) in told  # the third round came after the last checkpoint
    for ours, theirs in zip(whole["members"], resumed["members"], strict=True):
        assert Path(ours["policy"]).read_bytes() == Path(theirs["policy"]).read_bytes()


def interrupted_and_resumed(config: TrainingConfig, folder: Path, rounds: int) -> dict[str, Any]:
    """The summary of a run that failed after so many rounds and went on from its last checkpoint."""
    with pytest.raises(MemoryError):
        training.train(config, folder, progress=fail_after(rounds))
    return training.resume(folder)


def fail_after(rounds: int) -> Progress:
    """A progress that ends the run after so many rounds."""

    def fail(text: str, done: int, total: int) -> None:
        if done == rounds:
            raise MemoryError

    return fail


def test_prioritised_replay_resumes_as_well(tmp_path: Path) -> None:
    config = small("dqn")
    config = dataclasses.replace(
        config, algorithm=dataclasses.replace(config.algorithm, prioritized="proportional")
    )
    whole = training.train(config, tmp_path / "whole")
    resumed = interrupted_and_resumed(config, tmp_path / "part", 3)
    for ours, theirs in zip(whole["members"], resumed["members"], strict=True):
        assert Path(ours["policy"]).read_bytes() == Path(theirs["policy"]).read_bytes()


@pytest.mark.parametrize("regularizer", ["l0", "l1"])
def test_fine_tuning_resumes_as_well(regularizer: str, tmp_path: Path) -> None:
    config = small("dqn", regularizer=(regularizer,))
    changes = {
        "penalty_start": 1,
        "finetune_start": 3,
        "threshold": 0.1,
        "initial_log_alpha": 0.0,
        "gate_learning_rate": 0.2,
    }
    config = dataclasses.replace(config, sparsity=dataclasses.replace(config.sparsity, **changes))
    whole = training.train(config, tmp_path / "whole")
    resumed = interrupted_and_resumed(config, tmp_path / "part", 5)
    assert (
        Path(whole["members"][0]["policy"]).read_bytes() == Path(resumed["members"][0]["policy"]).read_bytes()
    )
    with (tmp_path / "whole" / "metrics.csv").open(newline="") as stream:
        validated = [
            float(row["actor_sparsity"]) for row in csv.DictReader(stream) if row["validation_return"]
        ]
    assert validated[-1] >= validated[-2] > 0


def test_the_paper_stops_a_member_at_the_target(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a task whose target every policy reaches, training ends at the first validation."""
    config = small("ppo", task="acrobot", stop_at_target=True, evaluate_every=1, steps=960)
    easy = dataclasses.replace(get_task("acrobot"), target=-1000.0)
    monkeypatch.setattr("l0_surgical.training.run.get_task", lambda name: easy)
    summary = training.train(config, tmp_path / "run")
    for row in summary["members"]:
        assert (row["kept_round"], row["env_steps"], row["steps_to_target"]) == (0, 160, 160)


def test_presets_are_valid_and_survive_json() -> None:
    for name in ("best", "paper"):
        for task in ("cartpole", "acrobot", "lunar-lander"):
            for algorithm in ("dqn", "ppo"):
                config = preset(name, task, algorithm)
                config.validate()
                assert from_dict(as_dict(config)) == config
    paper = preset("paper", "cartpole", "dqn")
    assert paper.coefficient == (1e-5, 5e-5, 1e-4, 5e-4, 1e-3, 5e-3, 1e-2, 5e-2, 1e-1, 5e-1)
    assert (paper.stop_at_target, paper.sparsity.evaluation, paper.algorithm.final_epsilon) == (
        True,
        "sampled",
        0.0,
    )


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"dqn": {"batch_size": 0}}, "--dqn.batch-size 0"),
        ({"dqn": {"learning_starts": 600_000}}, "--dqn.learning-starts"),
        ({"ppo": {"minibatch_size": 100_000}}, "--ppo.minibatch-size"),
        ({"ppo": {"clip": 0.0}}, "--ppo.clip"),
        ({"keep_best_after": 1.5}, "--keep-best-after 1.5"),
        ({"steps": 0}, "--steps 0"),
        ({"sparsity": {"penalty_start": 3, "finetune_start": 3}}, "--sparsity.finetune-start 3"),
    ],
)
def test_bad_settings_are_refused_before_compute(changes: dict, says: str) -> None:
    config = preset("best", "cartpole", "ppo" if "ppo" in changes else "dqn")
    for name, values in changes.items():
        field = "algorithm" if name == config.algorithm.name else name
        held = values
        if isinstance(values, dict):
            held = dataclasses.replace(getattr(config, field), **values)
        config = dataclasses.replace(config, **{field: held})
    with pytest.raises(BadInputError, match=says):
        config.validate()


def test_an_interrupted_process_says_how_to_go_on(tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "l0_surgical",
        "train",
        "cartpole",
        "--out",
        str(tmp_path / "run"),
        "--steps",
        "100000000",
    ]
    command += ["--dqn.hidden", "16", "--threads", "1"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        while not (tmp_path / "run" / "metrics.csv").exists():
            time.sleep(0.1)
        time.sleep(1.0)
        process.send_signal(signal.SIGINT)
        said = process.stderr.read()
    assert process.returncode == 130
    assert f"go on with: l0-surgical train --resume {tmp_path / 'run'}" in said
