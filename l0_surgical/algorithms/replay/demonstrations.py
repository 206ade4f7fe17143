"""Expert demonstrations and the expert policy that DEX estimates from them (Huang et al. 2023; Goddla 2024,
eq. 3.12 and 3.13)."""

import zipfile
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from l0_surgical.system.errors import BadInputError
from l0_surgical.system.files import atomic_write


@dataclass(frozen=True)
class Demonstrations:
    """Transitions of the expert: `states` (N, obs + goal), `actions` (N, act), `achieved_goals` (N, goal)
    after each action, and each episode's `returns` and `successes` (E,): 1, 0, or NaN where the task reports
    none."""

    states: np.ndarray
    actions: np.ndarray
    achieved_goals: np.ndarray
    returns: np.ndarray
    successes: np.ndarray

    def save(self, path: str | Path) -> None:
        """Writes an `.npz` archive."""
        with atomic_write(path) as file:
            np.savez_compressed(file, **vars(self))

    @staticmethod
    def load(path: str | Path) -> "Demonstrations":
        """Reads what `save` wrote.

        Raises:
            BadInputError: the file is missing or is not such an archive.
        """
        try:
            with np.load(path, allow_pickle=False) as data:
                return Demonstrations(**{field.name: data[field.name] for field in fields(Demonstrations)})
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
            raise BadInputError(
                f"cannot read the demonstrations {path} ({error}); delete the file to collect them anew"
            ) from error


def expert_actions(
    states: Tensor, demonstration_states: Tensor, demonstration_actions: Tensor, neighbours: int
) -> Tensor:
    """The expert's estimated action at `states`: softmin(distance)-weighted mean over the k nearest
    demonstrations (3.13).

    Args:
        states: `(..., batch, state)`, normalised.
        demonstration_states: `(..., demonstrations, state)`, normalised.
        demonstration_actions: `(..., demonstrations, act)`.
        neighbours: k.

    Returns:
        `(..., batch, act)`.
    """
    nearest = torch.cdist(states, demonstration_states).topk(neighbours, dim=-1, largest=False)
    weights = torch.softmax(-nearest.values, dim=-1).unsqueeze(-1)
    index = (
        nearest.indices.flatten(-2)
        .unsqueeze(-1)
        .expand(*nearest.indices.shape[:-2], -1, demonstration_actions.shape[-1])
    )
    actions = torch.gather(demonstration_actions, -2, index).unflatten(-2, nearest.indices.shape[-2:])
    return (weights * actions).sum(-2)
