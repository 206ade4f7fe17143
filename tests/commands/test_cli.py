"""The command line as a user meets it: exit codes, one-line errors, the keys of every --json, files that
appear."""

import ctypes
import dataclasses
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import gymnasium
import misbehaving
import numpy as np
import point_reach
import pytest
from rounding import assert_rounded

from l0_surgical.commands.main import main
from l0_surgical.compression.request import parse_ranks
from l0_surgical.evaluation import episode_seeds
from l0_surgical.policy import load_policy, save_policy
from l0_surgical.runtime import ReferenceEngine
from l0_surgical.settings.presets import preset
from l0_surgical.system.errors import BadInputError

SMALL = [
    "--ddpg.hidden",
    "16",
    "16",
    "--ddpg.updates-per-episode",
    "5",
    "--episodes",
    "2",
    "--demonstration-episodes",
    "2",
]
SMALL += [
    "--evaluate-every",
    "1",
    "--evaluation-episodes",
    "1",
    "--final-evaluation-episodes",
    "2",
    "--threads",
    "1",
]
SWEEP_KEYS = {
    "rank",
    "parameters_paper",
    "parameters",
    "bytes",
    "size_decrease_percent",
    "return_mean",
    "return_ci95",
    "success_rate",
}


def run(capsys: pytest.CaptureFixture, *arguments: object) -> dict:
    """Runs a command with --json and returns its object; nothing else may be on stdout."""
    assert main([*map(str, arguments), "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def refused(capsys: pytest.CaptureFixture, code: int, *arguments: object) -> str:
    """Runs a command that must fail with `code`, and returns its one line."""
    assert main([*map(str, arguments)]) == code
    output = capsys.readouterr()
    assert output.out == ""
    lines = [line for line in output.err.splitlines() if line.startswith("l0-surgical: ")]
    assert len(lines) == 1
    assert "Traceback" not in output.err
    return lines[0]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> dict:
    folder = tmp_path_factory.mktemp("cli") / "run"
    command = [
        sys.executable,
        "-m",
        "l0_surgical",
        "train",
        "needle-reach",
        "--out",
        str(folder),
        "--coefficient",
        "0.1",
        *SMALL,
        "--json",
    ]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "training" in result.stderr
    return json.loads(result.stdout)


def test_train_prints_its_members(trained: dict):
    assert trained.keys() >= {"run", "members"}
    (member,) = trained["members"]
    keys = {
        "seed",
        "regularizer",
        "coefficient",
        "policy",
        "return_mean",
        "success_rate",
        "sparsity",
        "sparsity_at_init",
        "parameters",
    }
    assert member.keys() >= keys | {"env_steps", "updates", "wall_seconds"}
    assert (member["regularizer"], member["coefficient"], member["env_steps"], member["updates"]) == (
        "l0",
        0.1,
        100,
        10,
    )


def test_evaluate_gives_what_the_training_recorded(trained: dict, capsys: pytest.CaptureFixture):
    policy = trained["members"][0]["policy"]
    result = run(capsys, "evaluate", policy, "--episodes", 2)
    keys = {
        "task",
        "episodes",
        "return_mean",
        "return_ci95",
        "success_rate",
        "success_ci95",
        "steps_to_success_mean",
    }
    assert result.keys() == keys
    assert result["return_mean"] == trained["members"][0]["return_mean"]


def test_inspect_counts(trained: dict, capsys: pytest.CaptureFixture):
    result = run(capsys, "inspect", trained["members"][0]["policy"])
    assert result.keys() >= {"task", "network", "parameters", "nonzero", "sparsity", "bytes", "layers"}
    assert result["network"] == [10, 16, 16, 5]
    assert result["parameters"] == 10 * 16 + 16 + 16 * 16 + 16 + 16 * 5 + 5


def test_compress_to_a_rank(trained: dict, tmp_path: Path, capsys: pytest.CaptureFixture):
    policy, out = trained["members"][0]["policy"], tmp_path / "folded.safetensors"
    result = run(capsys, "compress", policy, "--out", out, "--rank", 16, "--episodes", 2)
    (row,) = result["sweep"]
    assert row.keys() == SWEEP_KEYS
    assert result["chosen"]["rank"] == row["rank"] == 16
    states = np.random.default_rng(0).normal(size=(20, 10)).astype(np.float32)
    assert_rounded(ReferenceEngine(load_policy(policy)).act(states), load_policy(out), states)


def test_tables_are_for_people(trained: dict, capsys: pytest.CaptureFixture):
    policy = trained["members"][0]["policy"]
    for command in (["inspect", policy], ["evaluate", policy, "--episodes", "2"]):
        assert main(command) == 0
        assert "needle-reach" in capsys.readouterr().out


@pytest.mark.parametrize("algorithm", ["dqn", "ppo"])
def test_tables_of_a_task_without_success_and_critic(
    algorithm: str, tmp_path: Path, capsys: pytest.CaptureFixture
):
    run_folder, few = (
        tmp_path / "run",
        ["--steps", "10000", "--evaluation-episodes", "2", "--final-evaluation-episodes", "2"],
    )
    assert (
        main(
            [
                "train",
                "cartpole",
                "--algorithm",
                algorithm,
                "--regularizer",
                "l0",
                "--out",
                str(run_folder),
                *few,
            ]
        )
        == 0
    )
    (coefficient,) = preset("best", "cartpole", algorithm).coefficient
    assert re.search(rf"0 +│ l0 +│ {coefficient:g} +│ - +│", capsys.readouterr().out)
    (policy,) = map(str, (run_folder / "policies").iterdir())
    commands = (["inspect", policy], ["evaluate", policy, "--episodes", "2"])
    for command in (
        *commands,
        ["compress", policy, "--out", str(tmp_path / "small.safetensors"), "--rank", "2", "--episodes", "2"],
    ):
        assert main(command) == 0
        assert capsys.readouterr().out


def test_the_table_of_a_search_names_its_methods(tmp_path: Path, capsys: pytest.CaptureFixture):
    command = [
        "compress",
        "needle-reach-l0-compressed",
        "--keep",
        "0.5",
        "--episodes",
        "10",
        "--out",
        str(tmp_path / "small.safetensors"),
    ]
    assert main(command) == 0
    shown = capsys.readouterr().out
    assert "│ sparse " in shown
    assert "│ chosen " in shown
    assert "None" not in shown


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (
            ["fly"],
            "unknown command 'fly'; choose one of train, evaluate, compress, inspect, suite, report, demo, "
            "export, benchmark, control, ",
        ),
        (
            ["train", "needle-reach", "--algorithm", "dqn"],
            "needle-reach, which has continuous actions; train it with --algorithm ddpg",
        ),
        (["train", "cartpole", "--algorithm", "ddpg"], "train it with --algorithm dqn or ppo"),
        (["train", "cartpole", "--algorithm", "sarsa"], "choose ddpg, dqn or ppo"),
        (
            ["suite", "classic", "--coefficients", "0.1", "0.1"],
            "--coefficients 0.1 0.1: a cell of the grid would be run twice",
        ),
        (["suite", "chess"], "classic"),
        (["train", "needle-poke"], "unknown task 'needle-poke'; known are needle-reach"),
        (["train", "--coefficient", "-1"], "--coefficient -1.0: pass a finite number >= 0"),
        (["train", "--preset", "worst"], "choose best or paper"),
        (["train", "--regularizer", "l9"], "'l9'"),
        (["train", "--resume", "/nowhere"], "holds no run to resume"),
        (["evaluate", "no-such-policy"], "neither a file nor a shipped policy"),
        (["inspect"], "Missing"),
        (["compress", "x", "--out", "y", "--rank", "5", "--keep", "0.9"], "--rank excludes"),
    ],
)
def test_bad_input_is_one_line_and_code_2(arguments: list[str], says: str, capsys: pytest.CaptureFixture):
    assert says in refused(capsys, 2, *arguments)


