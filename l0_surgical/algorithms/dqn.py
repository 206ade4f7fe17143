"""Deep Q-learning with sparse networks: Goddla 2024, Algorithm 1; optionally double (van Hasselt et al. 2016)
and with prioritised replay.

Every tensor has a leading member axis. Per-member losses are means over the batch, summed over members, so
gradients never mix and a member learns the same whatever runs beside it. Deviations from the paper are
numbered in docs/deviations.md.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional
from torch.nn.utils import parametrize

from l0_surgical.algorithms.learner import Learner
from l0_surgical.algorithms.networks import MemberMLP, network_seeds
from l0_surgical.algorithms.optimizer import make_optimizer
from l0_surgical.settings.sections import DQNConfig
from l0_surgical.sparsity import Sparsifier


@dataclass(frozen=True)
class Batch:
    """What one update needs: states and next_states (members, batch, obs), normalised; actions (members,
    batch) int64; rewards (members, batch); terminated (members, batch) bool; weights (members, batch), or
    None where all count alike."""

    states: Tensor
    actions: Tensor
    rewards: Tensor
    next_states: Tensor
    terminated: Tensor
    weights: Tensor | None = None


class DQN(Learner):
    """The network, target and optimiser of a cohort of members that share one kind of sparsifier.

    Args:
        config: the shared hyperparameters.
        dimensions: observation size and number of actions.
        seeds: one per member.
        sparsifier: attached here.
        device: where everything lives.
    """

    networks = ("network", "target")
    optimizers = ("optimizer",)

    def __init__(
        self,
        config: DQNConfig,
        dimensions: tuple[int, int],
        seeds: Sequence[int],
        sparsifier: Sparsifier,
        device: str = "cpu",
    ) -> None:
        super().__init__()
        observation, actions = dimensions
        self.config, self.sparsifier = config, sparsifier
        self.network = MemberMLP(
            (observation, *config.hidden, actions), network_seeds(seeds, 0), "linear"
        ).to(device)
        with torch.no_grad():
            self.network.layers[-1].bias.add_(config.initial_value)
        self.sparsifier.attach(self.network)
        self.target = self.network.plain_copy(self.sparsifier.finalize())
        self.optimizer = make_optimizer(self.network, self.sparsifier, config.learning_rate)

    def update(self, batch: Batch) -> tuple[dict[str, Tensor], Tensor]:
        """One gradient step (Algorithm 1, steps 7 to 10).

        Returns:
            Per-member diagnostics `(members,)`: loss, q, penalty; and the TD errors `(members, batch)`.
        """
        self.sparsifier.step(self.updates)
        with parametrize.cached():
            figures, errors = self._update(batch)
        self.updates += 1
        return figures, errors

    def _update(self, batch: Batch) -> tuple[dict[str, Tensor], Tensor]:
        weights = self.network.effective_weights()
        goal = self._target(batch, weights)
        q = self.network.columns(batch.states, weights).gather(1, batch.actions.unsqueeze(1))[:, 0]
        errors = goal - q
        losses = functional.huber_loss(q, goal, reduction="none", delta=self.config.huber_delta)
        loss = (losses if batch.weights is None else losses * batch.weights).mean(1)
        penalty = self.sparsifier.penalty()
        total = loss + penalty / batch.states.shape[1]
        self.stop_diverged({"loss": total})
        self.minimize((total, self.optimizer))
        if (self.updates + 1) % self.config.target_period == 0:
            self.target.average_towards(self.network, weights, self.config.target_rate)
        return {"loss": loss.detach(), "q": q.detach().mean(1), "penalty": penalty.detach()}, errors.detach()

    @torch.no_grad()
    def _target(self, batch: Batch, weights: Sequence[Tensor]) -> Tensor:
        """r + gamma max_a Q'(s', a), or Q'(s', argmax_a Q(s', a)) if double, `(members, batch)`."""
        next_q = self.target.columns(batch.next_states)
        if self.config.double:
            best = self.network.columns(batch.next_states, weights).argmax(1, keepdim=True)
            value = next_q.gather(1, best)[:, 0]
        else:
            value = next_q.amax(1)
        return batch.rewards + self.config.discount * value * ~batch.terminated
