"""The classic suite, small: every stage for real, its tables, going on, and what the report makes of it."""

import csv
import dataclasses
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from l0_surgical import training
from l0_surgical.commands.main import main
from l0_surgical.evaluation import Evaluator
from l0_surgical.experiments.jobs import read_result
from l0_surgical.experiments.results import CLASSIC
from l0_surgical.experiments.suite import (
    Tables,
    Where,
    choose,
    run_suite,
    train_seeds,
    write_tables,
)
from l0_surgical.experiments.suites.classic import (
    SuiteConfig,
    cell_config,
    reduction_cells,
    seed_cells,
    training_cells,
)
from l0_surgical.experiments.works import reduce_cell, train_cell
from l0_surgical.policy import Policy, load_policy, policy_bytes
from l0_surgical.settings.presets.classic import DQN_BEST, PPO_BEST
from l0_surgical.settings.training import MemberSpec, as_dict
from l0_surgical.system.errors import BadInputError

SMALL = SuiteConfig(
    environments=("cartpole",),
    algorithms=("ppo",),
    regularizers=("none", "l0", "l1"),
    coefficients=(1e-3, 0.1),
    seeds=1,
    temperatures=(0.25,),
    temperature_seeds=1,
    quick=True,
)


def read(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as stream:
        return list(csv.DictReader(stream))


@pytest.fixture(scope="module")
def suite(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    out = tmp_path_factory.mktemp("suite")
    return out, run_suite(SMALL, out, Where(jobs=2), "l0-surgical suite classic")


def test_every_table_is_complete(suite: tuple[Path, dict[str, Any]]) -> None:
    out, result = suite
    assert (result["failed"], result["run_again"], result["policies"]) == ({}, [], 7)
    tables = {name: read(out / f"{name}.csv") for name in CLASSIC}
    for name, rows in tables.items():
        assert tuple(rows[0]) == tuple(CLASSIC[name])
    labels = [(row["regularizer"], float(row["coefficient"])) for row in tables["members"]]
    assert labels == [("none", 0.0), ("l0", 1e-3), ("l0", 0.1), ("l1", 1e-3), ("l1", 0.1)]
    assert {(row["temperature"], row["coefficient"]) for row in tables["temperatures"]} == {
        (temperature, c) for temperature in ("0.25", "0.666667") for c in ("0.001", "0.1")
    }
    chosen = result["chosen"]["cartpole/ppo"]
    reduced = {("none", 0.0), *(("l0", c) for c in chosen)}
    assert {(row["regularizer"], float(row["coefficient"])) for row in tables["ranks"]} == reduced
    assert {int(row["rank"]) for row in tables["ranks"]} == {5, 17, 29}
    assert len(tables["compressed"]) == 3 * len(reduced)
    assert {row["method"] for row in tables["compressed"]} == {"one rank", "automatic ranks", "best"}
    assert len(tables["curves"]) == 2 * 5  # two validations of each policy
    run = json.loads((out / "run.json").read_text())
    assert (run["suite"], run["format"], run["command"]) == ("classic", 1, "l0-surgical suite classic")


@pytest.mark.parametrize(("regularizers", "policies"), [(("l2",), 2), ((), 2)])
def test_a_part_without_anything_to_reduce(
    regularizers: tuple[str, ...], policies: int, tmp_path: Path
) -> None:
    part = dataclasses.replace(SMALL, regularizers=regularizers, temperatures=() if regularizers else (0.25,))
    result = run_suite(part, tmp_path)
    assert (result["failed"], result["policies"]) == ({}, policies)
    assert [row["temperature"] for row in read(tmp_path / "temperatures.csv")] == (
        [] if regularizers else ["0.25"] * 2
    )
    assert len(read(tmp_path / "members.csv")) == (policies if regularizers else 0)
    assert read(tmp_path / "compressed.csv") == []


def test_the_tables_tell_what_the_policy_files_hold(suite: tuple[Path, dict[str, Any]]) -> None:
    out, _ = suite
    for row in read(out / "members.csv"):
        name = (
            "dense" if row["regularizer"] == "none" else f"{row['regularizer']}-{float(row['coefficient']):g}"
        )
        policy = load_policy(out / "policies" / "cartpole" / "ppo" / f"{name}-seed0.safetensors")
        nonzero = sum(int((layer.weight.to_dense() != 0).sum()) for layer in policy.layers)
        assert int(row["nonzero"]) == nonzero
        assert float(row["sparsity"]) == pytest.approx(
            1 - nonzero / (4 * 128 + 128 * 64 + 64 * 32 + 32 * 2), abs=1e-5
        )
        assert int(row["parameters"]) == 11_042
        assert float(row["return_mean"]) == pytest.approx(policy.evaluation["return_mean"], rel=1e-5)


def test_the_default_coefficients_are_no_setting_of_the_suite(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its cells name their own, so results stay valid when a default changes."""
    before = training_cells(SuiteConfig())
    for recipes in (DQN_BEST, PPO_BEST):
        for task, recipe in list(recipes.items()):
            monkeypatch.setitem(recipes, task, dataclasses.replace(recipe, coefficient=0.123))
    assert training_cells(SuiteConfig()) == before


def test_a_reduction_runs_nothing_twice(
    suite: tuple[Path, dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sweep, one rank, automatic ranks, best representation and the tests of all three share one
    evaluator."""
    out, _ = suite
    cell = next(path for path in sorted((out / "reduction" / "cells").iterdir()) if "l0" in path.name)
    before = read_result(cell / "result.json", cell.name)
    runs, opened, run, enter = Counter(), [], Evaluator.run, Evaluator.__enter__

    def counted(evaluator: Evaluator, policy: Policy, seeds: list[int], *rest: Any, **settings: Any) -> list:
        runs[
            policy_bytes(dataclasses.replace(policy, provenance={}, evaluation={})),
            tuple(seeds),
            settings.get("random_share", 0.0),
        ] += 1
        return run(evaluator, policy, seeds, *rest, **settings)

    monkeypatch.setattr(Evaluator, "run", counted)
    monkeypatch.setattr(
        Evaluator, "__enter__", lambda evaluator: (opened.append(evaluator), enter(evaluator))[1]
    )
    assert reduce_cell(before.specification, cell) == before.result
    assert len(opened) == 1
    assert max(runs.values()) == 1


def test_the_tables_tell_coefficients_apart_that_agree_in_six_digits(tmp_path: Path) -> None:
    row = {
        **dict.fromkeys(CLASSIC["members"]),
        "environment": "cartpole",
        "algorithm": "ppo",
        "regularizer": "l0",
        "mapped": False,
    }
    row |= {"wall_seconds": 1.0, "cpu_seconds": 1.0, "sparsity": 0.12345678}
    members = [{**row, "coefficient": coefficient} for coefficient in (0.01234567, 0.01234568, 0.02)]
    write_tables(Tables(members, [], []), tmp_path, config={"preset": "best"}, command="", cpu_seconds=1.0)
    written = read(tmp_path / "members.csv")
    assert [row["coefficient"] for row in written] == ["0.01234567", "0.01234568", "0.02"]
    assert {row["sparsity"] for row in written} == {"0.123457"}


def test_it_goes_on_and_runs_again_only_what_is_corrupted(suite: tuple[Path, dict[str, Any]]) -> None:
    out, _ = suite
    before = read(out / "members.csv")
    results = {path: path.read_bytes() for path in out.glob("*/cells/*/result.json")}
    spoiled = out / "training" / "cells" / "cartpole-ppo-l1-seed0" / "result.json"
    spoiled.write_bytes(spoiled.read_bytes()[:-100])
    result = run_suite(SMALL, out, command="again")
    assert len(result["run_again"]) == 1
    assert "cartpole-ppo-l1-seed0" in result["run_again"][0]
    assert {path for path, data in results.items() if path.read_bytes() != data} <= {spoiled}
    assert (
        read(out / "members.csv")[-1]["return_mean"] == before[-1]["return_mean"]
    )  # the training itself was finished


def test_a_folder_that_knows_its_work_by_the_last_releases_name_goes_on(
    suite: tuple[Path, dict[str, Any]],
) -> None:
    out, _ = suite
    results = {path: path.stat().st_mtime_ns for path in out.glob("*/cells/*/result.json")}
    for stage, function in (("training", "train_cell"), ("reduction", "reduce_cell")):
        file = out / stage / "suite.json"
        described = json.loads(file.read_text())
        assert described["work"] == f"classic {stage}"
        file.write_text(json.dumps({**described, "work": f"l0_surgical.experiments.suite_work:{function}"}))
    result = run_suite(SMALL, out, command="again")
    assert (result["failed"], result["run_again"]) == ({}, [])
    assert {path: path.stat().st_mtime_ns for path in out.glob("*/cells/*/result.json")} == results


def test_the_report_reads_it_and_says_what_is_missing(
    suite: tuple[Path, dict[str, Any]], capsys: pytest.CaptureFixture
) -> None:
    out, _ = suite
    assert main(["report", str(out), "--out", str(out / "report"), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert Path(report["page"]).is_file()
    assert report["missing"]


def test_further_seeds_are_trained_once_and_as_the_grid_is(
    suite: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    dense, sparse = seed_cells("cartpole", "ppo", [0.0, 0.1], range(7), quick=True)
    assert (dense.name, sparse.name) == ("cartpole-ppo-dense-seeds0-6", "cartpole-ppo-l0-0.1-seeds0-6")
    assert cell_config(dense.specification).members() == tuple(
        MemberSpec(seed, "none", 0.0) for seed in range(7)
    )
    cells = seed_cells("cartpole", "ppo", [0.1], range(2), quick=True)
    rows = train_seeds(cells, tmp_path)
    (of_grid,) = (
        row
        for row in read(suite[0] / "members.csv")
        if (row["regularizer"], row["coefficient"]) == ("l0", "0.1")
    )
    assert [(row["coefficient"], row["seed"]) for row in rows] == [(0.1, 0), (0.1, 1)]
    assert rows[0]["return_mean"] == pytest.approx(float(of_grid["return_mean"]), rel=1e-5)
    made = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("result.json")}
    assert train_seeds(cells, tmp_path) == rows
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("result.json")} == made


def test_another_grid_in_the_same_folder_is_refused(suite: tuple[Path, dict[str, Any]]) -> None:
    out, _ = suite
    with pytest.raises(BadInputError):
        run_suite(dataclasses.replace(SMALL, coefficients=(0.5,)), out)


def test_results_of_a_preset_that_has_changed_are_refused_and_its_unfinished_training_begins_anew(
    suite: tuple[Path, dict[str, Any]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    out, _ = suite
    recipe = PPO_BEST["cartpole"]
    changed = dataclasses.replace(recipe, settings={**recipe.settings, "entropy_coefficient": 0.5})
    monkeypatch.setitem(PPO_BEST, "cartpole", changed)
    with pytest.raises(BadInputError, match=r"in cell .* settings is .* there and .* here"):
        run_suite(SMALL, out)
    specification = training_cells(SMALL)[0].specification
    training.train(dataclasses.replace(cell_config(specification), steps=1), tmp_path / "run")
    train_cell(specification, tmp_path)
    assert json.loads((tmp_path / "run" / "config.json").read_text()) == as_dict(cell_config(specification))


def test_the_whole_grid_has_every_cell_once() -> None:
    cells = training_cells(SuiteConfig())
    assert len({cell.name for cell in cells}) == len(cells)
    policies = sum(
        max(1, len(c.specification["coefficients"])) * c.specification["seeds"]
        for c in cells
        if c.specification["temperature"] is None
    )
    assert policies == 6 * 5 * (1 + 3 * 10)
    first = next(i for i, cell in enumerate(cells) if cell.specification["regularizer"] in ("l1", "l2"))
    assert (
        sum(c.specification["seeds"] * max(1, len(c.specification["coefficients"])) for c in cells[:first])
        == 330
    )


def row(regularizer: str, coefficient: float, seed: int, reward: float, sparsity: float) -> dict[str, Any]:
    label = {
        "environment": "cartpole",
        "algorithm": "dqn",
        "regularizer": regularizer,
        "coefficient": coefficient,
        "seed": seed,
    }
    return {
        **label,
        "return_mean": reward,
        "sparsity": sparsity,
        "failed": "",
        "policy": f"{regularizer}-{seed}",
        "sha256": "0",
    }


def test_every_rule_chooses_what_is_reduced() -> None:
    members = [row("none", 0.0, seed, 500.0, 0.0) for seed in range(5)]
    members += [row("l0", 0.01, seed, 500.0, 0.6) for seed in range(5)]
    members += [
        row("l0", 0.05, seed, reward, 0.8) for seed, reward in enumerate((500.0, 500.0, 500.0, 500.0, 450.0))
    ]  # kept or not
    members += [
        row("l0", 0.1, seed, 470.0 + seed, 0.99) for seed in range(5)
    ]  # sparser, but the reward is lost
    members += [row("l0", 0.5, seed, 455.0, 0.995) for seed in range(5)]
    chosen = choose(members)
    assert chosen == {
        ("cartpole", "dqn"): [0.1, 0.01, 0.05]
    }  # the largest reward + percent; reward shown to be kept; not shown to be lost
    cells = reduction_cells(SMALL, members, chosen)
    assert len(cells) == 20


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"coefficients": (0.1, 0.1)}, "a cell of the grid would be run twice"),
        ({"environments": ()}, "--environments: give at least one"),
        ({"coefficients": ()}, "--coefficients: give at least one"),
        ({"seeds": 0}, "--seeds 0"),
        ({"regularizers": (), "temperatures": ()}, "--regularizers: give at least one"),
    ],
)
def test_a_bad_grid_is_refused(changes: dict[str, Any], says: str) -> None:
    with pytest.raises(BadInputError, match=says):
        SuiteConfig(**changes).validate()
