"""The one evaluation loop, for training, the command line, compression and the experiments.

An episode is a function of its seed alone, so the same `seed` gives every policy the same episodes (paired comparisons), whatever the
number of processes. Success is judged at the last step, as is usual for goal environments (HER, Gymnasium-Robotics, SurRoL): reaching the
goal and leaving it again is no success. The first step at which the goal was reached is recorded beside it.
"""

import contextlib
import math
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing.connection import Connection
from types import TracebackType
from typing import Any, Literal, get_args

import gymnasium
import numpy as np
from scipy.special import ndtri, stdtrit

from l0_surgical._rollouts import Act, Episode, policy_act, rollouts, with_random_actions
from l0_surgical._vector_rollouts import vector_episodes, vector_rollouts
from l0_surgical.errors import BadInputError, L0SurgicalError
from l0_surgical.policy_file import Policy, policy_bytes, policy_from_bytes
from l0_surgical.process import THREADS
from l0_surgical.tasks import get_task
from l0_surgical.tasks.classic import CLASSIC

__all__ = [
    "STREAMS",
    "Act",
    "Episode",
    "Evaluation",
    "Evaluator",
    "Stream",
    "episode_seeds",
    "evaluate",
    "mean_interval",
    "policy_act",
    "rollouts",
    "vector_episodes",
    "vector_rollouts",
    "wilson_interval",
    "with_random_actions",
]

Stream = Literal["train", "validation", "test"]
STREAMS: tuple[str, ...] = get_args(Stream)


def episode_seeds(stream: Stream, seed: int, episodes: int) -> list[int]:
    """The environment seeds of a run's episodes, in [0, 2^32).

    The streams are disjoint for all seeds (the last two bits name the stream), and more episodes only continue the same list.

    Raises:
        BadInputError: an unknown stream, a negative seed, or no episodes.
    """
    if stream not in STREAMS:
        raise BadInputError(f"unknown stream of episodes {stream!r}; known are {', '.join(STREAMS)}")
    if seed < 0 or episodes < 1:
        raise BadInputError(f"cannot draw {episodes} episodes from the seed {seed}; give at least 1 episode and a seed of at least 0")
    number = STREAMS.index(stream)
    words = np.random.SeedSequence(entropy=seed, spawn_key=(number,)).generate_state(episodes, np.uint32)
    return [int(word) & ~3 | number for word in words]


def mean_interval(values: np.ndarray, confidence: float = 0.95) -> tuple[float, float]:
    """Student's t interval of the mean of independent `values` (E,); NaN for fewer than two."""
    if len(values) < 2:
        return math.nan, math.nan
    half = stdtrit(len(values) - 1, (1 + confidence) / 2) * np.std(values, ddof=1) / math.sqrt(len(values))
    return float(np.mean(values) - half), float(np.mean(values) + half)


def wilson_interval(successes: int, trials: int, confidence: float = 0.95) -> tuple[float, float]:
    """Wilson's score interval of a proportion (E. B. Wilson, JASA 22, 1927), which stays inside [0, 1] and is honest at 0 and 1."""
    z = float(ndtri((1 + confidence) / 2))
    share = successes / trials
    centre = (share + z * z / (2 * trials)) / (1 + z * z / trials)
    half = z / (1 + z * z / trials) * math.sqrt(share * (1 - share) / trials + z * z / (4 * trials * trials))
    return max(0.0, centre - half), min(1.0, centre + half)


@dataclass(frozen=True, eq=False)
class Evaluation:
    """How a policy did: returns (E,), successes (E,) bool at the last step, steps_to_success (E,) NaN where never.

    Where a task reports no success, `reports_success` is False and the figures of success are NaN (None in JSON).
    """

    task: str
    seed: int
    returns: np.ndarray
    successes: np.ndarray
    steps_to_success: np.ndarray
    reports_success: bool = True

    @classmethod
    def of(cls, task: str, seed: int, episodes: Sequence[Episode]) -> "Evaluation":
        """Collects finished episodes."""
        return cls(
            task=task,
            seed=seed,
            returns=np.array([episode.total_reward for episode in episodes]),
            successes=np.array([bool(episode.success) for episode in episodes]),
            steps_to_success=np.array([episode.steps_to_success for episode in episodes]),
            reports_success=any(episode.success is not None for episode in episodes),
        )

    @property
    def return_mean(self) -> float:
        return float(self.returns.mean())

    @property
    def return_ci95(self) -> tuple[float, float]:
        """Student's t interval of the mean return over episodes."""
        return mean_interval(self.returns)

    @property
    def success_rate(self) -> float:
        return float(self.successes.mean()) if self.reports_success else math.nan

    @property
    def success_ci95(self) -> tuple[float, float]:
        """Wilson's interval."""
        return wilson_interval(int(self.successes.sum()), len(self.successes)) if self.reports_success else (math.nan, math.nan)

    @property
    def steps_to_success_mean(self) -> float:
        """Over the episodes that reached the goal at some step; NaN if none did."""
        reached = self.steps_to_success[np.isfinite(self.steps_to_success)]
        return float(reached.mean()) if reached.size else math.nan

    def as_dict(self) -> dict[str, Any]:
        """The result of the `evaluate` command, ready for JSON: what is not known is None."""
        return {
            "task": self.task,
            "episodes": len(self.returns),
            "return_mean": self.return_mean,
            "return_ci95": [_known(bound) for bound in self.return_ci95],
            "success_rate": _known(self.success_rate),
            "success_ci95": [_known(bound) for bound in self.success_ci95],
            "steps_to_success_mean": _known(self.steps_to_success_mean),
        }


