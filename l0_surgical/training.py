"""A training run: a grid of members in one process, with metrics, checkpoints and exact resumption."""

import dataclasses
import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import numba
import torch

from l0_surgical.bounds import Bound, check_value
from l0_surgical.cohorts import Cohort, open_setting, provenance
from l0_surgical.config import MemberSpec, TrainingConfig
from l0_surgical.errors import BadInputError, L0SurgicalError
from l0_surgical.evaluation import Evaluation, Evaluator, episode_seeds
from l0_surgical.policy_file import save_policy
from l0_surgical.process import claim_threads
from l0_surgical.run_folder import RunFolder
from l0_surgical.tasks import get_task
from l0_surgical.tasks.boundary import Stopped

Budget = Annotated[float, Bound(0, 10**7)]
"""Minutes; up to 19 years."""
Progress = Callable[[str, int, int], None]
"""Called with what is being done, units done so far, and units in all."""


class InterruptedRun(L0SurgicalError):
    """The run stopped before its end (Ctrl-C or --budget) after saving; `folder` resumes it."""

    exit_code = 130

    def __init__(self, folder: Path, done: int, rounds: int) -> None:
        super().__init__(f"stopped after round {done} of {rounds}; go on with: l0-surgical train --resume {folder}")


def train(config: TrainingConfig, out: Path, *, budget_minutes: float | None = None, progress: Progress | None = None) -> dict[str, Any]:
    """Trains a new run in the folder `out`.

    Returns:
        The summary: the keys of the `train` command's JSON.

    Raises:
        BadInputError: a setting, the task or the folder is no good (before any compute).
        InterruptedRun: stopped early, saved and resumable.
        L0SurgicalError: every member failed, or the disk is full.
    """
    check_value("budget", budget_minutes, Budget | None)
    config.validate()
    _check_device(config.device)
    get_task(config.task)
    return _Run(RunFolder.create(Path(out), config), config, progress).go(budget_minutes)


def resume(folder: Path, *, budget_minutes: float | None = None, progress: Progress | None = None) -> dict[str, Any]:
    """Goes on with a run exactly where its last checkpoint left it; on the CPU it ends with the same policy bytes as if uninterrupted."""
    check_value("budget", budget_minutes, Budget | None)
    opened, config = RunFolder.open(Path(folder))
    config.validate()
    _check_device(config.device)
    return _Run(opened, config, progress).go(budget_minutes)


