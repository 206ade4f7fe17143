"""The benchmark's report; how fast anything is belongs to benchmarks/."""

import json
from pathlib import Path

import numpy as np
import pytest
from rounding import assert_rounded

from l0_surgical.commands.main import main
from l0_surgical.policy import find_policy, load_policy
from l0_surgical.runtime import benchmark, engines
from l0_surgical.runtime.verification import sample_observations
from l0_surgical.system.errors import BadInputError
from l0_surgical.system.process import age_s, resident_mib

SMALL, DENSE = "needle-reach-l0-compressed", "needle-reach-dense"
KEYS = {"p50_us", "p99_us", "p999_us", "resident_mib", "first_action_s"}


@pytest.mark.parametrize("engine", engines.ENGINES)
@pytest.mark.parametrize("name", [SMALL, DENSE])
def test_every_engine_computes_the_same_actions(engine: str, name: str) -> None:
    policy = load_policy(find_policy(name))
    act, observations = engines.build(engine, policy), sample_observations(policy)[:200].astype(np.float64)
    assert_rounded(
        np.array([np.array(act(observation)) for observation in observations]), policy, observations
    )


def test_the_report(capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(benchmark, "ROUND_S", 1e-4)
    assert main(["benchmark", SMALL, "--reference", DENSE, "--rounds", "2", "--explain", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report.keys() == {"policy", "engines", "absent", "resident_mib", "explain", "reference"}
    assert report["absent"] == {}
    for part in (report, report["reference"]):
        assert list(part["engines"]) == list(engines.ENGINES)
        for row in part["engines"].values():
            assert row.keys() == KEYS
            assert 0 < row["p50_us"] <= row["p99_us"] <= row["p999_us"]
            assert 10 < row["resident_mib"] < 2000
            assert 0 < row["first_action_s"] < 60
    assert report["resident_mib"] == report["engines"]["l0"]["resident_mib"]
    assert report["engines"]["numpy"]["resident_mib"] < report["engines"]["l0"]["resident_mib"]
    assert len(report["explain"]) == 4
    assert all("expected times: dense " in line and "measured: dense " in line for line in report["explain"])


def test_an_engine_that_is_not_installed_is_absent(monkeypatch: pytest.MonkeyPatch) -> None:
    def build(engine: str, policy: object) -> engines.Act:
        if engine == "torch_eager":
            raise ImportError("No module named 'torch'")
        return lambda observation: observation

    monkeypatch.setattr(benchmark, "build", build)
    monkeypatch.setattr(
        benchmark, "fresh_process", lambda engine, policy: {"resident_mib": 1.0, "first_action_s": 1.0}
    )
    monkeypatch.setattr(benchmark, "ROUND_S", 1e-4)
    report = benchmark.benchmark(SMALL, rounds=1)
    assert report["absent"] == {"torch_eager": "No module named 'torch'"}
    assert list(report["engines"]) == ["onnxruntime", "numpy", "l0"]
    assert not any("measured" in line for line in report["explain"])


def test_tables_and_bad_input(capsys: pytest.CaptureFixture, tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="--rounds 0: "):
        benchmark.benchmark(SMALL, rounds=0)
    assert main(["export", SMALL, "--format", "c", "--out", str(tmp_path / "p.c")]) == 0
    assert "of the policy" in capsys.readouterr().out
    assert main(["export", SMALL, "--format", "onnx", "--out", str(tmp_path / "p.onnx"), "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["file"] == str(tmp_path / "p.onnx")
    assert 0 <= result["max_abs_error"] <= 1e-5
    assert main(["export", SMALL, "--format", "pdf", "--out", "x"]) == 2


def test_what_linux_knows_of_the_process() -> None:
    assert 10 < resident_mib() < 4000
    assert 0 < age_s() < 36_000
