"""Deep Q-learning with sparse networks: Goddla 2024, Algorithm 1; optionally double (van Hasselt et al. 2016)
and with prioritised replay.

Every tensor has a leading member axis. Per-member losses are means over the batch, summed over members, so
gradients never mix and a member learns the same whatever runs beside it. Deviations from the paper are
numbered in docs/deviations.md.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional
from torch.nn.utils import parametrize

from l0_surgical.algorithms.learner import Learner, mean_figures
from l0_surgical.algorithms.networks import MemberMLP, network_seeds
from l0_surgical.algorithms.optimizer import make_optimizer
from l0_surgical.algorithms.replay import PrioritizedReplay, TransitionBatch
from l0_surgical.algorithms.schedules import Cosine
from l0_surgical.algorithms.sparsifiers import Sparsify
from l0_surgical.algorithms.vector_cohort import Play
from l0_surgical.settings.dqn import DQNConfig

_EXPLORATION, _REPLAY = 1, 2


class DQN(Learner):
    """The network, target, optimiser and replay buffers of members that share one kind of sparsifier.

    A round is `cycles_per_round` times a few steps of every environment, followed by a few updates.

    Args:
        config: the shared hyperparameters.
        dimensions: observation size and number of actions.
        seeds: one per member.
        sparsify: makes the network's sparsifier.
        device: where everything lives.
    """

    networks = ("network", "target")
    optimizers = ("optimizer",)
    stores = ("replay",)
    resumes_within_rounds = True
    reports = ("train_return", "validation_return", "loss", "q", "penalty", "actor_sparsity", "epsilon")

    def __init__(
        self,
        config: DQNConfig,
        dimensions: tuple[int, int],
        seeds: Sequence[int],
        sparsify: Sparsify,
        device: str = "cpu",
    ) -> None:
        super().__init__()
        self.config, (observation, self.actions) = config, dimensions
        sizes = (observation, *config.hidden, self.actions)
        self.network = self.policy_network = MemberMLP(sizes, network_seeds(seeds, 0), "linear").to(device)
        with torch.no_grad():
            self.network.layers[-1].bias.add_(config.initial_value)
        self.sparsifier = self.policy_sparsifier = sparsify("actor")
        self.sparsifier.attach(self.network)
        self.target = self.network.plain_copy(self.sparsifier.finalize())
        self._acting = self.network.plain_copy(self.sparsifier.finalize())
        self.optimizer = make_optimizer(self.network, self.sparsifier, config.learning_rate)
        kind, alpha = config.prioritized, config.priority_exponent
        self.replay = PrioritizedReplay(
            len(seeds), config.buffer_size, (observation, None), kind, alpha, device
        )
        self.epsilon = Cosine(1.0, config.final_epsilon, config.exploration_fraction)

    def train_round(self, play: Play) -> dict[str, Tensor | float]:
        """One round of Algorithm 1: acts and stores, then learns, again and again.

        Returns:
            Per-member diagnostics `(members,)`, means over the updates, and epsilon.
        """
        c, learned = self.config, []
        shape = (c.cycles_per_round, c.steps_per_cycle, c.environments)
        exploring, replaying = play.generators(_EXPLORATION), play.generators(_REPLAY)
        chances = np.stack([g.random(shape) for g in exploring], axis=2)
        whims = np.stack([g.integers(self.actions, size=shape) for g in exploring], axis=2)
        shape = (c.cycles_per_round, c.updates_per_cycle, c.batch_size)
        uniforms = np.stack([g.random(shape) for g in replaying], axis=2)
        cycles_done, steps_done = divmod(play.steps_done, c.steps_per_cycle)
        for cycle in range(cycles_done, c.cycles_per_round):
            epsilon = self.epsilon((play.number + cycle / c.cycles_per_round) / play.rounds)
            self._act(play, chances[cycle, steps_done:] < epsilon, whims[cycle, steps_done:])
            steps_done = 0
            if self.replay.sizes[play.running].min() >= c.learning_starts:
                learned += [self._learn(draws) for draws in uniforms[cycle]]
        return {"epsilon": epsilon, **mean_figures(learned)}

    @torch.no_grad()
    def _act(self, play: Play, by_chance: np.ndarray, whims: np.ndarray) -> None:
        """Some steps of every environment (step 3): where `by_chance` (steps, members, environments), the
        action of `whims`, else the best. Every transition is stored (step 4)."""
        self._acting.copy_from(self.network, self.sparsifier.finalize())
        for random, whim in zip(by_chance, whims, strict=True):
            states = play.states
            best = self._acting.columns(play.tensor(states)).argmax(1).cpu().numpy()
            actions = np.where(random, whim, best)
            step = play.step(actions)
            rewards = step.rewards * np.float32(self.config.reward_scale)
            self.replay.add(states, actions, rewards, play.states, step.terminated, step.valid)

    def _learn(self, uniforms: np.ndarray) -> dict[str, Tensor]:
        """One update (steps 5 to 10) from a batch that is drawn with the numbers `uniforms` (members,
        batch)."""
        batch = self.replay.sample(uniforms, self.config.importance_exponent)
        figures, td_errors = self.update(batch)
        self.replay.update(batch, td_errors)
        return figures

    def update(self, batch: TransitionBatch) -> tuple[dict[str, Tensor], Tensor]:
        """One gradient step (Algorithm 1, steps 7 to 10).

        Returns:
            Per-member diagnostics `(members,)`: loss, q, penalty; and the TD errors `(members, batch)`.
        """
        self.sparsifier.step(self.updates)
        with parametrize.cached():
            weights = self.network.effective_weights()
            td_target = self._td_target(batch, weights)
            q = self.network.columns(batch.states, weights).gather(1, batch.actions.unsqueeze(1))[:, 0]
            delta = self.config.huber_delta
            losses = functional.huber_loss(q, td_target, reduction="none", delta=delta)
            loss = (losses if batch.weights is None else losses * batch.weights).mean(1)
            penalty = self.sparsifier.penalty()
            total = loss + penalty / batch.states.shape[1]
            self.stop_diverged({"loss": total})
            self.minimize((total, self.optimizer))
            if (self.updates + 1) % self.config.target_period == 0:
                self.target.average_towards(self.network, weights, self.config.target_rate)
        self.updates += 1
        figures = {"loss": loss.detach(), "q": q.detach().mean(1), "penalty": penalty.detach()}
        return figures, (td_target - q).detach()

    @torch.no_grad()
    def _td_target(self, batch: TransitionBatch, weights: Sequence[Tensor]) -> Tensor:
        """r + gamma max_a Q'(s', a), or Q'(s', argmax_a Q(s', a)) if double, `(members, batch)`."""
        next_q = self.target.columns(batch.next_states)
        if self.config.double:
            best = self.network.columns(batch.next_states, weights).argmax(1, keepdim=True)
            value = next_q.gather(1, best)[:, 0]
        else:
            value = next_q.amax(1)
        return batch.rewards + self.config.discount * value * ~batch.terminated
