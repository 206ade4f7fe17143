"""A training run: a grid of members in one process, with metrics, checkpoints and exact resumption."""

import contextlib
import dataclasses
import json
import os
import shlex
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any

import numba
import torch

from l0_surgical.algorithms.cohort import Cohort
from l0_surgical.algorithms.registry import Setting, open_setting
from l0_surgical.evaluation import Evaluation, Evaluator, episode_seeds
from l0_surgical.policy import save_policy
from l0_surgical.settings.training import MemberSpec, TrainingConfig, as_dict, from_dict
from l0_surgical.system.bounds import Bound, check_value
from l0_surgical.system.errors import BadInputError, L0SurgicalError
from l0_surgical.system.files import WriteError
from l0_surgical.system.process import claim_threads
from l0_surgical.system.progress import Progress
from l0_surgical.system.stopping import Stop, Stopped
from l0_surgical.tasks import get_task
from l0_surgical.training.provenance import provenance
from l0_surgical.training.run_folder import RunFolder

CHECKPOINT_EVERY_S = 120.0
"""A checkpoint is saved at the first end of a round so long after the last one, besides those that the
configuration asks for."""

Budget = Annotated[float, Bound(0, 10**7)]
"""Minutes; up to 19 years."""


class InterruptedRun(L0SurgicalError):
    """The run stopped before its end (a signal or --budget) after saving; `go_on` says how to resume it."""

    exit_code = 130

    def __init__(self, done: int, rounds: int, go_on: str) -> None:
        super().__init__(f"stopped after round {done} of {rounds}; {go_on}")