def evaluate(
    policy: Policy,
    *,
    task: str | None = None,
    episodes: int = 100,
    seed: int = 0,
    stream: Stream = "test",
    jobs: int = 1,
    progress: Callable[[int], None] | None = None,
) -> Evaluation:
    """Evaluates a policy on `task` (its own by default) over seeded episodes; `progress` is told the number of episodes done so far.

    Raises:
        BadInputError: an unknown task, a policy that does not fit it, or a count that makes no sense.
        L0SurgicalError: the environment failed.
    """
    seeds = episode_seeds(stream, seed, episodes)
    with Evaluator(task or policy.task, jobs) as evaluator:
        return Evaluation.of(evaluator.task, seed, evaluator.run(policy, seeds, progress))


class Evaluator:
    """Keeps the environments (and processes) of one task open for many runs. A context manager.

    The classic tasks run all episodes side by side in one vector environment of this process, whatever the number of jobs.

    Raises:
        BadInputError: an unknown task or less than one job.
    """

    def __init__(self, task: str, jobs: int = 1) -> None:
        if jobs < 1:
            raise BadInputError(f"{jobs} jobs cannot evaluate anything; give at least 1")
        self._task = get_task(task)
        self.task = self._task.name
        self._jobs = 1 if self._task.name in CLASSIC else jobs
        self._environment: gymnasium.Env | None = None
        self._pool: ProcessPoolExecutor | None = None

    def __enter__(self) -> "Evaluator":
        if self._jobs == 1:
            self._environment = self._task.make()
        else:
            # spawn: a forked child would share the physics client and the thread pools of this process
            context = multiprocessing.get_context("spawn")
            their_end, self._lifeline = context.Pipe(duplex=False)
            self._pool = ProcessPoolExecutor(self._jobs, mp_context=context, initializer=_start_worker, initargs=(self.task, their_end))
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._environment is not None:
            self._environment.close()
        if self._pool is not None:
            if error is not None:
                self._lifeline.close()  # the workers need not finish what they are at
            self._pool.shutdown(wait=True, cancel_futures=True)
            self._lifeline.close()

    def run(
        self,
        policy: Policy,
        seeds: Sequence[int],
        progress: Callable[[int], None] | None = None,
        *,
        keep_observations: bool = False,
        random_share: float = 0.0,
    ) -> list[Episode]:
        """One episode for each seed, in order.

        With a `random_share` each action is with that probability a uniformly random one (1: the random policy), drawn from the
        episode's seed.

        Raises:
            BadInputError: the policy does not fit the task.
            L0SurgicalError: the environment failed or a process died.
        """
        if self._environment is not None and self.task in CLASSIC:
            episodes = vector_episodes(policy, self._task, seeds, keep_observations=keep_observations, random_share=random_share)
            if progress is not None:
                progress(len(episodes))
            return episodes
        if self._environment is not None:
            return _run(policy, self._environment, self.task, seeds, progress, keep_observations, random_share)
        if self._pool is None:
            raise L0SurgicalError("an Evaluator runs only inside its `with` block")
        data = policy_bytes(policy)
        size = -(-len(seeds) // (4 * self._jobs))
        chunks = [seeds[start : start + size] for start in range(0, len(seeds), size)]
        try:
            with _single_threaded_children():
                futures = [self._pool.submit(_run_chunk, data, chunk, keep_observations, random_share) for chunk in chunks]
            done = 0
            for future in as_completed(futures):
                done += len(future.result())
                if progress is not None:
                    progress(done)
        except BrokenProcessPool as error:
            raise L0SurgicalError("an evaluation process died (out of memory?); run again with fewer jobs") from error
        return [episode for future in futures for episode in future.result()]


def _run(
    policy: Policy,
    environment: gymnasium.Env,
    task: str,
    seeds: Sequence[int],
    progress: Callable[[int], None] | None,
    keep_observations: bool,
    random_share: float,
) -> list[Episode]:
    act = policy_act(policy, environment, task)
    if random_share == 0:
        return rollouts(act, environment, seeds, progress, keep_observations)
    episodes: list[Episode] = []
    for seed in seeds:
        disturbed = with_random_actions(act, environment, random_share, seed)
        episodes += rollouts(disturbed, environment, [seed], None, keep_observations)
        if progress is not None:
            progress(len(episodes))
    return episodes


@contextlib.contextmanager
def _single_threaded_children() -> Iterator[None]:
    """Processes started inside see one thread each: the variables are read when NumPy is loaded, so the child cannot set them itself."""
    before = {name: os.environ.get(name) for name in THREADS}
    os.environ.update(dict.fromkeys(THREADS, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


_worker: tuple[gymnasium.Env, str] | None = None  # the environment of a worker process, made once


def _start_worker(task: str, lifeline: Connection) -> None:
    global _worker
    for number in (signal.SIGINT, signal.SIGHUP):  # of the terminal, for the parent to hear
        signal.signal(number, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, args=(lifeline,), name="lifeline", daemon=True).start()
    _worker = get_task(task).make(), task


def _end_with_parent(lifeline: Connection) -> None:
    with contextlib.suppress(EOFError, OSError):
        lifeline.recv()  # nothing is ever sent
    os._exit(1)


def _run_chunk(data: bytes, seeds: Sequence[int], keep_observations: bool, random_share: float) -> list[Episode]:
    if _worker is None:
        raise L0SurgicalError("the evaluation process has no environment")
    environment, task = _worker
    return _run(policy_from_bytes(data), environment, task, seeds, None, keep_observations, random_share)


def _known(number: float) -> float | None:
    return None if math.isnan(number) else number