class _Run:
    def __init__(self, folder: RunFolder, config: TrainingConfig, progress: Progress | None) -> None:
        self.folder, self.config = folder, config
        self.progress = progress or (lambda text, done, total: None)
        self.members = config.members()
        self.threads = set_threads(config.threads or _default_threads(len(self.members)))
        self._stop = threading.Event()
        self._parts: dict[int, list[dict[str, Any]]] = {}  # the rows of the cohorts that have trained in a round that is not over yet

    def go(self, budget_minutes: float | None) -> dict[str, Any]:
        with _interruptible(self._stop):
            return self._go(budget_minutes)

    def _go(self, budget_minutes: float | None) -> dict[str, Any]:
        config, task = self.config, get_task(self.config.task)
        try:
            setting = open_setting(config, task, self.folder.demonstrations, lambda text: self.progress(text, 0, 1), self._stop.is_set)
        except Stopped:
            raise InterruptedRun(self.folder.path, 0, config.rounds) from None
        try:
            kinds = dict.fromkeys(member.regularizer for member in self.members)
            self.cohorts = [setting.cohort([m for m in self.members if m.regularizer == kind]) for kind in kinds]
            state = self.folder.load_checkpoint()
            first, self.seconds = 0, 0.0
            if state is not None:
                first, self.seconds, self._parts = state["round"], state["seconds"], state.get("parts", {})
                for cohort, saved in zip(self.cohorts, state["cohorts"], strict=True):
                    cohort.load_state_dict(saved)
            self.folder.open_metrics(first, self._columns())
            self._train(first, budget_minutes)
            return self._finish()
        finally:
            self.folder.close()
            setting.close()

    def _train(self, first: int, budget_minutes: float | None) -> None:
        config, started, before = self.config, time.monotonic(), self.seconds
        for number in range(first, config.rounds):
            if all(cohort.is_over for cohort in self.cohorts):
                break
            tick, costs = time.monotonic(), self._costs()
            rows = self._round(number)
            self.seconds = before + time.monotonic() - started
            if rows is None:
                self._save(number)
                raise InterruptedRun(self.folder.path, number, config.rounds)
            if len(self._failures()) == len(self.members):
                self._give_up(number)
            self._parts = {}
            self._log(number, rows, costs, time.monotonic() - tick)
            self.progress("training", number + 1, config.rounds)
            out_of_time = budget_minutes is not None and time.monotonic() - started > 60 * budget_minutes
            stop = (self._stop.is_set() or out_of_time) and number + 1 < config.rounds
            if stop or (number + 1) % config.checkpoint_every == 0 or number + 1 == config.rounds:
                self._save(number + 1)
            if stop:
                raise InterruptedRun(self.folder.path, number + 1, config.rounds)

    def _round(self, number: int) -> list[dict[str, Any]] | None:
        """The rows of all members; None if a stop left the round, which then goes on where it was."""
        try:
            return [row for place in range(len(self.cohorts)) for row in self._train_cohort(place, number)]
        except Stopped:
            return None

    def _train_cohort(self, place: int, number: int) -> list[dict[str, Any]]:
        cohort = self.cohorts[place]
        rows = self._parts[place] if place in self._parts else cohort.train_round(number)
        if not any(rows):
            return rows
        self._parts[place] = rows
        if (number + 1) % self.config.evaluate_every == 0 or number + 1 == self.config.rounds:
            for row, validated in zip(rows, cohort.validate(number), strict=True):
                row |= validated if row else {}
        return rows

    def _give_up(self, number: int) -> None:
        """Saves everything before the error: where the environment failed, a resumed run tries the round again."""
        causes = "; ".join(f"member {i}: {cause}" for i, cause in self._failures().items())
        for cohort in self.cohorts:
            for index, cause in cohort.failures.items():
                self._save_unevaluated(cohort, index, cause)
            cohort.forgive()
        self._save(number)
        again = len(self._failures()) < len(self.members)
        remedy = f"mend the task and go on with: l0-surgical train --resume {self.folder.path}" if again else "lower the learning rates"
        raise L0SurgicalError(f"every member stopped ({causes}); what was trained is saved in {self.folder.path}; {remedy}")

    def _costs(self) -> list[tuple[int, int]]:
        """Environment steps and updates of each member so far."""
        return [(steps, cohort.updates) for cohort in self.cohorts for steps in cohort.env_steps]

    def _columns(self) -> tuple[str, ...]:
        """Of the metrics, in their order: whose row it is, what it has cost, what the cohorts report, how fast it was."""
        labels = ("round", "member", *(field.name for field in dataclasses.fields(MemberSpec)))
        reported = dict.fromkeys(name for cohort in self.cohorts for name in cohort.reports)
        return (*labels, "env_steps", "updates", *reported, "steps_per_second", "updates_per_second")

    def _log(self, number: int, rows: list[dict[str, Any]], before: list[tuple[int, int]], seconds: float) -> None:
        members, after = [m for cohort in self.cohorts for m in cohort.members], self._costs()
        steps, updates = (sum(a[k] - b[k] for a, b in zip(after, before, strict=True)) / seconds for k in (0, 1))
        speeds = {"steps_per_second": steps, "updates_per_second": updates}
        labelled = [
            {"round": number, "member": index, **dataclasses.asdict(member), "env_steps": cost[0], "updates": cost[1], **speeds, **row}
            for index, (member, row, cost) in enumerate(zip(members, rows, after, strict=True))
            if row
        ]
        self.folder.log(labelled)

    def _save(self, done: int) -> None:
        cohorts = [cohort.state_dict() for cohort in self.cohorts]
        self.folder.save_checkpoint({"round": done, "seconds": self.seconds, "cohorts": cohorts, "parts": self._parts})

    def _failures(self) -> dict[int, str]:
        failures, offset = {}, 0
        for cohort in self.cohorts:
            failures |= {offset + index: cause for index, cause in cohort.failures.items()}
            offset += len(cohort.members)
        return failures

    def _finish(self) -> dict[str, Any]:
        """Saves and evaluates every member's policy on unseen episodes, and writes the summary."""
        rows: list[dict[str, Any]] = []
        try:
            with Evaluator(self.config.task, jobs=min(self.threads, len(self.members)), stop=self._stop.is_set) as evaluator:
                for cohort in self.cohorts:
                    for index, figures in enumerate(cohort.figures()):
                        rows.append(self._finish_member(evaluator, cohort, index, figures, len(rows)))
        except Stopped:
            raise InterruptedRun(self.folder.path, self.config.rounds, self.config.rounds) from None
        if all("failed" in row for row in rows):
            causes = "; ".join(f"member {i}: {row['failed']}" for i, row in enumerate(rows))
            raise L0SurgicalError(
                f"no policy could be evaluated ({causes}); what was trained is saved in {self.folder.path}; mend the task and evaluate "
                f"again with: l0-surgical train --resume {self.folder.path}"
            )
        summary = {"run": str(self.folder.path), "wall_seconds": self.seconds, "members": rows}
        self.folder.write_json("summary.json", summary)
        return summary

    def _finish_member(self, evaluator: Evaluator, cohort: Cohort, index: int, figures: dict[str, Any], done: int) -> dict[str, Any]:
        """The summary's row of a member, after those of `done` others."""
        member, episodes = cohort.members[index], self.config.final_evaluation_episodes
        row: dict[str, Any] = dataclasses.asdict(member)
        if index in cohort.failures:
            return row | self._save_unevaluated(cohort, index, cohort.failures[index])
        policy, before, total = cohort.policy(index), done * episodes, len(self.members) * episodes
        try:
            played = evaluator.run(policy, episode_seeds("test", 0, episodes), lambda n: self.progress("evaluating", before + n, total))
        except L0SurgicalError as error:
            return row | self._save_unevaluated(cohort, index, f"final evaluation: {error}")
        result = Evaluation.of(policy.task, 0, played)
        path = self.folder.policy_path(member.name)
        evaluation = {**result.as_dict(), "stream": "test", "seed": 0}
        record = {**provenance(self.config, member), **figures}
        save_policy(dataclasses.replace(policy, provenance=record, evaluation=evaluation), path)
        self.folder.unevaluated_path(member.name).unlink(missing_ok=True)  # of a former attempt
        return row | {"policy": str(path), **_summary_row(result, figures), "wall_seconds": self.seconds}

    def _save_unevaluated(self, cohort: Cohort, index: int, cause: str) -> dict[str, Any]:
        """Saves the policy of a member that failed, as it was then, and returns what the summary says of it."""
        member = cohort.members[index]
        path = self.folder.unevaluated_path(member.name)
        record = {**provenance(self.config, member), "failed": cause}
        save_policy(dataclasses.replace(cohort.policy(index), provenance=record), path)
        return {"policy": None, "failed": cause, "unevaluated": str(path)}