def train(
    config: TrainingConfig,
    out: Path,
    *,
    budget_minutes: float | None = None,
    progress: Progress | None = None,
    go_on: str | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> dict[str, Any]:
    """Trains a new run in the folder `out`.

    Args:
        config: every setting.
        out: the run's folder; if the run fails before its first round, nothing is left of it.
        budget_minutes: stops cleanly after so long.
        progress: is told what is being done.
        go_on: how a person resumes an interrupted run; by default the command.
        clock: seconds; the budget and the checkpoints follow it.

    Returns:
        The summary: the keys of the `train` command's JSON.

    Raises:
        BadInputError: a setting, the task or the folder is no good (before any compute).
        InterruptedRun: stopped early, saved and resumable.
        L0SurgicalError: every member failed, or the disk is full.
    """
    stop = Stop()
    opened = contextlib.closing(_open(config, budget_minutes, stop))
    with opened as setting, stop.on_signals(), RunFolder.create(Path(out), config) as folder:
        return _Run(folder, config, setting, stop, progress, go_on, clock).go(budget_minutes)


def resume(
    folder: Path,
    changes: Mapping[str, Any] | None = None,
    *,
    budget_minutes: float | None = None,
    progress: Progress | None = None,
    go_on: str | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> dict[str, Any]:
    """Goes on with a run exactly where its last checkpoint left it; on the CPU it ends with the same policy
    bytes as if uninterrupted.

    `changes` are kept for later resumptions, too: `device`, `threads`, and more `episodes` (ddpg) or `steps`
    (dqn, ppo). In a run made longer, all that follows the length of the training (exploration, learning
    rates, which policies may be kept) is from here on as in a training of the new length; what was trained
    before is as it is, so the end is not that of a training begun with the new length.

    See `train` for the rest.

    Raises:
        BadInputError: there is no run, another process works in it, or a change makes no sense.
    """
    with RunFolder.open(Path(folder)) as (opened, before):
        config, stop = _changed(before, changes or {}), Stop()
        with contextlib.closing(_open(config, budget_minutes, stop)) as setting, stop.on_signals():
            return _Run(opened, config, setting, stop, progress, go_on, clock).go(budget_minutes)


def is_of(run: Path, config: TrainingConfig) -> bool:
    """Whether the run in a folder has these settings; on which device and with how many threads does not
    count."""
    try:
        found = from_dict(json.loads((run / "config.json").read_bytes()))
    except (OSError, ValueError, BadInputError):
        return False
    return dataclasses.replace(config, device=found.device, threads=found.threads) == found


def complete(config: TrainingConfig, run: Path, **options: Any) -> dict[str, Any]:
    """The summary of the run in a folder: as it was written if the run is finished, else after `resume` or
    `train` with `options`."""
    summary = run / "summary.json"
    if summary.exists():
        return json.loads(summary.read_bytes())
    return resume(run, **options) if (run / "config.json").exists() else train(config, run, **options)


def _open(config: TrainingConfig, budget_minutes: float | None, stop: Stop) -> Setting:
    """Judges everything that can be judged before there is a folder, and opens the task."""
    check_value("budget", budget_minutes, Budget | None)
    config.validate()
    _check_device(config.device)
    return open_setting(config, get_task(config.task), stop.is_set)


def _changed(config: TrainingConfig, changes: Mapping[str, Any]) -> TrainingConfig:
    name, is_goal = config.algorithm.name, config.algorithm.experience == "goal"
    length, other = ("episodes", "steps") if is_goal else ("steps", "episodes")
    if other in changes:
        raise BadInputError(
            f"--{other} says nothing about a run of {name}; its length is --{length} "
            f"{getattr(config, length)}"
        )
    if length in changes and changes[length] < getattr(config, length):
        raise BadInputError(
            f"--{length} {changes[length]}: the run has {getattr(config, length)} and can only be made longer"
        )
    return dataclasses.replace(config, **changes)


class _Run:
    def __init__(
        self,
        folder: RunFolder,
        config: TrainingConfig,
        setting: Setting,
        stop: Stop,
        progress: Progress | None,
        go_on: str | None,
        clock: Callable[[], float],
    ) -> None:
        self.folder, self.config, self.setting, self.stop, self.clock = folder, config, setting, stop, clock
        self.progress = progress or (lambda text, done, total: None)
        self.go_on = go_on or f"go on with: l0-surgical train --resume {shlex.quote(str(folder.path))}"
        self.members = config.members()
        self.threads = set_threads(config.threads or _default_threads(len(self.members)))
        self.done = 0
        self.saved: int | None = None  # the round of the last checkpoint
        self.parts: dict[
            int, list[dict[str, Any]]
        ] = {}  # the rows of the cohorts that have trained in a round that is not over yet

    def go(self, budget_minutes: float | None) -> dict[str, Any]:
        try:
            with self.stop.raising():
                self._begin()
            self._train(budget_minutes)
            with self.stop.raising():
                return self._finish()
        except Stopped:
            self.folder.keep()
            raise InterruptedRun(self.done, self.config.rounds, self.go_on) from None
        except WriteError as error:
            if not self.folder.is_kept:
                raise
            intact = (
                "no checkpoint was saved before"
                if self.saved is None
                else f"the checkpoint of round {self.saved} is intact"
            )
            raise L0SurgicalError(f"{error.what}; {intact}. {error.remedy} and {self.go_on}") from error

    def _begin(self) -> None:
        """Everything before the first round."""
        self.setting.prepare(self.folder.demonstrations, lambda text: self.progress(text, 0, 1))
        kinds = dict.fromkeys(member.regularizer for member in self.members)
        self.cohorts = [
            self.setting.cohort([m for m in self.members if m.regularizer == kind]) for kind in kinds
        ]
        self.seconds, self.lengths = 0.0, [[0, self.config.rounds]]
        state = self.folder.load_checkpoint()
        if state is not None:
            self._load(state)
        self.folder.open_metrics(self.done, self._columns())
        self.folder.write_json("config.json", as_dict(self.config))  # with what a resumption has changed
        self.folder.keep()

    def _train(self, budget_minutes: float | None) -> None:
        config, started, before = self.config, self.clock(), self.seconds
        saved_at = started
        for number in range(self.done, config.rounds):
            if all(cohort.is_over for cohort in self.cohorts):
                break
            tick, costs = time.monotonic(), self._costs()
            try:
                rows = [
                    row for place in range(len(self.cohorts)) for row in self._train_cohort(place, number)
                ]
            except Stopped:
                self.seconds = before + self.clock() - started
                self._save()
                raise
            now = self.clock()
            self.seconds = before + now - started
            if len(self._failures()) == len(self.members):
                self._give_up()
            self._log(number, rows, costs, time.monotonic() - tick)
            self.done, self.parts = number + 1, {}
            out_of_time = budget_minutes is not None and now - started > 60 * budget_minutes
            stop = (self.stop.is_set() or out_of_time) and self.done < config.rounds
            is_due = (
                self.done % config.checkpoint_every == 0
                or self.done == config.rounds
                or now - saved_at >= CHECKPOINT_EVERY_S
            )
            if stop or is_due:
                self._save()
                saved_at = self.clock()
            self.progress("training", self.done, config.rounds)
            if stop:
                raise InterruptedRun(self.done, config.rounds, self.go_on)
        if self.saved != self.done:  # every member was over before the last round
            self._save()

    def _train_cohort(self, place: int, number: int) -> list[dict[str, Any]]:
        cohort = self.cohorts[place]
        rows = self.parts[place] if place in self.parts else cohort.train_round(number)
        if not any(rows):
            return rows
        self.parts[place] = rows
        if (number + 1) % self.config.evaluate_every == 0 or number + 1 == self.config.rounds:
            for row, validated in zip(rows, cohort.validate(number), strict=True):
                row |= validated if row else {}
        return rows

    def _give_up(self) -> None:
        """Saves everything before the error: where the environment failed, a resumed run tries the round
        again."""
        causes = "; ".join(f"member {i}: {cause}" for i, cause in self._failures().items())
        for cohort in self.cohorts:
            for index, cause in cohort.failures.items():
                self._save_unevaluated(cohort, index, cause)
            cohort.forgive()
        self._save()
        again = len(self._failures()) < len(self.members)
        remedy = f"mend the task and {self.go_on}" if again else "lower the learning rates"
        raise L0SurgicalError(
            f"every member stopped ({causes}); what was trained is saved in {self.folder.path}; {remedy}"
        )

    def _costs(self) -> list[tuple[int, int]]:
        """Environment steps and updates of each member so far."""
        return [(steps, cohort.updates) for cohort in self.cohorts for steps in cohort.env_steps]

    def _columns(self) -> tuple[str, ...]:
        """Of the metrics, in their order: whose row it is, what it has cost, what the cohorts report, how
        fast it was."""
        labels = ("round", "member", *(field.name for field in dataclasses.fields(MemberSpec)))
        reported = dict.fromkeys(name for cohort in self.cohorts for name in cohort.reports)
        return (*labels, "env_steps", "updates", *reported, "steps_per_second", "updates_per_second")

    def _log(
        self, number: int, rows: list[dict[str, Any]], before: list[tuple[int, int]], seconds: float
    ) -> None:
        members, after = [m for cohort in self.cohorts for m in cohort.members], self._costs()
        steps, updates = (
            sum(a[k] - b[k] for a, b in zip(after, before, strict=True)) / seconds for k in (0, 1)
        )
        speeds = {"steps_per_second": steps, "updates_per_second": updates}
        labelled = [
            {
                "round": number,
                "member": index,
                **dataclasses.asdict(member),
                "env_steps": cost[0],
                "updates": cost[1],
                **speeds,
                **row,
            }
            for index, (member, row, cost) in enumerate(zip(members, rows, after, strict=True))
            if row
        ]
        self.folder.log(labelled)

    def _save(self) -> None:
        state = {"round": self.done, "parts": self.parts, "seconds": self.seconds, "lengths": self.lengths}
        self.folder.save_checkpoint({**state, "cohorts": [cohort.state_dict() for cohort in self.cohorts]})
        self.saved = self.done

    def _load(self, state: dict[str, Any]) -> None:
        try:
            for cohort, saved in zip(self.cohorts, state["cohorts"], strict=True):
                cohort.load_state_dict(saved)
            self.done = self.saved = state["round"]
            self.parts, self.seconds, self.lengths = state["parts"], state["seconds"], state["lengths"]
        except KeyError as error:
            remedy = f"delete {self.folder.checkpoint} to start the run from its beginning"
            raise BadInputError(
                f"the checkpoint is from another version of l0_surgical (it has no {error}); {remedy}"
            ) from error
        if self.lengths[-1][1] != self.config.rounds:
            self.lengths.append([self.done, self.config.rounds])

    def _failures(self) -> dict[int, str]:
        failures, offset = {}, 0
        for cohort in self.cohorts:
            failures |= {offset + index: cause for index, cause in cohort.failures.items()}
            offset += len(cohort.members)
        return failures

    def _finish(self) -> dict[str, Any]:
        """Saves and evaluates every member's policy on unseen episodes, and writes the summary."""
        rows: list[dict[str, Any]] = []
        with Evaluator(
            self.config.task, jobs=min(self.threads, len(self.members)), stop=self.stop.is_set
        ) as evaluator:
            for cohort in self.cohorts:
                for index, figures in enumerate(cohort.figures()):
                    rows.append(self._finish_member(evaluator, cohort, index, figures, len(rows)))
        if all("failed" in row for row in rows):
            causes = "; ".join(f"member {i}: {row['failed']}" for i, row in enumerate(rows))
            raise L0SurgicalError(
                f"no policy could be evaluated ({causes}); what was trained is saved in {self.folder.path}; "
                f"mend the task and {self.go_on}"
            )
        summary = {"run": str(self.folder.path), "wall_seconds": self.seconds, "members": rows}
        self.folder.write_json("summary.json", summary)
        return summary

    def _finish_member(
        self, evaluator: Evaluator, cohort: Cohort, index: int, figures: dict[str, Any], done: int
    ) -> dict[str, Any]:
        """The summary's row of a member, after those of `done` others."""
        member, episodes = cohort.members[index], self.config.final_evaluation_episodes
        row: dict[str, Any] = dataclasses.asdict(member)
        if index in cohort.failures:
            return row | self._save_unevaluated(cohort, index, cohort.failures[index])
        policy, before, total = cohort.policy(index), done * episodes, len(self.members) * episodes
        try:
            played = evaluator.run(
                policy,
                episode_seeds("test", 0, episodes),
                lambda n: self.progress("evaluating", before + n, total),
            )
        except L0SurgicalError as error:
            return row | self._save_unevaluated(cohort, index, f"final evaluation: {error}")
        result = Evaluation.of(policy.task, 0, played)
        path = self.folder.policy_path(member.name)
        evaluation = {**result.as_dict(), "stream": "test", "seed": 0}
        longer = {"lengths": self.lengths} if len(self.lengths) > 1 else {}
        record = {**provenance(self.config, member), **longer, **figures}
        save_policy(dataclasses.replace(policy, provenance=record, evaluation=evaluation), path)
        self.folder.unevaluated_path(member.name).unlink(missing_ok=True)  # of a former attempt
        return row | {"policy": str(path), **_summary_row(result, figures), "wall_seconds": self.seconds}

    def _save_unevaluated(self, cohort: Cohort, index: int, cause: str) -> dict[str, Any]:
        """Saves the policy of a member that failed, as it was then, and returns what the summary says of
        it."""
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
    """One thread up to four members: they have too little work for more, and waiting threads slow each other
    down on a busy machine."""
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
        raise BadInputError(
            f"--device {device} cannot be used ({reason}); pass --device cpu, or cuda on a machine that has "
            "it"
        ) from error
