"""The boundary to an environment: what it returns is checked here, once, and whatever it raises becomes one
line.

Everything in the library that steps an environment does so through a `CheckedEnvironment`:
`evaluation.rollouts` one, `open_vector` many side by side. A user's environment, Gymnasium's wrappers around
it and what they load may raise anything; only KeyboardInterrupt and SystemExit pass as they are.
"""

import contextlib
from collections.abc import Callable
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces

from l0_surgical.system.errors import BadInputError, L0SurgicalError

Stop = Callable[[], bool]
"""Says whether the caller wants to stop; asked before every step of an environment."""

_GOAL_KEYS = ("observation", "achieved_goal", "desired_goal")
_NUMBERS = "fiub"  # NumPy's kinds: float, signed, unsigned, bool
_LARGEST = np.float64(
    np.finfo(np.float32).max
)  # networks and replay buffers hold single precision; NumPy's, or half precision overflows
_WORDS = 400  # of a foreign error: a physics engine may quote its whole model


def never() -> bool:
    """The `stop` of a caller that is ended by its signals alone."""
    return False


def in_words(error: BaseException) -> str:
    """Kind and message of an error in one line, the message alone of one of ours."""
    message, kind = " ".join(str(error).split())[:_WORDS], type(error).__name__
    return message if isinstance(error, L0SurgicalError) else f"{kind}: {message}" if message else kind


def made(name: str, make: Callable[[], gymnasium.Env]) -> gymnasium.Env:
    """What `make` makes for the task `name`.

    Raises:
        BadInputError: it raised something (the message has its words, which often name a package to install),
        or has no spaces.
    """
    try:
        environment = make()
        for kind in ("observation_space", "action_space"):
            if not isinstance(getattr(environment, kind), spaces.Space):
                raise TypeError(
                    f"its {kind} is {_brief(getattr(environment, kind))}, which is no space of Gymnasium's"
                )
        return environment
    except (KeyboardInterrupt, SystemExit, L0SurgicalError):
        raise
    except BaseException as error:
        raise BadInputError(f"the task {name!r} cannot be made: {in_words(error)}") from error


def check_time_limit(name: str, environment: gymnasium.Env) -> None:
    """Raises `BadInputError` where an episode of the task `name` may never end."""
    if environment.spec is None or environment.spec.max_episode_steps is None:
        raise BadInputError(
            f"the task {name!r} has no time limit, so an episode may never end; register it with "
            "max_episode_steps, for example gymnasium.register(..., max_episode_steps=200)"
        )


def open_environment(name: str, make: Callable[[], gymnasium.Env]) -> gymnasium.Env:
    """Opens an environment of the task `name`.

    Raises:
        BadInputError: it cannot be made, or has no time limit.
    """
    environment = made(name, make)
    try:
        check_time_limit(name, environment)
    except BadInputError:
        close_environment(environment)
        raise
    return environment


def close_environment(environment: "gymnasium.Env | CheckedEnvironment") -> None:
    """Closes it; what is broken may fail at that, too, which must not hide why it is closed."""
    with contextlib.suppress(Exception):
        environment.close()


def flatten_observation(observation: dict[str, np.ndarray] | np.ndarray) -> np.ndarray:
    """Returns the policy's input (..., inputs), float64: observation and desired_goal of a goal environment,
    joined, or the array itself.

    It is a copy: an environment may write its next observation over its last.
    """
    if not isinstance(observation, dict):
        return np.array(observation, dtype=np.float64)
    return np.concatenate(
        (observation["observation"], observation["desired_goal"]), axis=-1, dtype=np.float64
    )


def expert_action(
    expert: Callable[[gymnasium.Env, Any], np.ndarray], environment: gymnasium.Env, observation: Any
) -> np.ndarray:
    """What a task's scripted expert does.

    Raises:
        L0SurgicalError: it raised something, or its action is not finite numbers of the space's shape.
    """
    try:
        action = expert(environment, observation)
        good = np.shape(action) == environment.action_space.shape and np.isfinite(action).all()
    except Exception as error:
        raise L0SurgicalError(f"the expert of {_name_of(environment)} failed: {in_words(error)}") from error
    if not good:
        shape = environment.action_space.shape
        raise L0SurgicalError(
            f"the expert of {_name_of(environment)} gave {_brief(action)}; it must give finite numbers, "
            f"shape {shape}"
        )
    return action