def test_an_environment_that_cannot_be_made_or_has_no_limit_is_bad_input(capsys: pytest.CaptureFixture):
    line = refused(capsys, 2, "evaluate", "needle-reach-l0", "--task", "Humanoid-v3", "--episodes", 1)
    assert re.search("the task 'Humanoid-v3' cannot be made: (ImportError|DependencyNotInstalled): ", line)
    misbehaving.register(misbehaving.LINE, "CliEndless", steps=None)
    for command in (["evaluate", "needle-reach-l0", "--task"], ["train", "--algorithm", "dqn"]):
        assert "has no time limit" in refused(capsys, 2, *command, "misbehaving/CliEndless-v0")


@pytest.mark.parametrize("jobs", [1, 2])
def test_an_environment_that_fails_is_one_line_and_code_1(
    jobs: int, tmp_path: Path, capsys: pytest.CaptureFixture
):
    task = misbehaving.register(
        misbehaving.LINE, "CliFailing", fault="raises", seed=episode_seeds("test", 0, 2)[1]
    )
    save_policy(misbehaving.line_policy(task), tmp_path / "line.safetensors")
    line = refused(capsys, 1, "evaluate", tmp_path / "line.safetensors", "--episodes", 3, "--jobs", jobs)
    assert "misbehaving/CliFailing-v0 failed at step 3, episode 1 (seed " in line
    assert line.endswith("RuntimeError: lost the physics server")


