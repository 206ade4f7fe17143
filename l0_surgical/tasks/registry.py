"""The registry of tasks.

A task is named `needle-reach`, `surrol:<id>` (any task of an installed SurRoL), `cartpole`, `acrobot`,
`lunar-lander`, or by a registered Gymnasium id with a Box action of one axis or discrete actions; `module:id`
imports the module that registers it first.
"""

import contextlib
import importlib
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal

import gymnasium
import numpy as np
from gymnasium import spaces

from l0_surgical.policy import Field
from l0_surgical.surgical.needle_reach import NEEDLE_REACH
from l0_surgical.system.errors import BadInputError
from l0_surgical.system.registry import Registry
from l0_surgical.tasks.boundary import (
    check_time_limit,
    close_environment,
    in_words,
    made,
    open_environment,
)
from l0_surgical.tasks.classic import CLASSIC, ClassicTask
from l0_surgical.tasks.quiet import silenced

NEEDLE_REACH_ID = "l0_surgical/NeedleReach-v0"
SURROL = "surrol:"
SURROL_TASKS = (
    *("NeedleReach", "NeedlePick", "GauzeRetrieve", "PegTransfer", "NeedleRegrasp", "BiPegTransfer"),
    *("ECMReach", "MisOrient", "StaticTrack", "ActiveTrack"),
)

gymnasium.register(
    id=NEEDLE_REACH_ID,
    entry_point="l0_surgical.tasks.needle_reach.environment:NeedleReachEnv",
    max_episode_steps=NEEDLE_REACH.episode_steps,
)


@dataclass(frozen=True)
class Task:
    """A task and how a policy plugs into it.

    Attributes:
        name: what `get_task` was asked for.
        make: `make(render_mode=None)` opens a new environment, with its time limit.
        expert: the scripted expert's action for an environment and its latest observation; None where there
            is none.
        inputs: the fields of the policy's input, in order: those of the observation, then those of the
            desired goal.
        outputs: the fields of the action, in order, with their limits; of discrete actions one value each,
            and the largest is taken.
        discrete: whether the actions are a choice.
        title: its name in tables and figures; by default `name`.
        scale: an observation divided by it is of order one; None: it is so already.
        target: the return at which it counts as solved; None where none is known.
        random_return: the mean return of uniformly random actions; None where nobody has measured it.
    """

    name: str
    make: Callable[..., gymnasium.Env]
    expert: Callable[[gymnasium.Env, Any], np.ndarray] | None
    inputs: tuple[Field, ...]
    outputs: tuple[Field, ...]
    discrete: bool = False
    title: str = ""
    scale: tuple[float, ...] | None = None
    target: float | None = None
    random_return: float | None = None

    def open(self) -> gymnasium.Env:
        """Opens a new environment.

        Raises:
            BadInputError: it cannot be made, or has no time limit.
        """
        return open_environment(self.name, self.make)


@dataclass(frozen=True)
class TaskEntry:
    """A task with a name.

    Attributes:
        open: makes its record; what that needs is loaded only then.
        experience: how it is learned: `goal` for a goal task, `vector` for environments side by side.
    """

    open: Callable[[], Task]
    experience: Literal["goal", "vector"]


TASKS: Registry[TaskEntry] = Registry("task", "register_task")


def register_task(name: str, open_task: Callable[[], Task], experience: Literal["goal", "vector"]) -> None:
    """Adds a task; see `TaskEntry`.

    Raises:
        BadInputError: the name is taken, or the experience is of no known kind.
    """
    if experience not in ("goal", "vector"):
        raise BadInputError(f"the experience of the task {name!r} is {experience!r}; choose goal or vector")
    TASKS.add(name, TaskEntry(open_task, experience))


def get_task(name: str) -> Task:
    """Returns the task of that name.

    Raises:
        BadInputError: no such task (the message lists the known ones), its module cannot be imported, its
            environment cannot be made or has no time limit, its observations or actions are of no supported
            kind, or SurRoL is not installed.
    """
    if name in TASKS:
        return TASKS[name].open()
    if name.startswith(SURROL):
        return _surrol(name)
    return _task_from_spaces(name, partial(_make, _registered(name)), expert=None)


def gymnasium_ids() -> list[str]:
    """Every id that Gymnasium knows now."""
    return list(gymnasium.registry)


def known_tasks() -> list[str]:
    """Returns the names of the registered tasks and of SurRoL's."""
    return [*TASKS, *(SURROL + task for task in SURROL_TASKS)]


def _needle_reach() -> Task:
    from l0_surgical.tasks.needle_reach.expert import expert_action

    return Task(
        NEEDLE_REACH.name,
        partial(_make, NEEDLE_REACH_ID),
        lambda env, observation: expert_action(observation),
        NEEDLE_REACH.inputs,
        NEEDLE_REACH.outputs,
        title=NEEDLE_REACH.title,
    )


def _classic(name: str, facts: ClassicTask) -> Task:
    return Task(
        name,
        partial(_make, facts.gymnasium_id),
        None,
        tuple(Field(field, 1, unit) for field, unit in facts.fields),
        tuple(Field(action, 1, "1") for action in facts.actions),
        discrete=True,
        title=facts.title,
        scale=facts.scale,
        target=facts.target,
        random_return=facts.random_return,
    )


