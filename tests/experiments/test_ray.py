"""Cells on a real Ray cluster of two workers, one of which is killed."""

import re
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from suites import WORK, log_counts, make_cells, squares, start_driver, wait_for

from l0_surgical import __version__
from l0_surgical.experiments.jobs import run_cells
from l0_surgical.experiments.jobs.ray import RayEngine
from l0_surgical.experiments.jobs.worker import Job, module_path
from l0_surgical.system.errors import BadInputError

pytest.importorskip("ray")


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """Two nodes with one CPU each, the first of them the head."""
    from ray.cluster_utils import Cluster

    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("RAY_USAGE_STATS_ENABLED", "0")
        cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
        try:
            cluster.add_node(num_cpus=1, include_dashboard=False)
            cluster.wait_for_nodes()
            yield cluster
        finally:
            cluster.shutdown()


def test_a_killed_node_loses_nothing_and_repeats_nothing(tmp_path: Path, cluster: Any) -> None:
    cells = make_cells(tmp_path, *["refuse", "", "", "", "", "die once"], steps=80)

    def kill_a_node() -> None:
        wait_for(
            lambda: (
                (tmp_path / "log").exists()
                and log_counts(tmp_path)["start 3"] + log_counts(tmp_path)["start 4"] == 2
            )
        )
        cluster.remove_node(*cluster.worker_nodes, allow_graceful=False)

    with ThreadPoolExecutor(1) as thread:
        kill = thread.submit(kill_a_node)
        outcome = run_cells(cells, WORK, tmp_path / "out", engine="ray", address=cluster.address)
        kill.result()

    assert not cluster.worker_nodes
    assert squares(outcome) == [n**2 for n in range(1, 6)]
    assert outcome.failed == {"cell-0": "no such environment; choose another one"}
    lost = {name: reason for name, reason in outcome.rerun if name != "cell-5"}
    assert len(lost) == 1 and lost.keys() < {"cell-3", "cell-4"}
    assert outcome.finished[[result.name for result in outcome.finished].index(*lost)].attempt == 2

    ends = {n: log_counts(tmp_path)[f"end {n}"] for n in range(6)}
    assert ends == {n: int(n != 0) for n in range(6)}
    assert run_cells(cells, WORK, tmp_path / "out").finished == outcome.finished
    assert {n: log_counts(tmp_path)[f"end {n}"] for n in range(6)} == ends


def test_a_node_that_does_not_see_the_folder_sends_its_result(tmp_path: Path, cluster: Any) -> None:
    (cell,) = make_cells(tmp_path, 1)
    unseen = tmp_path / "unseen"
    job = Job(
        cell.name, WORK.function, cell.specification, str(unseen), 1, 2.0, 1.0, module_path(), __version__
    )
    other_version = Job(
        cell.name, WORK.function, cell.specification, str(unseen), 1, 2.0, 1.0, module_path(), "0.0.9"
    )
    with RayEngine(cluster.address, 1, tmp_path, "another suite's token") as engine:
        ended = engine.submit(job).result(30)
        refused = engine.submit(other_version).result(30)
    assert ended.end == "finished" and ended.result.result["square"] == 0
    assert ended.result.seconds > 2 and ended.result.cpu_seconds > 1
    assert not unseen.exists()
    assert refused.end == "refused" and f"has l0_surgical {__version__} and the suite 0.0.9" in refused.cause


def test_an_interrupted_suite_on_its_own_cluster_saves_and_goes_on(tmp_path: Path) -> None:
    with start_driver(tmp_path, "ray", steps=160) as driver:
        driver.send_signal(signal.SIGINT)
        output = driver.communicate(timeout=30)[0]
    assert driver.returncode == 130
    # on a busy machine Ray may take longer to interrupt than the cells take to finish
    line = (
        r"stopped with ([0-2]) of 3 cells finished; run the same command again to go on in "
        rf"{tmp_path / 'out'}\n"
    )
    stopped = re.fullmatch(line, output)
    assert stopped
    outcome = run_cells(make_cells(tmp_path, 3, steps=160), WORK, tmp_path / "out", jobs=3)
    assert squares(outcome) == [0, 1, 4] and outcome.rerun == []
    assert stopped[1] != "0" or [len(result.result["steps"]) for result in outcome.finished] == [2, 2, 1]
    assert [log_counts(tmp_path)[f"end {n}"] for n in range(3)] == [1, 1, 1]


@pytest.mark.parametrize("address", ["127.0.0.1:9", "here"])
def test_a_cluster_that_is_not_there_is_refused(tmp_path: Path, address: str) -> None:
    with pytest.raises(BadInputError, match=rf"no Ray cluster answers at {address} "):
        run_cells(make_cells(tmp_path, 1), WORK, tmp_path / "out", engine="ray", address=address)
