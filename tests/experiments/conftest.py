"""One report on a small synthetic folder, made once for all tests that look at it."""

from pathlib import Path

import pytest
from synthetic_results import write_results

from l0_surgical.experiments.report.build import build_report

SURGICAL = Path(__file__).parents[2] / "results" / "surgical"


@pytest.fixture(scope="session")
def report(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict]:
    """The report's folder and its summary."""
    folder = tmp_path_factory.mktemp("report")
    results = write_results(folder / "classic")
    return folder / "out", build_report([results, SURGICAL], folder / "out")
