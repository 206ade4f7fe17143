"""The engine of the robot's computer: a policy laid out for the compiled kernels, each layer in one of
several forms."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from l0_surgical.policy import Layer, Policy
from l0_surgical.policy.simplify import remove_dead_units
from l0_surgical.runtime import kernels
from l0_surgical.runtime.choice import choose, costs
from l0_surgical.runtime.layout import lay_out
from l0_surgical.runtime.reference import ReferenceEngine
from l0_surgical.system.errors import BadInputError

_STORED_AS = {"Dense": "dense", "LowRank": "low rank", "PackedSparse": "packed sparse"}


class Engine:
    """Computes a policy's actions without making an object or an array; made by `compile`. Used from one
    thread at a time.

    Attributes:
        policy: what it computes.
        forms: in which each layer runs: dense, sparse or low rank.
    """

    def __init__(self, policy: Policy, live: Policy, forms: Sequence[str]) -> None:
        """`live` is the policy without its dead units; `forms` are those of its layers."""
        self.policy = policy
        self._live = live
        self.forms = tuple(forms)
        self._memory = lay_out(live, self.forms)
        places = self._memory.view(np.uint32)
        begin = places[kernels.OBSERVATION]
        self._observation = self._memory[begin : begin + policy.observation_size]
        begin = places[kernels.ACTION]
        self._action = self._memory[begin : begin + policy.action_size]
        self._shape = self._observation.shape

    def __reduce__(self) -> tuple[Any, ...]:
        # a copy, also one in another process, is laid out anew: its arrays would no longer be views of one
        # memory, and act on nothing
        return compile, (self.policy,)

    def act(self, observation: np.ndarray) -> np.ndarray:
        """The action (actions,), float32, in the fields' units, for an observation (obs_dim,).

        The array that is returned belongs to the engine and holds the next action after the next call: copy
        what is to be kept.

        Raises:
            BadInputError: another shape, numbers that are not finite (also once they are float32), or so
            large that the network overflows.
        """
        if getattr(observation, "shape", None) != self._shape:
            observation = self._checked(observation)
        self._observation[:] = observation
        if kernels.act(self._memory) != kernels.OK:
            self._refuse(observation)
        return self._action

    def explain(self, *, measure: bool = False) -> str:
        """One line per layer: its shape, how much of it is alive, the form it runs in, and what the rule
        expects of each form.

        Args:
            measure: adds what each form takes on this machine at this moment, to judge the rule by. It
                changes nothing.
        """
        return "\n".join(
            f"layer {number}: {_described(layer, live)}, runs {form} "
            f"({_reason(live)}{_measured(live) if measure else ''})"
            for number, (layer, live, form) in enumerate(
                zip(self.policy.layers, self._live.layers, self.forms, strict=True)
            )
        )

    def _checked(self, observation: np.ndarray) -> np.ndarray:
        values = np.asarray(observation, dtype=np.float64)
        if values.shape != self._shape:
            names = ", ".join(f"{part.name} {part.size}" for part in self.policy.inputs)
            raise BadInputError(
                f"an observation of shape {values.shape} does not fit: this policy needs {self._shape[0]} "
                f"numbers ({names})"
            )
        return values

    def _refuse(self, observation: np.ndarray) -> None:
        """The reference finds out what is wrong, and says it."""
        ReferenceEngine(self.policy).act(observation)
        raise BadInputError(
            f"the network overflows on the observation {np.asarray(observation).tolist()}; check its units"
        )


def compile(policy: Policy) -> Engine:
    """Lays a policy out for the kernels: without dead units, each layer in the form that the rule of `choice`
    expects to be fastest.

    Nothing is measured: the same policy gives the same bits in every process on machines of one type.
    """
    live = remove_dead_units(policy)
    return Engine(policy, live, choose(live))


def _described(layer: Layer, live: Layer) -> str:
    (rows, columns), (live_rows, live_columns) = layer.weight.shape, live.weight.shape
    reduced = "" if live.weight.shape == layer.weight.shape else f", {live_rows} x {live_columns} alive"
    nonzero = np.count_nonzero(live.weight.to_dense()) / (live_rows * live_columns)
    return (
        f"{rows} x {columns}{reduced}, {100 * nonzero:.0f} % of that not zero, stored as "
        f"{_STORED_AS[type(layer.weight).__name__]}"
    )


def _reason(layer: Layer) -> str:
    expected = costs(layer)
    least = min(expected.values())
    return "expected times: " + ", ".join(f"{form} {cost / least:.2f}" for form, cost in expected.items())


def _measured(layer: Layer) -> str:
    from l0_surgical.runtime.measuring import seconds_of_forms

    return "; measured: " + ", ".join(
        f"{form} {1e9 * seconds:.0f} ns" for form, seconds in seconds_of_forms(layer).items()
    )