def _surrol(name: str) -> Task:
    from l0_surgical.tasks.surrol.environment import make_surrol, surrol_expert

    task = _task_from_spaces(name, partial(make_surrol, name.removeprefix(SURROL)), surrol_expert)
    if name.startswith(SURROL + NEEDLE_REACH.title):
        return replace(task, inputs=NEEDLE_REACH.inputs, outputs=NEEDLE_REACH.outputs)
    return task


def _make(
    specification: str | gymnasium.envs.registration.EnvSpec, render_mode: str | None = None
) -> gymnasium.Env:
    # an environment that draws nothing need not know of a render mode
    rendering = {} if render_mode is None else {"render_mode": render_mode}
    return gymnasium.make(specification, disable_env_checker=True, **rendering)


def _registered(name: str) -> gymnasium.envs.registration.EnvSpec:
    """The specification, and not the id alone: an evaluation process is sent it, and knows no id that a
    script has registered."""
    module, colon, gymnasium_id = name.rpartition(":")
    if colon:
        _import(module, name)
    elif gymnasium_id not in gymnasium.registry:
        _register_robotics()
    if gymnasium_id in gymnasium.registry:
        return gymnasium.registry[gymnasium_id]
    if colon:
        raise BadInputError(
            f"the module {module} registers no environment {gymnasium_id!r}{_near(gymnasium_id)}; give "
            "module:id"
        )
    raise BadInputError(
        f"unknown task {name!r}; known are {', '.join(known_tasks())}, any registered Gymnasium id, and "
        f"module:id for what a module of yours registers{_near(name)}"
    )


def _import(module: str, name: str) -> None:
    try:
        with contextlib.redirect_stdout(sys.stderr):  # stdout is the command's result
            importlib.import_module(module)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # a script may even exit
        raise BadInputError(
            f"the task {name!r} names the module {module!r}, which cannot be imported: {in_words(error)}; "
            "install it, or put its folder into PYTHONPATH"
        ) from error


def _near(gymnasium_id: str) -> str:
    """What is near an id that is not registered, mostly in Gymnasium's own words."""
    versions = [known for known in gymnasium.registry if known.rpartition("-v")[0] == gymnasium_id]
    if versions:
        return f" (did you mean {versions[-1]}?)"
    try:
        gymnasium.spec(gymnasium_id)
    except gymnasium.error.Error as error:
        return f" ({' '.join(str(error).split())})"
    return ""


def _task_from_spaces(name: str, make: Callable[..., gymnasium.Env], expert: Callable | None) -> Task:
    env = made(name, make)
    observations, actions = env.observation_space, env.action_space
    close_environment(env)
    discrete = isinstance(actions, spaces.Discrete)
    if not discrete and not _is_vector(actions):
        raise BadInputError(
            f"the task {name!r} has the action space {actions}; only Box actions of one axis and Discrete "
            "are supported"
        )
    keys = ("observation", "desired_goal") if isinstance(observations, spaces.Dict) else ()
    if not all(key in observations.spaces for key in keys):
        raise BadInputError(
            f"the task {name!r} observes {list(observations.spaces)}; a dictionary needs observation and "
            "desired_goal"
        )
    parts = {key: observations[key] for key in keys} or {"observation": observations}
    if not all(_is_vector(part) for part in parts.values()):
        raise BadInputError(
            f"the task {name!r} has the observation space {observations}; only vectors are supported: "
            "register it with gymnasium.wrappers.FlattenObservation around it"
        )
    check_time_limit(name, env)
    inputs = tuple(Field(key, part.shape[0], "1") for key, part in parts.items())
    if discrete:
        return Task(name, make, expert, inputs, (Field("value", int(actions.n), "1"),), discrete=True)
    return Task(name, make, expert, inputs, _action_fields(name, actions))


def _action_fields(name: str, actions: spaces.Box) -> tuple[Field, ...]:
    """One field where the limits of all axes agree, else one for each axis."""
    if actions.dtype not in (np.float32, np.float64):
        raise BadInputError(
            f"the actions of {name} are {actions.dtype}; policies give float32, so make them float32 or "
            "float64"
        )
    limits = [(float(low), float(high)) for low, high in zip(actions.low, actions.high, strict=True)]
    if wrong := [
        axis
        for axis, (low, high) in enumerate(limits)
        if not (np.isfinite(low) and np.isfinite(high) and low < high)
    ]:
        low, high = limits[wrong[0]]
        raise BadInputError(
            f"the actions of {name} need finite limits with low < high; axis {wrong[0]} has [{low:g}, "
            f"{high:g}]"
        )
    if len(set(limits)) == 1:
        return (Field("action", len(limits), "1", *limits[0]),)
    return tuple(Field(f"action_{axis}", 1, "1", low, high) for axis, (low, high) in enumerate(limits))


def _is_vector(space: spaces.Space) -> bool:
    return isinstance(space, spaces.Box) and len(space.shape) == 1 and space.shape[0] > 0


def _register_robotics() -> None:
    try:
        with silenced():
            import gymnasium_robotics
    except ImportError:
        return
    gymnasium.register_envs(gymnasium_robotics)


register_task(NEEDLE_REACH.name, _needle_reach, "goal")
for _name, _facts in CLASSIC.items():
    register_task(_name, partial(_classic, _name, _facts), "vector")
