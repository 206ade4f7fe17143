"""Runs many cells (a policy, a sweep) on local processes or a Ray cluster, so that nothing is lost and
nothing is run twice.

A cell is finished when its folder holds a sound result.json; everything else can be interrupted, killed or
unplugged at any time, and the same call goes on. An attempt that fails or dies costs only its cell, which is
tried again in the same folder, where its work finds its own checkpoints.
"""

from collections import Counter, deque
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from l0_surgical import __version__
from l0_surgical.experiments.jobs.ray import RayEngine
from l0_surgical.experiments.jobs.store import Cell, CellResult, Store, Work, check_cells, write_result
from l0_surgical.experiments.jobs.worker import Ended, Job, ProcessPool, module_path
from l0_surgical.experiments.jobs.worker_main import resolve_work
from l0_surgical.system.errors import BadInputError, L0SurgicalError
from l0_surgical.system.progress import Progress
from l0_surgical.system.stopping import Stop

ENGINES = ("local", "ray")
_WAIT_S = 0.25


class InterruptedCells(L0SurgicalError):
    """Stopped by a signal; what is finished is kept and the others have saved."""

    exit_code = 130

    def __init__(self, out: Path, finished: int, cells: int) -> None:
        super().__init__(
            f"stopped with {finished} of {cells} cells finished; run the same command again to go on in {out}"
        )


@dataclass(frozen=True)
class Outcome:
    """What has become of the cells.

    Attributes:
        finished: in the order of the cells.
        failed: the cause of each cell that failed in every attempt (another call tries it again).
        rerun: name and reason of every cell that was run again: a corrupted result, an attempt that failed.
    """

    finished: list[CellResult]
    failed: dict[str, str]
    rerun: list[tuple[str, str]]


def run_cells(
    cells: Sequence[Cell],
    work: Work,
    out: Path,
    *,
    engine: Literal["local", "ray"] = "local",
    jobs: int = 1,
    address: str | None = None,
    progress: Progress | None = None,
    retries: int = 2,
) -> Outcome:
    """Runs every cell of `cells` that has no result in `out` yet.

    Args:
        cells: what is to be done; the same for every call with the same `out`.
        work: its function is called with (specification, folder) in a process of its own with one thread.
            What it keeps in the folder is there in the next attempt (on Ray: where the nodes see `out`). It
            returns what JSON can hold. On SIGINT it should save and raise; without a handler of its own a
            KeyboardInterrupt ends it. BadInputError fails the cell without another attempt.
        out: the suite's folder.
        engine: local processes, or a Ray cluster.
        jobs: cells at a time (a Ray cluster that is joined runs as many as it has CPUs).
        address: of the Ray cluster; None starts one on this machine.
        progress: told the cells done, failed ones included.
        retries: attempts after the first for a cell that fails.

    Raises:
        BadInputError: a duplicate, another suite's folder, one in use, no such work or engine (before
        anything is run).
        InterruptedCells: stopped by SIGINT or SIGTERM after the running cells have saved; a second one does
        not wait for that.
        L0SurgicalError: the disk is full.
    """
    check_cells(cells)
    resolve_work(work.function)
    if engine not in ENGINES or jobs < 1 or retries < 0 or (engine == "local" and address is not None):
        raise BadInputError(
            f"cannot run cells with engine {engine!r}, {jobs} jobs, {retries} retries, address {address!r}; "
            "give local or ray (only ray has an address), at least 1 job and 0 retries"
        )
    with Store(Path(out)) as store:
        run = _Run(cells, work, store, retries, progress or (lambda text, done, total: None))
        if run.waiting:
            ray = engine == "ray"
            with RayEngine(address, jobs, store.out, store.token) if ray else ProcessPool(jobs) as pool:
                run.go(pool)
        return run.outcome()


class _Run:
    def __init__(
        self, cells: Sequence[Cell], work: Work, store: Store, retries: int, progress: Progress
    ) -> None:
        self.cells, self.work, self.store, self.retries, self.progress = cells, work, store, retries, progress
        self.finished, self.rerun = store.open_suite(work, cells)
        self.failed: dict[str, str] = {}
        self.waiting = deque(cell for cell in cells if cell.name not in self.finished)
        self._failures: Counter[str] = Counter()
        self._stop = Stop()

    def go(self, pool: ProcessPool | RayEngine) -> None:
        interrupted, running = False, {}
        self._tell()
        with self._stop.on_signals():
            while running or (self.waiting and not interrupted):
                if self._stop.is_set() and not interrupted:
                    interrupted = True
                    pool.interrupt()
                while self.waiting and not interrupted and pool.room(len(running)) > 0:
                    cell = self.waiting.popleft()
                    running[pool.submit(self._job(cell))] = cell
                for future in wait(running, _WAIT_S, FIRST_COMPLETED).done:
                    self._take(running.pop(future), future.result(), interrupted)
        if interrupted and len(self.finished) + len(self.failed) < len(self.cells):
            raise InterruptedCells(self.store.out, len(self.finished), len(self.cells))

    def outcome(self) -> Outcome:
        return Outcome(
            [self.finished[cell.name] for cell in self.cells if cell.name in self.finished],
            self.failed,
            self.rerun,
        )

    def _job(self, cell: Cell) -> Job:
        before = self.store.attempts(cell.name)
        seconds, cpu_seconds = (sum(attempt[key] for attempt in before) for key in ("seconds", "cpu_seconds"))
        return Job(
            name=cell.name,
            function=self.work.function,
            specification=cell.specification,
            folder=str(self.store.folder(cell.name)),
            attempt=len(before) + 1,
            seconds=seconds,
            cpu_seconds=cpu_seconds,
            path=module_path(),
            version=__version__,
        )

    def _take(self, cell: Cell, ended: Ended, interrupted: bool) -> None:
        saved = self.store.finished(cell.name)  # also of a worker that has died after its work
        result = saved or ended.result
        if result is not None:
            if saved is None:  # of a node that does not see the folder
                write_result(self.store.folder(cell.name), result)
            self.finished[cell.name] = result
            self._tell()
            return
        self.store.add_attempt(cell.name, ended.cause, ended.seconds, ended.cpu_seconds)
        if interrupted and ended.end != "refused":
            return
        self._failures[cell.name] += 1
        if ended.end == "refused" or self._failures[cell.name] > self.retries:
            self.failed[cell.name] = ended.cause
            self._tell()
        else:
            self.rerun.append((cell.name, ended.cause))
            self.waiting.append(cell)

    def _tell(self) -> None:
        self.progress("cells", len(self.finished) + len(self.failed), len(self.cells))
