import csv
import dataclasses
import json
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from l0_surgical import training
from l0_surgical.algorithms import registry
from l0_surgical.algorithms.goal_cohort import GoalCohort, GoalProblem
from l0_surgical.algorithms.replay import Recorder
from l0_surgical.evaluation import episode_seeds
from l0_surgical.policy import load_policy
from l0_surgical.settings.training import MemberSpec, TrainingConfig, as_dict
from l0_surgical.system.errors import BadInputError, L0SurgicalError
from tests.small import small_config, small_problem

SCRIPT = """
import json, sys
from pathlib import Path
from l0_surgical.settings.training import from_dict
from l0_surgical.training import train, resume
folder, config = Path(sys.argv[1]), from_dict(json.loads(sys.argv[2]))
progress = lambda text, done, total: print(text, done, total, flush=True)
(resume(folder, progress=progress) if folder.exists() else train(config, folder, progress=progress))
"""


def start(folder: Path, config: TrainingConfig, **options: object) -> subprocess.Popen:
    command = [sys.executable, "-c", SCRIPT, str(folder), json.dumps(as_dict(config))]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options)


def wait_for(process: subprocess.Popen, line: str) -> None:
    deadline = time.monotonic() + 120
    for text in process.stdout:
        if text.strip() == line:
            return
        assert time.monotonic() < deadline
    raise AssertionError(f"the run ended before {line!r}: {process.stderr.read()}")