class CheckedEnvironment:
    """Steps one environment; every message names the task, the step and what `reset` was told of the episode.

    Attributes:
        observation_space, action_space: the environment's.
        steps: of the present episode.
    """

    def __init__(self, environment: gymnasium.Env, name: str | None = None) -> None:
        """Takes an open environment; `name` is the task's, by default the environment's id or class."""
        self._environment, self._name = environment, name or _name_of(environment)
        self.observation_space, self.action_space = environment.observation_space, environment.action_space
        space = self.observation_space
        self._keyed = isinstance(space, spaces.Dict)
        parts = (
            {key: space[key] for key in _GOAL_KEYS if key in space.spaces}
            if self._keyed
            else {"observation": space}
        )
        self._shapes = {key: part.shape for key, part in parts.items()}
        self._episode, self.steps = "", 0

    def reset(self, seed: int | None, episode: str) -> Any:
        """Starts an episode, called `episode` in messages, and returns its first observation.

        Raises:
            L0SurgicalError: it raised something, or did not return an observation of its space and a
            dictionary.
        """
        self._episode, self.steps = episode, 0
        try:
            returned = self._environment.reset(seed=seed)
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:
            raise L0SurgicalError(f"{self._name} failed in reset, {episode}: {in_words(error)}") from error
        if not isinstance(returned, tuple) or len(returned) != 2 or not isinstance(returned[1], dict):
            raise self._fault(
                f"reset returned {_brief(returned)}", "return (observation, info), info a dictionary"
            )
        self._check_observation(returned[0])
        return returned[0]

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """Takes one action; returns observation, reward, terminated, truncated and info.

        Raises:
            L0SurgicalError: it raised something, or returned what is not of its space, not finite or not of
            Gymnasium's kinds.
        """
        self.steps += 1
        try:
            returned = self._environment.step(action)
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:
            raise L0SurgicalError(
                f"{self._name} failed at step {self.steps}, {self._episode}: {in_words(error)}"
            ) from error
        if not isinstance(returned, tuple) or len(returned) != 5:
            raise self._fault(
                f"step returned {_brief(returned)}",
                "return (observation, reward, terminated, truncated, info)",
            )
        observation, reward, terminated, truncated, info = returned
        self._check_observation(observation)
        number = _number(reward)
        if number is None:
            raise self._fault(
                f"the reward is {_brief(reward)}",
                "return one finite number, of a size that single precision holds",
            )
        for name, over in (("terminated", terminated), ("truncated", truncated)):
            if not isinstance(over, bool | np.bool_):
                raise self._fault(f"{name} is {_brief(over)}", "return True or False")
        if not isinstance(info, dict):
            raise self._fault(f"info is {_brief(info)}", "return a dictionary")
        success = info.get("is_success")
        if success is not None and _number(success, nan=True) is None:
            raise self._fault(
                f"info['is_success'] is {_brief(success)}",
                "return True or False, or leave it out where it is not known",
            )
        return observation, number, bool(terminated), bool(truncated), info

    def close(self) -> None:
        """Closes the environment."""
        self._environment.close()

    def _check_observation(self, observation: Any) -> None:
        if not self._keyed:
            self._check_array("observation", observation)
            return
        if not isinstance(observation, dict):
            raise self._fault(
                f"the observation is {_brief(observation)}",
                f"return a dictionary of {', '.join(self._shapes)}",
            )
        for key in self._shapes:
            if key not in observation:
                raise self._fault(
                    f"the observation has no {key!r}", f"return a dictionary of {', '.join(self._shapes)}"
                )
            self._check_array(key, observation[key])

    def _check_array(self, key: str, values: Any) -> None:
        try:
            array = np.asarray(values)
        except Exception:  # ragged lists, tensors on a device: each library has its own error
            array = None
        shape = self._shapes[key]
        if array is None or array.shape != shape or array.dtype.kind not in _NUMBERS:
            raise self._fault(
                f"the {key} is {_brief(values)}",
                f"its space says {shape}, so return an array of that many numbers",
            )
        good = np.abs(array) <= _LARGEST
        if not good.all():
            what = "too large for single precision" if np.isfinite(array).all() else "NaN or infinite"
            raise L0SurgicalError(
                f"the {key} of {self._episode} is {what} at step {self.steps} in entries "
                f"{np.flatnonzero(~good).tolist()}; {self._name} is at fault: check its physics and units"
            )

    def _fault(self, what: str, remedy: str) -> L0SurgicalError:
        return L0SurgicalError(
            f"{what} at step {self.steps} of {self._episode}; {self._name} is at fault: {remedy}"
        )


def _name_of(environment: gymnasium.Env) -> str:
    return environment.spec.id if environment.spec is not None else type(environment.unwrapped).__name__


def _number(value: Any, nan: bool = False) -> float | None:
    """One number that single precision holds, as a float, NaN only where `nan`; None for anything else."""
    if type(value) is not float:
        try:
            array = np.asarray(value)
        except Exception:
            return None
        if array.ndim or array.dtype.kind not in _NUMBERS:
            return None
        value = float(array)
    return value if abs(value) <= _LARGEST or (nan and value != value) else None


def _brief(value: Any) -> str:
    """What a value is, short enough for a line."""
    if isinstance(value, np.ndarray) and value.size > 6:
        return f"an array of {value.dtype} of the shape {value.shape}"
    if isinstance(value, tuple):
        return f"{len(value)} values ({', '.join(type(one).__name__ for one in value)})"
    try:
        text = " ".join(repr(value).split())
    except Exception:
        text = type(value).__name__
    return text if len(text) <= 60 else f"{text[:60]}... ({type(value).__name__})"
