"""The folder of a training: what a refused one leaves, who may work in it, and what can be changed when it is
resumed."""

import dataclasses
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from l0_surgical import training
from l0_surgical.algorithms import goal_problem
from l0_surgical.commands.demo import command as demo
from l0_surgical.commands.main import main
from l0_surgical.experiments.demo import demo_config
from l0_surgical.policy import load_policy
from l0_surgical.settings.training import TrainingConfig, as_dict
from l0_surgical.system.errors import BadInputError, L0SurgicalError
from l0_surgical.system.locks import WorkLock, acquire
from tests.interrupting import start, the_line, wait_for
from tests.small import small_config
from tests.training.test_discrete_training import small as small_discrete

FEW = [
    "--steps",
    "640",
    "--dqn.environments",
    "4",
    "--dqn.learning-starts",
    "100",
    "--dqn.cycles-per-round",
    "10",
    "--dqn.hidden",
    "8",
]
FEW += ["--evaluation-episodes", "1", "--final-evaluation-episodes", "1"]


def refused(capsys: pytest.CaptureFixture, *arguments: object) -> str:
    """Runs a command that must be refused, and returns its one line."""
    assert main([*map(str, arguments)]) == 2
    output = capsys.readouterr()
    assert output.out == ""
    return the_line(output.err)


def policy_bytes(summary: dict[str, Any]) -> list[bytes]:
    return [Path(row["policy"]).read_bytes() for row in summary["members"]]


def config_in(run: Path) -> dict[str, Any]:
    return json.loads((run / "config.json").read_text(encoding="utf-8"))