def policies(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (folder / "policies").iterdir()}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One uninterrupted small run: a dense and two L0 members."""
    folder = tmp_path_factory.mktemp("runs") / "whole"
    config = small_config(regularizer=("none", "l0"), coefficient=(1e-2, 0.5), episodes=6)
    training.train(config, folder)
    return folder


def test_a_run_leaves_everything(finished: Path):
    summary = json.loads((finished / "summary.json").read_text())
    keys = {
        "seed",
        "regularizer",
        "coefficient",
        "policy",
        "return_mean",
        "success_rate",
        "sparsity",
        "sparsity_at_init",
    }
    keys |= {"parameters", "env_steps", "updates", "wall_seconds"}
    assert len(summary["members"]) == 3
    for row in summary["members"]:
        assert keys <= row.keys()
        assert (row["env_steps"], row["updates"]) == (300, 60)
        policy = load_policy(row["policy"])
        assert policy.provenance["coefficient"] == row["coefficient"]
        assert policy.evaluation["return_mean"] == row["return_mean"]
        assert policy.trained_parameters == row["parameters"] == 10 * 32 + 32 + 32 * 32 + 32 + 32 * 5 + 5
    with (finished / "metrics.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [(int(r["round"]), int(r["member"])) for r in rows] == [(e, m) for e in range(6) for m in range(3)]
    reported = (
        "train_return",
        "train_success",
        "validation_return",
        "validation_success",
        "actor_loss",
        "critic_loss",
        "q",
    )
    reported += ("actor_penalty", "critic_penalty", "actor_sparsity", "critic_sparsity", "dex_coefficient")
    assert tuple(rows[0])[5:] == ("env_steps", "updates", *reported, "steps_per_second", "updates_per_second")
    assert [
        name for name in rows[0] if not any(row[name] for row in rows)
    ] == []  # what a cohort says it reports, it reports
    assert all(
        np.isfinite(float(r[name]))
        for r in rows
        for name in ("critic_loss", "actor_loss", "train_return", "updates_per_second")
    )
    assert [bool(r["validation_return"]) for r in rows[::3]] == [False, True] * 3
    penalised = [float(r["actor_penalty"]) for r in rows if r["coefficient"] == "0.5"]
    assert penalised[0] == 0
    assert penalised[-1] > 0
    assert any((finished / "tensorboard").iterdir())


def test_a_killed_run_resumes_to_the_same_policy_bytes(finished: Path, tmp_path: Path):
    config = small_config(regularizer=("none", "l0"), coefficient=(1e-2, 0.5), episodes=6)
    process = start(tmp_path / "run", config)
    wait_for(process, "training 3 6")
    process.kill()
    process.wait()
    assert not (tmp_path / "run" / "summary.json").exists()
    process = start(tmp_path / "run", config)
    output, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    assert (
        "training 1 6" not in output.splitlines()
    )  # it went on after the checkpoint of episode 2 instead of beginning again
    assert policies(tmp_path / "run") == policies(finished)
    with (tmp_path / "run" / "metrics.csv").open(newline="") as stream:
        assert [int(r["round"]) for r in csv.DictReader(stream)] == [e for e in range(6) for _ in range(3)]


def test_ctrl_c_saves_and_says_how_to_resume(tmp_path: Path):
    command = [
        sys.executable,
        "-m",
        "l0_surgical",
        "train",
        "needle-reach",
        "--out",
        str(tmp_path / "run"),
        "--episodes",
        "500",
    ]
    command += [
        "--ddpg.hidden",
        "16",
        "16",
        "--demonstration-episodes",
        "2",
        "--ddpg.updates-per-episode",
        "2",
    ]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 120
    while not (tmp_path / "run" / "checkpoint.pt").exists():
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in errors
    assert f"--resume {tmp_path / 'run'}" in errors


def test_a_budget_stops_cleanly_and_the_rest_follows(tmp_path: Path):
    config = small_config(episodes=5)
    with pytest.raises(training.InterruptedRun, match="stopped after round 1 of 5"):
        training.train(config, tmp_path / "run", budget_minutes=0.0)
    summary = training.resume(tmp_path / "run")
    whole = training.train(config, tmp_path / "whole")
    assert (
        Path(summary["members"][0]["policy"]).read_bytes() == Path(whole["members"][0]["policy"]).read_bytes()
    )


def test_an_existing_run_is_never_overwritten(finished: Path):
    before = policies(finished)
    with pytest.raises(BadInputError, match=r"holds a run already.*--resume"):
        training.train(small_config(), finished)
    assert policies(finished) == before


def test_resuming_nothing_says_so(tmp_path: Path):
    with pytest.raises(BadInputError, match="no run to resume"):
        training.resume(tmp_path)


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe\x00", b"[]", b'{"task": NaN}', b"null"])
def test_a_damaged_configuration_is_refused(content: bytes, tmp_path: Path):
    (tmp_path / "config.json").write_bytes(content)
    with pytest.raises(BadInputError, match=r"cannot read .*config\.json|the run's configuration is damaged"):
        training.resume(tmp_path)


def test_coefficients_that_agree_in_six_digits_leave_two_policies(tmp_path: Path):
    config = small_config(coefficient=(0.01234567, 0.01234568), episodes=2)
    rows = training.train(config, tmp_path / "run")["members"]
    assert len(policies(tmp_path / "run")) == len({row["policy"] for row in rows}) == 2
    assert [load_policy(row["policy"]).provenance["coefficient"] for row in rows] == [0.01234567, 0.01234568]


def test_a_damaged_checkpoint_is_refused(tmp_path: Path):
    with pytest.raises(training.InterruptedRun):
        training.train(small_config(), tmp_path / "run", budget_minutes=0.0)
    (tmp_path / "run" / "checkpoint.pt").write_bytes(b"no checkpoint")
    with pytest.raises(BadInputError, match=r"checkpoint\.pt.*delete it"):
        training.resume(tmp_path / "run")


def test_an_unwritable_folder_is_refused(tmp_path: Path):
    (tmp_path / "file").write_text("")
    with pytest.raises(BadInputError, match="cannot create the folder"):
        training.train(small_config(), tmp_path / "file" / "run")


def test_an_unknown_device_is_refused(tmp_path: Path):
    with pytest.raises(BadInputError, match="--device warp"):
        training.train(small_config(device="warp"), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_full_disk_leaves_the_last_good_checkpoint(tmp_path: Path):
    """A file-size limit makes the kernel refuse the write half-way, as a full disk does."""
    config = small_config(episodes=8)
    with pytest.raises(training.InterruptedRun):
        training.train(config, tmp_path / "run", budget_minutes=0.0)
    good = (tmp_path / "run" / "checkpoint.pt").read_bytes()
    limit = len(good) // 2
    process = start(
        tmp_path / "run", config, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    )
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 1
    assert "could not write" in errors
    assert "the version saved before is intact" in errors
    assert (tmp_path / "run" / "checkpoint.pt").read_bytes() == good
    assert sorted(p.name for p in (tmp_path / "run").iterdir() if p.name.startswith(".")) == []
    training.resume(tmp_path / "run")


class BrokenSensor(Recorder):
    """The real environment, whose wrist position turns NaN at step 3 of one episode."""

    broken_seed: int

    def reset(self, *, seed: int | None = None, options: dict | None = None):
        self._broken, self._count = seed == self.broken_seed, 0
        return super().reset(seed=seed, options=options)

    def step(self, action: np.ndarray):
        observation, *rest = super().step(action)
        self._count += 1
        if self._broken and self._count == 3:
            observation = {**observation, "observation": np.full_like(observation["observation"], np.nan)}
        return observation, *rest


def broken(problem: GoalProblem, seed: int) -> GoalProblem:
    environment = BrokenSensor(problem.task.open())  # of its own: it is closed when it breaks
    environment.broken_seed = seed
    return dataclasses.replace(problem, environment=environment)


def test_a_member_with_nan_observations_stops_with_step_and_cause_and_the_others_go_on(tmp_path: Path):
    config = small_config()
    problem = small_problem(config, tmp_path)
    members = [MemberSpec(seed, "l0", 1e-2) for seed in (0, 1)]
    healthy = GoalCohort(config, members, problem)
    hurt = GoalCohort(config, members, broken(problem, episode_seeds("train", 1, 3)[2]))
    for episode in range(4):
        expected, rows = healthy.train_round(episode), hurt.train_round(episode)
        assert rows[0]["critic_loss"] == pytest.approx(expected[0]["critic_loss"], rel=1e-5)
        assert bool(rows[1]) == (episode < 2)
    assert list(hurt.failures) == [1]
    assert "episode 2" in hurt.failures[1]
    assert "step 3" in hurt.failures[1]
    problem.environment.close()


def test_a_run_reports_stopped_members_and_fails_when_all_have_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    config = small_config(seeds=2)
    original = registry.make_goal_problem
    monkeypatch.setattr(
        registry, "make_goal_problem", lambda *a: broken(original(*a), episode_seeds("train", 1, 1)[0])
    )
    healthy, stopped = training.train(config, tmp_path / "run")["members"]
    assert "failed" not in healthy
    assert stopped["policy"] is None
    assert "step 3" in stopped["failed"]
    with pytest.raises(L0SurgicalError, match=r"every member stopped.*step 3"):
        training.train(dataclasses.replace(config, seed=1, seeds=1), tmp_path / "all")


def test_threads_are_set():
    before = torch.get_num_threads()
    assert training.set_threads(1) == 1
    assert torch.get_num_threads() == 1
    training.set_threads(before)
    assert os.environ["NUMBA_NUM_THREADS"] == "1"


def test_a_fork_of_a_process_that_has_trained_is_refused():
    program = """if True:
        import multiprocessing, os, sys
        from l0_surgical.system.errors import BadInputError
        from l0_surgical.training import set_threads
        def train():
            try:
                set_threads(1)
            except BadInputError as error:
                sys.exit(str(error))
        context = multiprocessing.get_context("fork")
        for _ in range(2):
            child = context.Process(target=train)
            child.start()
            child.join()
            print(child.exitcode)
            set_threads(1)
    """
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert result.stdout.split() == ["0", "1"]
    assert result.stderr.startswith("this process is a fork of one that has trained")
    assert "get_context('spawn')" in result.stderr


def test_l1_and_l2_train_beside_dense_members_and_report_their_threshold_zeros(tmp_path: Path):
    config = small_config(regularizer=("none", "l1", "l2"), coefficient=(5.0,), episodes=4)
    sparsity = dataclasses.replace(config.sparsity, penalty_start=0, threshold=0.05)
    dense, l1, l2 = training.train(dataclasses.replace(config, sparsity=sparsity), tmp_path / "run")[
        "members"
    ]
    assert dense["sparsity"] == 0
    assert 0 < l1["sparsity_at_init"] < l1["sparsity"]
    assert 0 < l2["sparsity_at_init"] < l2["sparsity"]
    zeros = [
        sum(int((layer.weight.to_dense() == 0).sum()) for layer in load_policy(row["policy"]).layers)
        for row in (l1, l2)
    ]
    weights = 10 * 32 + 32 * 32 + 32 * 5
    assert zeros == [round(row["sparsity"] * weights) for row in (l1, l2)]
