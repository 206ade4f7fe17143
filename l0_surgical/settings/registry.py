"""The tables of algorithms and of sparsifiers: what has a name on the command line, with its settings.

What learns is named as text, so that nothing here loads a tensor library. A user's module adds rows as the
library does, below.
"""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any, get_args

from l0_surgical.settings.algorithm import AlgorithmConfig, Experience
from l0_surgical.settings.ddpg import DDPGConfig
from l0_surgical.settings.dqn import DQNConfig
from l0_surgical.settings.ppo import PPOConfig
from l0_surgical.system.errors import BadInputError
from l0_surgical.system.registry import Registry

DENSE = "none"
"""The name of the sparsifier that takes nothing away."""


@dataclass(frozen=True)
class SparsifierEntry:
    """A kind of sparsifier.

    Attributes:
        make: `make(request)` gives the `Sparsifier` of one network (`algorithms.sparsifiers.Request`); the
            function, or its `module:name`.
        title: its name in tables and figures.
        settings: a dataclass with the settings that it alone has, its section `--NAME.field`; None for one
            that lives on `--sparsity.*` and its coefficient.
    """

    make: str | Callable[..., Any]
    title: str
    settings: type | None = None


ALGORITHMS: Registry[type[AlgorithmConfig]] = Registry("algorithm", "register_algorithm")
SPARSIFIERS: Registry[SparsifierEntry] = Registry("regularizer", "register_sparsifier")


def register_algorithm(settings: type[AlgorithmConfig]) -> None:
    """Adds an algorithm by its settings, which name it and its learner.

    Raises:
        BadInputError: the name is taken, or the class is no frozen dataclass with name, experience and
        learner.
    """
    what = getattr(settings, "__name__", settings)
    if not (isinstance(settings, type) and issubclass(settings, AlgorithmConfig)):
        raise BadInputError(f"the settings {what} of an algorithm must be a subclass of AlgorithmConfig")
    missing = [name for name in ("name", "experience", "learner") if not hasattr(settings, name)]
    if missing or settings.experience not in get_args(Experience):
        kinds = " or ".join(map(repr, get_args(Experience)))
        raise BadInputError(
            f"the settings {what} need the class variables name, learner and experience ({kinds})"
        )
    _check_section(settings)
    ALGORITHMS.add(settings.name, settings)


def register_sparsifier(
    name: str, make: str | Callable[..., Any], title: str | None = None, settings: type | None = None
) -> None:
    """Adds a kind of sparsifier; see `SparsifierEntry`.

    Raises:
        BadInputError: the name is taken, or the settings are no frozen dataclass with defaults.
    """
    if settings is not None:
        _check_section(settings)
    SPARSIFIERS.add(name, SparsifierEntry(make, title or name, settings))


def load(named: str | Callable[..., Any]) -> Callable[..., Any]:
    """Returns what `module:name` names; anything else as it is.

    Raises:
        BadInputError: there is no such module, or nothing of that name in it.
    """
    if not isinstance(named, str):
        return named
    module, _, name = named.partition(":")
    try:
        return getattr(import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise BadInputError(f"{named!r} cannot be loaded ({error}); give module:name") from error


def _check_section(settings: type) -> None:
    if not (dataclasses.is_dataclass(settings) and settings.__dataclass_params__.frozen):
        raise BadInputError(f"the settings {settings.__name__} must be a dataclass(frozen=True)")
    for field in dataclasses.fields(settings):
        if field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            raise BadInputError(f"the settings {settings.__name__} need a default for {field.name}")


for _settings in (DDPGConfig, DQNConfig, PPOConfig):
    register_algorithm(_settings)
_MAKERS = "l0_surgical.algorithms.sparsifiers"
register_sparsifier(DENSE, f"{_MAKERS}:make_nothing", "dense")
register_sparsifier("l0", f"{_MAKERS}:make_hard_concrete", "L0")
register_sparsifier("l1", f"{_MAKERS}:make_shrinkage", "L1")
register_sparsifier("l2", f"{_MAKERS}:make_shrinkage", "L2")
