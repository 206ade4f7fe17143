"""The documents: their examples run and their links lead somewhere."""

import csv
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from l0_surgical.policy import Policy, find_policy, load_policy, save_policy
from l0_surgical.policy.low_rank import fold
from l0_surgical.policy.simplify import simplify
from l0_surgical.runtime import ReferenceEngine
from tests.example_policies import random_policy
from tests.rounding import assert_rounded

ROOT = Path(__file__).parents[1]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])


def python_blocks(document: str) -> str:
    text = (ROOT / "docs" / document).read_text(encoding="utf-8")
    return "\n".join(re.findall(r"^```python\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL))


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_links_within_the_repository_lead_somewhere(document: Path) -> None:
    prose = re.sub(r"^```.*?^```", "", document.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    links = re.findall(r"\]\(([^)#\s]+)", prose)
    missing = [link for link in links if "://" not in link and not (document.parent / link).exists()]
    assert missing == []


@pytest.mark.skipif(shutil.which("cc") is None, reason="there is no C compiler")
def test_the_c_example_of_engines_compiles_and_prints_an_action(tmp_path: Path) -> None:
    from l0_surgical.runtime.c_export import export_c

    policy = load_policy(find_policy("needle-reach-l0-compressed"))
    export_c(policy, tmp_path / "policy.c")
    text = (ROOT / "docs" / "engines.md").read_text(encoding="utf-8")
    (tmp_path / "main.c").write_text(
        re.search(r"^```c\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL).group(1)
    )
    subprocess.run(
        ["cc", "-std=c99", "-O3", "-Wall", "-Werror", "main.c", "policy.c", "-lm"], cwd=tmp_path, check=True
    )
    printed = subprocess.run([tmp_path / "a.out"], capture_output=True, text=True, check=True).stdout
    observation = (2.5, 0.25, 3.776, -1.5708, 0, 1.5708, 0, 2.75, 0, 3.4356)
    expected = ReferenceEngine(policy).act(np.array(observation))[:3]
    # %g prints six digits
    np.testing.assert_allclose([float(part) for part in printed.split()], expected, rtol=1e-5, atol=1e-6)


def test_the_module_and_the_commands_of_extending_run(tmp_path: Path) -> None:
    """A toy task, sparsifier and algorithm from outside the package, as a user registers them."""
    (tmp_path / "mylab.py").write_text(python_blocks("extending.md"), encoding="utf-8")
    environment = _environment() | {"PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT)])}
    page = (ROOT / "docs" / "extending.md").read_text(encoding="utf-8")
    (commands,) = re.findall(r"```console\n(.*?)```", page, flags=re.DOTALL)
    results = []
    for command in commands.splitlines():
        program = [sys.executable, "-m", "l0_surgical", *command.split()[1:], "--json"]
        done = subprocess.run(
            program, cwd=tmp_path, env=environment, capture_output=True, encoding="utf-8", check=False
        )
        assert done.returncode == 0, done.stderr
        results.append(json.loads(done.stdout))
    trained, evaluated, compressed, inspected, corridor, suite, report = results
    dense, pruned = trained["members"]
    assert [row["regularizer"] for row in (dense, pruned)] == ["none", "magnitude"]
    assert pruned["sparsity"] == pytest.approx(0.8, abs=0.01) and dense["sparsity"] == 0
    assert dense["success_rate"] >= 0.9
    assert evaluated["task"] == inspected["task"] == "point-reach"
    assert evaluated["return_mean"] == pruned["return_mean"]
    assert compressed["chosen"]["parameters"] < pruned["parameters"]
    assert corridor["members"][0]["return_mean"] > -7.5
    assert (suite["policies"], suite["failed"]) == (6, {})
    (table,) = (name for name in report["tables"] if name.endswith("other-groups.csv"))
    with (tmp_path / "runs" / "report" / table).open(encoding="utf-8", newline="") as stream:
        rows = [(row["Cell"], row["Regularizer"], row["Seeds"]) for row in csv.DictReader(stream)]
    assert rows == [("Corridor REINFORCE", name, "2") for name in ("NONE", "L0", "MAGNITUDE")]


@pytest.mark.parametrize(
    "policy",
    [random_policy(), fold(random_policy(), 3), simplify(random_policy(density=0.03))],
    ids=["dense", "low rank", "packed"],
)
def test_the_reader_of_the_policy_file_page_acts_as_ours(policy: Policy, tmp_path: Path) -> None:
    reader: dict = {}
    exec(python_blocks("policy_file.md"), reader)
    save_policy(policy, tmp_path / "policy.safetensors")
    description, tensors = reader["read"](tmp_path / "policy.safetensors")
    observations = np.random.default_rng(0).normal(size=(20, policy.observation_size))
    assert_rounded(
        np.array([reader["act"](description, tensors, observation) for observation in observations]),
        policy,
        observations,
    )


def test_the_reader_of_the_policy_file_page_refuses_a_flipped_bit(tmp_path: Path) -> None:
    reader: dict = {}
    exec(python_blocks("policy_file.md"), reader)
    path = tmp_path / "policy.safetensors"
    save_policy(random_policy(), path)
    damaged = bytearray(path.read_bytes())
    damaged[-3] ^= 4
    path.write_bytes(damaged)
    with pytest.raises(AssertionError):
        reader["read"](path)


def _environment() -> dict[str, str]:
    return os.environ | {"PYTHONPATH": str(ROOT)}


def test_every_metric_has_its_line() -> None:
    from l0_surgical.settings.registry import ALGORITHMS, load

    page = (ROOT / "docs" / "metrics.md").read_text(encoding="utf-8")
    documented = set(
        re.findall(r"`([a-z_]+)`", " ".join(re.findall(r"^\| (`.*?) \|", page, flags=re.MULTILINE)))
    )
    reported = {name for algorithm in ALGORITHMS for name in load(ALGORITHMS[algorithm].learner).reports}
    assert reported <= documented
    always = {"round", "member", "seed", "regularizer", "coefficient", "env_steps", "updates"}
    assert documented - reported == always | {"steps_per_second", "updates_per_second"}