OWNLAB = """
import gymnasium
from gymnasium.envs.classic_control import CartPoleEnv
print("chatter of a module")
class Cart(CartPoleEnv):
    pass
gymnasium.register("ownlab/Cart-v0", entry_point=Cart, max_episode_steps=100)
"""


def test_a_task_of_a_module_of_ones_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
):
    (tmp_path / "ownlab.py").write_text(OWNLAB)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    few = [
        "--algorithm",
        "dqn",
        "--steps",
        640,
        "--dqn.environments",
        4,
        "--dqn.learning-starts",
        100,
        "--dqn.cycles-per-round",
        10,
    ]
    few += ["--evaluation-episodes", 2, "--final-evaluation-episodes", 2, "--dqn.hidden", 16]
    (member,) = run(capsys, "train", "ownlab:ownlab/Cart-v0", *few)["members"]
    assert member["policy"].startswith("runs/ownlab-ownlab-Cart-v0-best-1/policies/")
    assert load_policy(member["policy"]).task == "ownlab:ownlab/Cart-v0"
    assert (
        run(capsys, "train", "--resume", "runs/ownlab-ownlab-Cart-v0-best-1")["members"][0]["return_mean"]
        == member["return_mean"]
    )
    for options in (["--jobs", 1], ["--jobs", 2], ["--task", "ownlab:ownlab/Cart-v0"]):
        assert (
            run(capsys, "evaluate", member["policy"], "--episodes", 2, *options)["return_mean"]
            == member["return_mean"]
        )


def test_bad_compression_settings(trained: dict, tmp_path: Path, capsys: pytest.CaptureFixture):
    base = ["compress", trained["members"][0]["policy"], "--out", tmp_path / "x.safetensors", "--episodes", 2]
    assert "rank" in refused(capsys, 2, *base, "--rank", 0)
    assert "--ranks 9:3" in refused(capsys, 2, *base, "--ranks", "9:3")
    assert "1.5" in refused(capsys, 2, *base, "--keep", 1.5)
    assert not (tmp_path / "x.safetensors").exists()


def test_a_policy_that_does_not_fit_the_task(trained: dict, capsys: pytest.CaptureFixture):
    line = refused(
        capsys, 2, "evaluate", trained["members"][0]["policy"], "--task", "Pendulum-v1", "--episodes", 1
    )
    assert "10" in line
    assert "Pendulum-v1" in line


