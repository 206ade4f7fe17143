"""An Evaluator that runs nothing twice: what judges many candidates of one policy shares one, and asks for
whatever it needs."""

import contextlib
import dataclasses
import hashlib
from collections.abc import Callable, Iterator, Sequence

from l0_surgical.evaluation import Episode, Evaluation, Evaluator, Stream, episode_seeds
from l0_surgical.policy import Policy, policy_bytes


class RememberingEvaluator(Evaluator):
    """An `Evaluator` that gives the episodes of a policy again where it has already run it on these seeds.

    Episodes are functions of policy, seed and share of random actions, so they would be the same. Policies
    are compared by what acts (fields, normaliser, layers), not by their records. Episodes are kept until the
    object goes: up to a few kB each, and their observations where these were asked for.
    """

    def __init__(self, task: str, jobs: int = 1) -> None:
        super().__init__(task, jobs)
        self._known: dict[tuple[bytes, tuple[int, ...], float], list[Episode]] = {}

    def run(
        self,
        policy: Policy,
        seeds: Sequence[int],
        progress: Callable[[int], None] | None = None,
        *,
        keep_observations: bool = False,
        random_share: float = 0.0,
    ) -> list[Episode]:
        """As `Evaluator.run`; the episodes may hold observations that were not asked for this time."""
        acting = policy_bytes(dataclasses.replace(policy, provenance={}, evaluation={}))
        key = hashlib.sha256(acting).digest(), tuple(seeds), random_share
        known = self._known.get(key)
        if known is None or (keep_observations and known[0].observations is None):
            known = super().run(
                policy, seeds, progress, keep_observations=keep_observations, random_share=random_share
            )
            self._known[key] = known
        elif progress is not None:
            progress(len(known))
        return list(known)

    def evaluate(
        self,
        policy: Policy,
        stream: Stream,
        seed: int,
        episodes: int,
        progress: Callable[[int], None] | None = None,
    ) -> Evaluation:
        """As `evaluation.evaluate`, on the task of this evaluator."""
        return Evaluation.of(
            self.task, seed, self.run(policy, episode_seeds(stream, seed, episodes), progress)
        )


@contextlib.contextmanager
def evaluating(
    evaluator: RememberingEvaluator | None, task: str, jobs: int
) -> Iterator[RememberingEvaluator]:
    """The given evaluator, which stays open; without one, a new one for `task`, closed at the end."""
    if evaluator is not None:
        yield evaluator
        return
    with RememberingEvaluator(task, jobs) as opened:
        yield opened