# what a refused training leaves


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["MountainCar-v0"], "dqn or ppo"),
        (["cartpole", "--algorithm", "ddpg"], "dqn or ppo"),
        (["needle-reach", "--algorithm", "ppo"], "train it with --algorithm ddpg"),
        (
            ["Pendulum-v1", "--algorithm", "dqn"],
            "Pendulum-v1, which has continuous actions; no algorithm here can train it yet; choose another task",
        ),
        (["Pendulum-v1"], "Pendulum-v1 is not one; no algorithm here can train it yet; choose another task"),
        (["needle-poke"], "unknown task"),
        (["--device", "warp"], "--device warp"),
        (["--coefficient", "-1"], "--coefficient -1"),
        (["--budget", "nan"], "--budget nan"),
        (["--budget", "-1"], "--budget -1"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_refused_training_leaves_nothing(
    arguments: list[str], says: str, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    line = refused(capsys, "train", *arguments, "--out", tmp_path / "new" / "run")
    assert says in line
    assert list(tmp_path.iterdir()) == []


def test_the_advised_command_trains_in_the_same_folder(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    command = ["train", "MountainCar-v0", "--out", str(tmp_path / "run"), *FEW]
    assert "--algorithm dqn" in refused(capsys, *command)
    assert main([*command, "--algorithm", "dqn"]) == 0


def test_a_training_that_fails_before_its_first_round_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise L0SurgicalError("the expert has lost the needle")

    (tmp_path / "notes.txt").write_text("mine", encoding="utf-8")
    with monkeypatch.context() as patch:
        patch.setattr(goal_problem, "collect_demonstrations", fail)
        for out in (tmp_path / "a" / "b", tmp_path):
            with pytest.raises(L0SurgicalError, match="lost the needle"):
                training.train(small_config(), out)
        assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]
    training.train(small_config(), tmp_path)


# one process at a time


def waiting_run(run: Path) -> subprocess.Popen[str]:
    """A training that stops to think after its first round."""
    script = """
import json, sys, time
from pathlib import Path
from l0_surgical import training
from l0_surgical.settings.training import from_dict
training.train(from_dict(json.loads(sys.argv[2])), Path(sys.argv[1]), progress=lambda text, *_: text == "training" and time.sleep(600))
"""
    command = [sys.executable, "-c", script, str(run), json.dumps(as_dict(small_config(checkpoint_every=1)))]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    wait_for((run / "checkpoint.pt").exists, process)
    return process


def test_a_second_process_is_refused_until_the_first_has_ended_however_it_ends(
    tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    run = tmp_path / "run"
    with waiting_run(run) as first:
        before = (run / "checkpoint.pt").read_bytes()
        for command in (["train", "--resume", run], ["train", "--out", run]):
            line = refused(capsys, *command)
            assert (
                f"another training (process {first.pid} on {os.uname().nodename}) works in {run}; wait for "
                "its end" in line
            )
        assert (run / "checkpoint.pt").read_bytes() == before
        first.send_signal(signal.SIGKILL)
        first.wait()
    training.resume(run)
    assert sorted(path.name for path in run.iterdir() if path.name.startswith(".")) == []


def test_of_trainings_that_begin_in_one_folder_at_once_one_trains(tmp_path: Path) -> None:
    command = ["train", "cartpole", "--out", tmp_path / "new" / "run", *FEW]
    processes = [start(*command) for _ in range(2)]
    errors = [process.communicate(timeout=120)[1] for process in processes]
    assert sorted(process.returncode for process in processes) == [0, 2]
    (loser,) = (error for process, error in zip(processes, errors, strict=True) if process.returncode == 2)
    assert "another training" in the_line(loser) or "holds a run already" in the_line(loser)
    assert (tmp_path / "new" / "run" / "summary.json").exists()


def test_a_lock_whose_file_was_removed_meanwhile_is_taken_anew(tmp_path: Path) -> None:
    file = tmp_path / ".lock"
    with WorkLock(file, "training", tmp_path):
        assert acquire(file) is None
    assert not file.exists()
    held = acquire(file)
    file.unlink()  # as its holder does at the end
    with acquire(file) as other:
        assert os.path.samestat(os.fstat(other.fileno()), file.stat())
    held.close()


def test_compress_and_demo_work_alone_too(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    out = tmp_path / "small.safetensors"
    with WorkLock(tmp_path / ".small.safetensors.lock", "compression", out):
        assert "another compression (process" in refused(
            capsys, "compress", "needle-reach-l0", "--rank", 2, "--out", out
        )
    with WorkLock(tmp_path / ".lock", "demonstration", tmp_path):
        assert "another demonstration (process" in refused(capsys, "demo", "--out", tmp_path)
    assert list(tmp_path.iterdir()) == []


# files that are there


def test_no_command_replaces_a_file_unasked(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    folded, code = tmp_path / "small.safetensors", tmp_path / "policy.c"
    commands = {
        folded: ["compress", "needle-reach-l0-compressed", "--rank", "2", "--episodes", "2", "--out", folded],
        code: ["export", "needle-reach-l0-compressed", "--format", "c", "--out", code],
    }
    for file, command in commands.items():
        file.write_text("mine", encoding="utf-8")
        assert f"{file} exists; choose another --out, or pass --overwrite" in refused(capsys, *command)
        assert file.read_text(encoding="utf-8") == "mine"
        assert main([*map(str, command), "--overwrite"]) == 0
        capsys.readouterr()
        assert file.stat().st_size > 100
    code.unlink()
    assert f"{code.with_suffix('.h')} exists" in refused(capsys, *commands[code])
    assert "is a folder" in refused(
        capsys, "export", "needle-reach-l0-compressed", "--format", "onnx", "--out", tmp_path, "--overwrite"
    )


# what can be given beside --resume


def finished(run: Path, **changes: object) -> TrainingConfig:
    config = small_config(**changes)
    training.train(config, run)
    return config


@pytest.mark.parametrize(
    ("given", "named"),
    [
        (["--seeds", "3"], "--seeds"),
        (["--out", "elsewhere"], "--out"),
        (["--preset=paper"], "--preset"),
        (["needle-reach"], "the task"),
        (["cartpole"], "the task"),
        (["--ddpg.hidden", "8", "8"], "--ddpg.hidden"),
        (["--checkpoint_every", "2", "--threads", "1"], "--checkpoint-every"),
        (["--sparsity.gates-wait"], "--sparsity.gates-wait"),
        (["--coefficient", "0.02"], "--coefficient"),  # the default, given all the same
        (["--algorithm", "ddpg", "--regularizer", "l0", "--episodes", "9"], "--algorithm, --regularizer"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_options_that_a_resumption_cannot_honour_are_refused_by_name(
    given: list[str], named: str, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    line = refused(capsys, "train", "--resume", tmp_path, *given)
    assert (
        f"leave out {named}: beside it only --device, --threads, --episodes, --steps, --budget, --json can "
        "be given" in line
    )
    assert list(tmp_path.iterdir()) == []


def test_threads_and_device_are_taken_over_and_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The checkpoint says that it was made on a GPU, which this computer need not have."""
    run, config = tmp_path / "run", small_config(regularizer=("none", "l0"))
    with monkeypatch.context() as patch:
        patch.setattr(torch.serialization, "location_tag", lambda storage: "cuda:0")
        with pytest.raises(training.InterruptedRun):
            training.train(config, run, budget_minutes=0.0)
    (run / "config.json").write_text(
        json.dumps({**as_dict(config), "device": "cuda:7", "threads": 0}), encoding="utf-8"
    )
    with pytest.raises(BadInputError, match="--device cuda:7 cannot be used"):
        training.resume(run)
    assert main(["train", "--resume", str(run), "--device", "cpu", "--threads", "1"]) == 0
    assert (config_in(run)["device"], config_in(run)["threads"]) == ("cpu", 1)
    summary = json.loads((run / "summary.json").read_text(encoding="utf-8"))
    assert policy_bytes(summary) == policy_bytes(training.train(config, tmp_path / "whole"))


def test_a_run_is_made_longer_and_goes_on_as_one_of_the_new_length(tmp_path: Path) -> None:
    """Without what follows the length (exploration, here) it is the longer run; with it, it is at least the
    same whenever it is stopped."""
    quiet = dataclasses.replace(small_config().algorithm, noise_scale=0.0)
    finished(tmp_path / "quiet", episodes=2, algorithm=quiet)
    longer = training.resume(tmp_path / "quiet", {"episodes": 4})
    weights = [load_policy(row["policy"]).layers[0].weight.to_dense() for row in longer["members"]]
    whole = training.train(small_config(episodes=4, algorithm=quiet), tmp_path / "whole")
    assert [row["env_steps"] for row in longer["members"]] == [200]
    for ours, row in zip(weights, whole["members"], strict=True):
        assert (ours == load_policy(row["policy"]).layers[0].weight.to_dense()).all()
    assert config_in(tmp_path / "quiet")["episodes"] == 4
    assert load_policy(longer["members"][0]["policy"]).provenance["lengths"] == [[0, 2], [2, 4]]
    assert "lengths" not in load_policy(whole["members"][0]["policy"]).provenance

    for name in ("a", "b"):
        finished(tmp_path / name, episodes=2)
    with pytest.raises(training.InterruptedRun, match="after round 3 of 4"):
        training.resume(tmp_path / "b", {"episodes": 4}, budget_minutes=0.0)
    assert policy_bytes(training.resume(tmp_path / "a", {"episodes": 4})) == policy_bytes(
        training.resume(tmp_path / "b")
    )


def test_schedules_follow_the_new_length(tmp_path: Path) -> None:
    config = small_discrete("dqn", steps=480)
    training.train(config, tmp_path / "run")
    training.resume(tmp_path / "run", {"steps": 960})
    training.train(dataclasses.replace(config, steps=960), tmp_path / "whole")

    def epsilons(run: Path) -> list[str]:
        rows = [line.split(",") for line in (run / "metrics.csv").read_text(encoding="utf-8").splitlines()]
        return [row[rows[0].index("epsilon")] for row in rows[1::2]]

    assert len(epsilons(tmp_path / "run")) == 6
    assert epsilons(tmp_path / "run")[3:] == epsilons(tmp_path / "whole")[3:]
    assert epsilons(tmp_path / "run")[1] != epsilons(tmp_path / "whole")[1]


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"episodes": 3}, "--episodes 3: the run has 4 and can only be made longer"),
        ({"steps": 10**6}, "--steps says nothing about a run of ddpg; its length is --episodes 4"),
        ({"threads": -1}, "--threads -1"),
    ],
)
def test_changes_that_make_no_sense_are_refused(changes: dict[str, Any], says: str, tmp_path: Path) -> None:
    with pytest.raises(training.InterruptedRun):
        training.train(small_config(), tmp_path / "run", budget_minutes=0.0)
    with pytest.raises(BadInputError, match=says):
        training.resume(tmp_path / "run", changes)
    assert config_in(tmp_path / "run") == as_dict(small_config())


def test_a_checkpoint_of_another_version_is_refused_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(training.InterruptedRun):
        training.train(small_discrete("dqn"), tmp_path / "run", budget_minutes=0.0)
    file = tmp_path / "run" / "checkpoint.pt"
    state = torch.load(file, weights_only=True)
    for part, name in ((state, "lengths"), (state["cohorts"][1], "stage")):
        kept = part.pop(name)
        torch.save(state, file)
        with pytest.raises(
            BadInputError, match=f"another version of l0_surgical .it has no '{name}'.; delete {file}"
        ):
            training.resume(tmp_path / "run")
        part[name] = kept


def test_a_demonstration_goes_on_only_with_its_own_settings(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.json").write_text(
        json.dumps(as_dict(demo_config(quick=True))), encoding="utf-8"
    )
    with pytest.raises(BadInputError, match="holds the training of another demonstration"):
        demo(out=tmp_path)()
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_is_of_looks_at_what_is_learned(tmp_path: Path) -> None:
    config = small_config()
    (tmp_path / "config.json").write_text(json.dumps({**as_dict(config), "threads": 7}), encoding="utf-8")
    assert training.is_of(tmp_path, config)
    assert not training.is_of(tmp_path, dataclasses.replace(config, seed=1))
    assert not training.is_of(tmp_path / "nothing", config)
