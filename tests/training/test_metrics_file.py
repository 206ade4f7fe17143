"""metrics.csv: what it keeps of an interrupted run, and what becomes of a metric that no column was made
for."""

import csv
from pathlib import Path

import pytest

from l0_surgical.training.metrics_file import MetricsFile

COLUMNS = ("round", "member", "loss")


def read(path: Path) -> tuple[list[str], list[dict[str, str]]]:
    with path.open(newline="") as stream:
        reader = csv.DictReader(stream)
        return list(reader.fieldnames), list(reader)


def write(path: Path, rounds: range, columns: tuple[str, ...] = COLUMNS, **figures: float) -> None:
    metrics = MetricsFile(path, rounds.start, columns)
    for number in rounds:
        metrics.add([{"round": number, "member": 0, **figures}])
    metrics.close()


def test_rounds_that_are_done_again_are_dropped(tmp_path: Path) -> None:
    path = tmp_path / "metrics.csv"
    write(path, range(5), loss=1.0)
    write(path, range(3, 6), loss=2.0)
    columns, rows = read(path)
    assert columns == list(COLUMNS)
    assert [(row["round"], row["loss"]) for row in rows] == [
        ("0", "1.0"),
        ("1", "1.0"),
        ("2", "1.0"),
        *[(n, "2.0") for n in "345"],
    ]


def test_an_unknown_metric_gets_a_column_and_loses_nothing(tmp_path: Path) -> None:
    path = tmp_path / "metrics.csv"
    metrics = MetricsFile(path, 0, COLUMNS)
    metrics.add([{"round": 0, "member": 0, "loss": 1.0}])
    metrics.add(
        [{"round": 1, "member": 0, "loss": 0.5, "novelty": 7}, {"round": 1, "member": 1, "surprise": None}]
    )
    metrics.add([{"round": 2, "member": 0, "novelty": 8}])
    metrics.close()
    columns, rows = read(path)
    assert columns == [*COLUMNS, "novelty", "surprise"]
    assert [tuple(row.values()) for row in rows] == [
        ("0", "0", "1.0", "", ""),
        ("1", "0", "0.5", "7", ""),
        ("1", "1", "", "", ""),
        ("2", "0", "", "8", ""),
    ]


def test_a_resumed_run_keeps_the_columns_that_the_file_has(tmp_path: Path) -> None:
    path = tmp_path / "metrics.csv"
    write(path, range(2), ("round", "member", "loss", "of_another_version"), of_another_version=3)
    write(path, range(2, 3), ("round", "member", "entropy", "loss"), entropy=0.1)
    columns, rows = read(path)
    assert columns == ["round", "member", "loss", "of_another_version", "entropy"]
    assert [row["of_another_version"] for row in rows] == ["3", "3", ""]
    assert rows[2]["entropy"] == "0.1"


@pytest.mark.parametrize("cut", ["1", "1,0", "1,0,0.5", "\0\0\0", "1,0,0.5,7,8\n", "x,0,0.5\n"])
def test_a_row_that_was_cut_short_is_dropped(cut: str, tmp_path: Path) -> None:
    path = tmp_path / "metrics.csv"
    write(path, range(1), loss=1.0)
    with path.open("a") as stream:
        stream.write(cut)
    write(path, range(2, 3), loss=2.0)
    assert [row["round"] for row in read(path)[1]] == ["0", "2"]


@pytest.mark.parametrize("content", [b"", b"\xff\xfe damage", b"member,loss\n0,1\n"])
def test_what_is_no_metrics_file_is_begun_anew(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "metrics.csv"
    path.write_bytes(content)
    write(path, range(1), loss=1.0)
    assert read(path) == (list(COLUMNS), [{"round": "0", "member": "0", "loss": "1.0"}])