def test_a_damaged_policy(trained: dict, tmp_path: Path, capsys: pytest.CaptureFixture):
    data = bytearray(Path(trained["members"][0]["policy"]).read_bytes())
    data[len(data) // 2] ^= 4
    (tmp_path / "bad.safetensors").write_bytes(data)
    assert "bad.safetensors" in refused(capsys, 2, "inspect", tmp_path / "bad.safetensors")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_an_unwritable_folder(capsys: pytest.CaptureFixture):
    assert "not writable" in refused(capsys, 2, "train", "--out", "/proc")


def test_an_out_path_that_is_a_file(tmp_path: Path, capsys: pytest.CaptureFixture):
    (tmp_path / "file").write_text("")
    assert "cannot create the folder" in refused(capsys, 2, "train", "--out", tmp_path / "file" / "run")


class Talking(point_reach.PointReach):
    """Prints as simulators do: from Python, and from C, which keeps it back where it goes to no terminal."""

    def reset(self, **arguments: object) -> tuple[dict, dict]:
        print("a new episode")  # noqa: T201
        ctypes.CDLL(None).printf(b"starting thread 0\n")
        return super().reset(**arguments)


def test_what_an_environment_prints_is_no_result(tmp_path: Path, capfd: pytest.CaptureFixture):
    gymnasium.register("Talking-v0", entry_point=Talking, max_episode_steps=20, disable_env_checker=True)
    policy = tmp_path / "policy.safetensors"
    save_policy(dataclasses.replace(point_reach.reaching_policy(), task="Talking-v0"), policy)
    assert main(["evaluate", str(policy), "--episodes", "2", "--json"]) == 0
    ctypes.CDLL(None).fflush(None)
    output = capfd.readouterr()
    assert json.loads(output.out)["episodes"] == 2
    assert output.err.count("a new episode") == output.err.count("starting thread 0") == 2


def test_the_home_folder_behind_an_equals_sign(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
):
    (tmp_path / "home").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    export = ["export", "needle-reach-l0-compressed", "--format", "c"]
    assert run(capsys, *export, "--out=~/one.c")["file"] == str(tmp_path / "home" / "one.c")
    assert run(capsys, *export, "--out", "~/two.c")["file"] == str(tmp_path / "home" / "two.c")
    assert [path.name for path in tmp_path.iterdir()] == ["home"]


def test_help_names_every_command(capsys: pytest.CaptureFixture):
    assert main(["--help"]) == 0
    text = capsys.readouterr().out
    assert all(
        name in text
        for name in ("train", "evaluate", "compress", "inspect", "demo", "control", "simulate-arm")
    )


@pytest.mark.parametrize(("text", "ranks"), [("5:8", [5, 6, 7, 8]), ("10:30:10", [10, 20, 30]), ("3:3", [3])])
def test_ranks(text: str, ranks: list[int]):
    assert parse_ranks(text) == ranks


@pytest.mark.parametrize("text", ["5", "0:3", "4:2", "1:9:0", "1:9:-1", "a:b", "1:2:3:4"])
def test_bad_ranks(text: str):
    with pytest.raises(BadInputError, match="--ranks"):
        parse_ranks(text)


def test_the_demo_makes_its_table_and_pictures_and_goes_on_where_it_stopped(
    tmp_path: Path, capsys: pytest.CaptureFixture
):
    report = run(capsys, "demo", "--quick", "--out", tmp_path / "demo")
    assert [row["name"] for row in report["policies"]] == ["dense", "L0", "L0 compressed"]
    for row in report["policies"]:
        assert row.keys() >= {
            "success_rate",
            "return_mean",
            "return_ci95",
            "sparsity",
            "sparsity_at_init",
            "parameters",
            "bytes",
            "seconds",
        }
    # without real-time priority, beside other tests, a late machine is a fault, and rightly so
    assert re.search(
        "stood still|stopped .* ago|ms old|from its setpoint", report["control"]["failure"] or "stood still"
    )
    assert report["control"]["setpoints"] > 0
    for name in (
        "learning_curves.png",
        "return_by_rank.png",
        "reach.gif",
        "report.json",
        "compressed.safetensors",
        "control.mcap",
    ):
        assert (tmp_path / "demo" / name).stat().st_size > 200
    trained_at = (tmp_path / "demo" / "run" / "summary.json").stat().st_mtime_ns
    again = run(capsys, "demo", "--quick", "--out", tmp_path / "demo")
    assert (tmp_path / "demo" / "run" / "summary.json").stat().st_mtime_ns == trained_at
    assert [r["return_mean"] for r in again["policies"]] == [r["return_mean"] for r in report["policies"]]