def _summary_row(result: Evaluation, figures: dict[str, Any]) -> dict[str, Any]:
    """The figures of a member under the names of the command's JSON: the actor's sparsity is the policy's."""
    named = {name.removeprefix("actor_"): value for name, value in figures.items()}
    known = result.as_dict()
    return {**{name: known[name] for name in ("return_mean", "return_ci95", "success_rate")}, **named}


def _default_threads(members: int) -> int:
    """One thread up to four members: they have too little work for more, and waiting threads slow each other down on a busy machine."""
    return 1 if members <= 4 else os.cpu_count() or 1


def set_threads(threads: int) -> int:
    """Sets the threads of torch and of the gate kernels; returns how many there are.

    Small networks run several times slower with more threads than they have work for.

    Raises:
        BadInputError: see `claim_threads`.
    """
    claim_threads()
    torch.set_num_threads(threads)
    numba.set_num_threads(min(threads, numba.config.NUMBA_NUM_THREADS))
    return threads


def _check_device(device: str) -> None:
    try:
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise BadInputError(f"--device {device} cannot be used ({reason}); pass cpu, or cuda on a machine that has it") from error


class _interruptible:
    """While active, the first Ctrl-C or SIGTERM sets `stop` (the episode is finished and saved); a second Ctrl-C raises at once."""

    def __init__(self, stop: threading.Event) -> None:
        self._stop = stop
        self._main = threading.current_thread() is threading.main_thread()

    def __enter__(self) -> None:
        if self._main:
            self._before = {number: signal.signal(number, self._handle) for number in (signal.SIGINT, signal.SIGTERM)}

    def __exit__(self, *_: object) -> None:
        if self._main:
            for number, handler in self._before.items():
                signal.signal(number, handler)

    def _handle(self, number: int, frame: object) -> None:
        if self._stop.is_set() and number == signal.SIGINT:
            raise KeyboardInterrupt
        self._stop.set()
