"""The surgical suite, small: every stage for real by its command, its tables beside those of results/surgical,
going on, and what the report makes of it."""

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from l0_surgical.commands.main import main
from l0_surgical.experiments.jobs import CellResult
from l0_surgical.experiments.report.needle_reach import read_surgical
from l0_surgical.experiments.suites.surgical import RANKS, SurgicalConfig, reduction_cells, trainings
from l0_surgical.experiments.surgical_tables import write_surgical_tables
from l0_surgical.policy import load_policy

RESULTS = Path(__file__).parents[2] / "results" / "surgical"
SMALL = ["suite", "surgical", "--quick", "--seeds", "1", "--paper-seeds", "1", "--jobs", "2", "--json"]


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("surgical") / "suite"
    assert main([*SMALL, "--out", str(folder)]) == 0
    return folder


def read(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as stream:
        return list(csv.DictReader(stream))


def shape(data: Any) -> Any:
    """The keys of JSON at every depth; of a list the shape of its first entry."""
    if isinstance(data, dict):
        return {key: shape(value) for key, value in data.items()}
    return [shape(data[0])] if isinstance(data, list) else None


def test_the_tables_have_the_columns_and_keys_of_results_surgical(out: Path) -> None:
    for name, rows in (("best", 2), ("paper", 2), ("compressed", 2)):
        written = (out / f"{name}.csv").read_bytes()
        assert written.splitlines()[0] == (RESULTS / f"{name}.csv").read_bytes().splitlines()[0]
        assert len(written.splitlines()) == 1 + rows and written.endswith(b"\r\n")
    here, there = (json.loads((folder / "rank_sweeps.json").read_text()) for folder in (out, RESULTS))
    assert shape(here) == shape(there)
    assert [row["rank"] for row in here["best dense"]] == list(RANKS[::8])
    assert {row["seeds"] for rows in here.values() for row in rows} == {1}
    here, there = (json.loads((folder / "summary.json").read_text()) for folder in (out, RESULTS))
    there["paper"] = {name: there["paper"][name] for name in ("0", "0.05")}
    assert shape(here) == shape(there)
    pictures = {path.name for path in RESULTS.glob("*.png")}
    assert pictures == {path.name for path in out.glob("*.png")}


def test_the_tables_tell_what_the_policy_files_hold(out: Path) -> None:
    for row in read(out / "compressed.csv"):
        policy = load_policy(out / "compressed" / f"{row['policy']}.safetensors")
        assert (int(row["parameters"]), int(row["bytes"])) == (policy.numbers, policy.nbytes)
        assert float(row["return_mean"]) == policy.evaluation["return_mean"]
    for run in ("best", "paper"):
        for row in read(out / f"{run}.csv"):
            name = "dense" if row["regularizer"] == "none" else f"l0-{float(row['coefficient']):g}"
            policy = load_policy(out / run / "policies" / f"{name}-seed0.safetensors")
            assert float(row["return_mean"]) == policy.evaluation["return_mean"]


def test_it_goes_on_without_doing_anything_twice(out: Path, capsys: pytest.CaptureFixture) -> None:
    made = {path: path.stat().st_mtime_ns for path in out.glob("*/cells/*/result.json")}
    tables = {path: path.read_bytes() for path in out.iterdir() if path.suffix in (".csv", ".json")}
    assert len(made) == 6
    assert main([*SMALL, "--out", str(out)]) == 0
    result = json.loads(capsys.readouterr().out)
    assert (result["policies"], result["chosen"], result["failed"], result["run_again"]) == (4, {}, {}, [])
    assert {Path(name).suffix for name in result["files"]} == {".csv", ".json", ".png"}
    assert all((out / name).is_file() for name in result["files"])
    assert {path: path.stat().st_mtime_ns for path in out.glob("*/cells/*/result.json")} == made
    assert {path: path.read_bytes() for path in tables} == tables


def test_the_report_reads_it(out: Path, capsys: pytest.CaptureFixture) -> None:
    assert main(["report", str(out), "--out", str(out / "report"), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["missing"] == []
    assert "tables/needle-reach-compressed.csv" in report["tables"]


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (["--seeds", "2"], "holds another training; choose another --out"),
        (["--engine", "ray"], "--engine ray: the surgical suite runs on this machine"),
        (["--seeds", "0"], "--seeds 0: pass a whole number >= 1"),
        (["--environments", "cartpole"], "--environments"),
    ],
)
def test_what_is_refused(out: Path, flags: list[str], says: str, capsys: pytest.CaptureFixture) -> None:
    assert main([*SMALL, *flags, "--out", str(out)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert says in line


def test_results_surgical_follow_from_their_own_tables(tmp_path: Path) -> None:
    """Written again from what is in them, the tables and medians of results/surgical are the same."""
    results = read_surgical(RESULTS)
    members = {name: rows.astype(object).to_dict("records") for name, rows in results.members.items()}
    members = {
        name: [{**row, "regularizer": str(row["regularizer"])} for row in rows]
        for name, rows in members.items()
    }
    for name in members:  # one line of metrics, as the figures need one
        (tmp_path / name).mkdir()
        (tmp_path / name / "metrics.csv").write_text(
            "regularizer,coefficient,seed,round,validation_return,validation_success,actor_sparsity,"
            "critic_sparsity\nnone,0.0,0,0,-5.0,1.0,0.0,0.0\n"
        )
    compressed = results.compressed.astype(object).to_dict("records")
    cells = [CellResult("", {"do": "compress"}, row, 0.0, 0.0, 1, "") for row in compressed]
    for name, rows in results.sweeps.items():
        run, _, policy = name.partition(" ")
        known = {"do": "ranks", "run": run, "name": f"{policy.replace('L0 ', 'l0-')}-seed0"}
        cells.append(CellResult("", known, {"ranks": rows}, 0.0, 0.0, 1, ""))
    wall = json.loads((RESULTS / "summary.json").read_text())["wall_seconds"]
    write_surgical_tables(tmp_path, members, cells, wall)
    for name in ("best.csv", "paper.csv", "compressed.csv"):
        assert (tmp_path / name).read_bytes() == (RESULTS / name).read_bytes(), name
    written, there = (json.loads((folder / "summary.json").read_text()) for folder in (tmp_path, RESULTS))
    assert written == there


def test_the_whole_suite_is_that_of_results_surgical() -> None:
    runs = trainings(SurgicalConfig())
    names = {run: [member.name for member in config.members()] for run, config in runs.items()}
    assert {run: len(members) for run, members in names.items()} == {"best": 20, "paper": 45}
    members = {
        run: [
            {
                "name": member.name,
                "seed": member.seed,
                "sha256": f"{run}-{member.name}",
                "regularizer": member.regularizer,
                "coefficient": member.coefficient,
            }
            for member in config.members()
        ]
        for run, config in runs.items()
    }
    cells = reduction_cells(SurgicalConfig(), members)
    compressed = [cell.specification["name"] for cell in cells if cell.specification["do"] == "compress"]
    assert compressed == [row["policy"] for row in read(RESULTS / "compressed.csv")]
    swept = [cell.specification for cell in cells if cell.specification["do"] == "ranks"]
    assert len(swept) == 4 * 3 and {tuple(one["ranks"]) for one in swept} == {RANKS}
    assert {one["episodes"] for one in swept} == {100}
