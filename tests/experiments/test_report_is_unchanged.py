"""The report on a fixed copy of results, cell by cell and line by line, against what an earlier release made
of the same files.

tests/data/report holds a part of results/classic (four coefficients of L0, two of L1 and L2, every third
rank of dense policies, a few points of each curve) and the tables of results/surgical. `expected.json.gz` was
written by the last commit before the report was moved onto pandas and jinja2:

    python tests/experiments/test_report_is_unchanged.py

It holds every table as CSV and Markdown and what every figure draws. Write it anew only where a number of
the report is meant to change.
"""

import contextlib
import csv
import gzip
import io
import json
import math
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import matplotlib.pyplot as plt
import numpy as np
import pytest

from l0_surgical.experiments.report.build import build_report

DATA = Path(__file__).parents[1] / "data" / "report"
EXPECTED = DATA / "expected.json.gz"
FOLDERS = [DATA / "classic", DATA / "surgical"]


def drawn(figure: plt.Figure) -> list[dict[str, Any]]:
    """What is in each of a figure's axes: lines, areas, error bars, meshes, words, scales and limits."""
    found = []
    for axes in figure.axes:
        legend = axes.get_legend()
        places = ("title", "xlabel", "ylabel", "xlim", "ylim", "xscale", "yscale")
        found.append(
            {
                **{place: _plain(getattr(axes, f"get_{place}")()) for place in places},
                "ticks": [
                    [text.get_text() for text in axis.get_ticklabels()] for axis in (axes.xaxis, axes.yaxis)
                ],
                "legend": [text.get_text() for text in legend.get_texts()] if legend else None,
                "texts": [[text.get_text(), *_plain(text.get_position())] for text in axes.texts],
                "lines": [
                    [
                        _named(line),
                        line.get_color(),
                        str(line.get_linestyle()),
                        str(line.get_marker()),
                        _plain(line.get_xydata()),
                    ]
                    for line in axes.lines
                ],
                "areas": [
                    [
                        type(area).__name__,
                        _plain(area.get_facecolor()),
                        _plain(area.get_edgecolor()),
                        _plain(area.get_array()),
                        []
                        if area.get_array() is not None
                        else [_plain(path.vertices) for path in area.get_paths()],
                    ]
                    for area in axes.collections
                ],
                "patches": [
                    [_plain(patch.get_facecolor()), _plain(patch.get_path().vertices)]
                    for patch in axes.patches
                ],
            }
        )
    return found


def _named(line: plt.Line2D) -> str:
    label = str(line.get_label())
    return "" if label.startswith("_") else label


def _plain(values: Any) -> Any:
    """As JSON holds it, numbers to ten digits, what is masked or not finite as text."""
    if values is None or isinstance(values, str):
        return values
    if isinstance(values, np.ma.MaskedArray):
        values = values.filled(math.nan)
    array = np.asarray(values, float)
    return (
        [_plain(one) for one in array]
        if array.ndim
        else (float(f"{array:.10g}") if np.isfinite(array) else str(array))
    )


@contextlib.contextmanager
def watched() -> Iterator[dict[str, Any]]:
    """Every figure that is closed, as `drawn`, by the name that salts its SVG's ids."""
    figures: dict[str, Any] = {}
    close = plt.close

    def look(figure: plt.Figure) -> None:
        figures[plt.rcParams["svg.hashsalt"]] = drawn(figure)
        close(figure)

    with mock.patch.object(plt, "close", look):
        yield figures


def made(out: Path) -> dict[str, Any]:
    """The report's tables by name, what its figures draw, and what it says of missing and failed policies."""
    with watched() as figures:
        summary = build_report(FOLDERS, out)
    return {
        "tables": {name: (out / name).read_text(encoding="utf-8") for name in sorted(summary["tables"])},
        "figures": dict(sorted(figures.items())),
        "told": {key: summary[key] for key in ("missing", "failed", "claims")},
    }


@pytest.fixture(scope="module")
def now(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return made(tmp_path_factory.mktemp("unchanged"))


@pytest.fixture(scope="module")
def before() -> dict[str, Any]:
    return json.loads(gzip.decompress(EXPECTED.read_bytes()))


def differences(before: Any, now: Any, place: str, tolerance: float) -> list[str]:
    """Where two pieces of JSON differ: text and structure at all, numbers by more than the tolerance."""
    if isinstance(before, dict) and isinstance(now, dict) and before.keys() == now.keys():
        return [
            line for key in before for line in differences(before[key], now[key], f"{place}/{key}", tolerance)
        ]
    if isinstance(before, list) and isinstance(now, list) and len(before) == len(now):
        pairs = enumerate(zip(before, now, strict=True))
        return [line for n, (a, b) in pairs for line in differences(a, b, f"{place}/{n}", tolerance)]
    numbers = isinstance(before, float) and isinstance(now, float)
    same = math.isclose(before, now, rel_tol=tolerance, abs_tol=tolerance) if numbers else before == now
    return [] if same else [f"{place}: {before!r} before, {now!r} now"]


def cells(text: str) -> list[list[float | str]]:
    """A CSV table; what is a number as one."""
    return [[_number(field) for field in row] for row in csv.reader(io.StringIO(text))]


def _number(field: str) -> float | str:
    try:
        return float(field)
    except ValueError:
        return field


def test_every_cell_of_every_table_is_what_it_was(before: dict[str, Any], now: dict[str, Any]) -> None:
    assert now["tables"].keys() == before["tables"].keys()
    for name, text in before["tables"].items():
        if name.endswith(".csv"):  # sums may be taken in another order: to the last digits of a float64
            assert differences(cells(text), cells(now["tables"][name]), name, 1e-12) == []
        else:
            assert now["tables"][name] == text, name


def test_every_figure_draws_what_it_did(before: dict[str, Any], now: dict[str, Any]) -> None:
    assert len(before["figures"]) == 43
    assert differences(before["figures"], now["figures"], "", 1e-9) == []


def test_the_same_is_missing_failed_and_claimed(before: dict[str, Any], now: dict[str, Any]) -> None:
    assert now["told"] == before["told"]
    assert len(before["told"]["missing"]) == 6 and len(before["told"]["claims"]) == 12


def test_the_comparison_sees_a_changed_number() -> None:
    before = {"a": [1.0, "x"], "b": None}
    assert differences(before, {"a": [1.0 + 1e-6, "x"], "b": None}, "", 1e-9) == [
        "/a/0: 1.0 before, 1.000001 now"
    ]
    assert differences(before, {"a": [1.0], "b": None}, "", 1e-9) != []
    assert differences(before, {"a": [1.0, "x"]}, "", 1e-9) != []


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        data = json.dumps(made(Path(folder)), ensure_ascii=False).encode()
    EXPECTED.write_bytes(gzip.compress(data, mtime=0))
