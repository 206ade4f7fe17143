"""The sparsifier of a network, from a run's configuration."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from l0_surgical.settings.registry import SPARSIFIERS, load
from l0_surgical.settings.sparsity import SparsityConfig
from l0_surgical.settings.training import MemberSpec, TrainingConfig
from l0_surgical.sparsity import GateSettings, HardConcrete, NoSparsifier, Schedule, Shrinkage, Sparsifier

GATE_SEED = 0
"""Seed of the one gate map that `sampled` evaluation draws and freezes."""

Role = Literal["actor", "critic"]
"""What a network is for: the actor is the one that becomes the policy (DQN's only one)."""
Sparsify = Callable[[Role], Sparsifier]
"""Makes the sparsifier of one of a learner's networks."""
_STREAMS: dict[Role, int] = {"actor": 0, "critic": 1}


@dataclass(frozen=True)
class Request:
    """What a maker of sparsifiers is told.

    Attributes:
        regularizer: the name under which it was registered.
        coefficients: one per member.
        seeds: one per member.
        role: what the network is for.
        schedule: when there is a penalty, by update number.
        sparsity: the settings that all sparsifiers share.
        settings: those that it has to itself; None if it was registered without.
    """

    regularizer: str
    coefficients: tuple[float, ...]
    seeds: tuple[int, ...]
    role: Role
    schedule: Schedule
    sparsity: SparsityConfig
    settings: Any

    @property
    def stream(self) -> int:
        """Tells the networks of one member apart, so that they never share noise."""
        return _STREAMS[self.role]


def sparsify_members(config: TrainingConfig, members: Sequence[MemberSpec]) -> Sparsify:
    """What makes the sparsifiers of members of one regulariser."""
    return lambda role: _make(config, members, role)


def _make(config: TrainingConfig, members: Sequence[MemberSpec], role: Role) -> Sparsifier:
    sparsity, regularizer = config.sparsity, members[0].regularizer
    if sparsity.apply_to not in ("both", role):
        return NoSparsifier(len(members))
    ratio = sparsity.critic_coefficient_ratio if role == "critic" else 1.0
    request = Request(
        regularizer,
        tuple(member.coefficient * ratio for member in members),
        tuple(member.seed for member in members),
        role,
        _schedule(sparsity, config.algorithm.draws_per_round),
        sparsity,
        config.section(regularizer),
    )
    return load(SPARSIFIERS[regularizer].make)(request)


def _schedule(sparsity: SparsityConfig, each: int) -> Schedule:
    """In updates, `each` of a round."""
    end = None if sparsity.finetune_start is None else sparsity.finetune_start * each
    return Schedule(sparsity.penalty_start * each, sparsity.penalty_ramp * each, end)


def make_nothing(request: Request) -> NoSparsifier:
    """Of dense members."""
    return NoSparsifier(len(request.seeds))


def make_hard_concrete(request: Request) -> HardConcrete:
    """L0 gates."""
    sparsity = request.sparsity
    settings = GateSettings(
        sparsity.temperature,
        sparsity.stretch_low,
        sparsity.stretch_high,
        sparsity.initial_log_alpha,
        sparsity.gate_learning_rate,
        sparsity.evaluation,
        sparsity.gates_wait,
    )
    return HardConcrete(
        request.coefficients, request.seeds, settings, request.stream, GATE_SEED, request.schedule
    )


def make_shrinkage(request: Request) -> Shrinkage:
    """The penalties L1 and L2."""
    return Shrinkage(request.coefficients, request.regularizer, request.sparsity.threshold, request.schedule)
