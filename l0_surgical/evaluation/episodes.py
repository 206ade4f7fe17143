"""One policy, one environment, one episode after another: the inner loop of `evaluation`, which is where to
import it from."""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import gymnasium
import numpy as np

from l0_surgical.policy import Policy
from l0_surgical.runtime import ReferenceEngine
from l0_surgical.runtime.reference import limits_of
from l0_surgical.system.errors import BadInputError
from l0_surgical.system.stopping import Stopped
from l0_surgical.tasks.boundary import CheckedEnvironment, Stop, flatten_observation, never

Act = Callable[[np.ndarray], Any]


@dataclass(frozen=True)
class Episode:
    """One episode: the sum of its rewards; whether its last step was a success (None: the task reports none);
    steps until the first success (1 for the first step, NaN: never); its observations (steps, obs_dim) if
    they were asked for."""

    total_reward: float
    success: bool | None
    steps_to_success: float
    steps: int
    observations: np.ndarray | None = None


def policy_act(policy: Policy, environment: gymnasium.Env, task: str) -> Act:
    """The policy as a function of the flat observation; for discrete actions it takes the largest output.

    Raises:
        BadInputError: the policy does not fit the task's spaces.
    """
    space = environment.action_space
    observed = flatten_observation(environment.observation_space.sample()).size
    if isinstance(space, gymnasium.spaces.Discrete):
        actions, start = int(space.n), int(space.start)
    elif isinstance(space, gymnasium.spaces.Box) and len(space.shape) == 1:
        actions, start = space.shape[0], None
    else:
        raise BadInputError(
            f"the actions of {task} ({space}) are neither numbers nor a choice; policies cannot give them"
        )
    check_fit(policy, task, observed, actions)
    engine = ReferenceEngine(policy)
    if start is None:
        _check_limits(policy, task, space)
        return engine.act
    return lambda observation: start + int(np.argmax(engine.act(observation)))


def check_fit(policy: Policy, task: str, observed: int, actions: int) -> None:
    """Raises `BadInputError` if the policy does not fit a task that observes `observed` numbers and takes
    (one of) `actions`."""
    if (policy.observation_size, policy.action_size) != (observed, actions):
        raise BadInputError(
            f"the policy for {policy.task} reads {policy.observation_size} numbers and gives "
            f"{policy.action_size}, but {task} "
            f"observes {observed} and takes {actions}; choose a policy that was trained on {task}"
        )


def _check_limits(policy: Policy, task: str, space: gymnasium.spaces.Box) -> None:
    """Raises `BadInputError` if the policy may give actions outside the task's box."""
    low, high, _, _ = limits_of(policy)
    outside = np.flatnonzero((low < space.low) | (high > space.high))
    if outside.size:
        axis = outside[0]
        raise BadInputError(
            f"the policy for {policy.task} gives actions in [{low[axis]:g}, {high[axis]:g}] on axis {axis}, "
            f"but {task} takes "
            f"[{space.low[axis]:g}, {space.high[axis]:g}] there; choose a policy that was trained on "
            f"{task}, or train one anew"
        )


def chance_generator(seed: int) -> np.random.Generator:
    """The generator of an episode's random actions, apart from that of its environment."""
    return np.random.default_rng(np.random.SeedSequence(entropy=seed, spawn_key=(1,)))


def rollouts(
    act: Act,
    environment: gymnasium.Env,
    seeds: Iterable[int],
    progress: Callable[[int], None] | None = None,
    keep_observations: bool = False,
    *,
    first: int = 0,
    stop: Stop = never,
) -> list[Episode]:
    """One episode for each seed; `act` maps a flat observation (obs_dim,) to an action; `progress` is told
    the episodes done so far.

    The episodes are counted from `first` in messages.

    Raises:
        L0SurgicalError: the environment raised something, or what it gave is not of its space or not finite;
            the message names the episode and the step.
        Stopped: `stop` said so, before some step.
    """
    checked, episodes = CheckedEnvironment(environment), []
    for number, seed in enumerate(seeds, start=first):
        episodes.append(
            _episode(act, checked, seed, f"episode {number} (seed {seed})", keep_observations, stop)
        )
        if progress is not None:
            progress(len(episodes))
    return episodes


def _episode(
    act: Act, environment: CheckedEnvironment, seed: int, name: str, keep_observations: bool, stop: Stop
) -> Episode:
    observation, observations = environment.reset(seed, name), []
    total, success, reached, over = 0.0, None, math.nan, False
    while not over:
        if stop():
            raise Stopped
        flat = flatten_observation(observation)
        if keep_observations:
            observations.append(flat)
        observation, reward, terminated, truncated, info = environment.step(act(flat))
        total += reward
        over = terminated or truncated
        if (reported := _reported_success(info)) is not None:
            success = reported
            if success and math.isnan(reached):
                reached = float(environment.steps)
    return Episode(
        total, success, reached, environment.steps, np.array(observations) if keep_observations else None
    )


def _reported_success(info: dict[str, Any]) -> bool | None:
    """What a step says of success; None where it says nothing: no entry, None or NaN."""
    value = info.get("is_success")
    return None if value is None or np.isnan(value) else bool(value)


def with_random_actions(act: Act, environment: gymnasium.Env, share: float, seed: int) -> Act:
    """`act`, but each action is with the probability `share` a uniformly random one (1: always) within the
    box or among the choices."""
    generator = chance_generator(seed)
    space = environment.action_space

    def disturbed(observation: np.ndarray) -> Any:
        if generator.random() >= share:
            return act(observation)
        if isinstance(space, gymnasium.spaces.Discrete):
            return int(space.start + generator.integers(space.n))
        return generator.uniform(space.low, space.high).astype(space.dtype)

    return disturbed
