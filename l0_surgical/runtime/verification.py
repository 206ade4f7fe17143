"""How far an export is from the policy, measured when it is made."""

from collections.abc import Callable

import numpy as np

from l0_surgical.policy import Policy
from l0_surgical.runtime.reference import ReferenceEngine

SAMPLES = 1_000


def sample_observations(policy: Policy) -> np.ndarray:
    """Observations (1 000, obs_dim), float32: around the normaliser's mean, most within three of its scales,
    some far beyond its clip."""
    generator = np.random.default_rng(0)
    reach = generator.choice((0.3, 1.0, 3.0, 30.0), size=(SAMPLES, 1))
    normal = generator.normal(size=(SAMPLES, policy.observation_size))
    return (policy.normalizer.mean + reach * policy.normalizer.scale * normal).astype(np.float32)


def worst_difference(policy: Policy, act: Callable[[np.ndarray], np.ndarray]) -> float:
    """The largest difference of `act`, for a batch (n, obs_dim) float32, from the reference engine's actions
    (n, actions)."""
    observations = sample_observations(policy)
    return float(np.abs(act(observations) - ReferenceEngine(policy).act(observations)).max())
