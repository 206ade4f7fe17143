"""The command `train`: a grid of policies, or an interrupted run that goes on."""

import dataclasses
import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal

from l0_surgical.commands.terminal import Table, interval, percent, print_result
from l0_surgical.system.errors import BadInputError
from l0_surgical.system.files import number_name

DEFAULT_OUT = Path("runs")
_OWN = "own_"
_NO_TASK = ""  # tells whether one was given beside --resume
_CHANGES = ("--device", "--threads", "--episodes", "--steps")
_BESIDE_RESUME = (*_CHANGES, "--budget", "--json")


def command_for(arguments: list[str]) -> Callable[..., Callable[[], None]]:
    """The command `train`, whose flags and defaults are those of the preset that the arguments name."""
    import tyro

    from l0_surgical.settings.presets import preset
    from l0_surgical.settings.registry import ALGORITHMS
    from l0_surgical.tasks import TASKS

    def named(flag: str) -> str | None:
        given = next((b for a, b in itertools.pairwise(arguments) if a == flag), None)
        return given or next((a.partition("=")[2] for a in arguments if a.startswith(f"{flag}=")), None)

    task = next((a for a in arguments if a in TASKS), "needle-reach")
    default = preset(named("--preset") or "best", task, named("--algorithm"))
    for argument in arguments:
        section = argument.removeprefix("--").partition(".")[0]
        if argument.startswith("--") and section in ALGORITHMS and section != default.algorithm.name:
            flag = argument.partition("=")[0]
            remedy = f"pass --algorithm {section}, or leave it out"
            raise BadInputError(
                f"{flag} is a setting of {section}, and this is a run of {default.algorithm.name}; {remedy}"
            )
    if named("--resume"):
        default = dataclasses.replace(default, task=_NO_TASK)
    flags = _flags(default)

    def command(
        config: Annotated[type(flags), tyro.conf.arg(name="")] = flags,
        algorithm: Literal[tuple(ALGORITHMS)] = default.algorithm.name,
        out: Path | None = None,
        resume: Path | None = None,
        budget: float | None = None,
        json: bool = False,
    ) -> Callable[[], None]:
        """Trains a grid of policies: every regularizer x coefficient x seed in one process.

        Args:
            config: The settings.
            algorithm: ddpg for goal tasks with continuous actions; dqn or ppo for a choice of actions (by
                default ddpg, and dqn for the classic tasks). Its own settings are the flags --ALGORITHM.*.
            out: Folder of the run (default: runs/TASK-PRESET-N). An existing run is never overwritten.
            resume: Folder of an interrupted run to go on with. All its settings are kept; only --device,
                --threads, --budget, --json and a longer training (--episodes, --steps) can be given beside
                it.
            budget: Minutes after which to stop cleanly, to be resumed.
            json: Print one JSON object on stdout.
        """
        given = _config(config)
        if resume is not None:
            names = _changes_beside_resume(arguments, given.task != _NO_TASK)
            changes = {name: getattr(given, name) for name in names}
            return lambda: _resume(resume, changes, budget, json)
        return lambda: _train(given, out, budget, json)

    return command


def _flags(default: Any) -> Any:
    """The configuration as the command line has it: the algorithm's section under the algorithm's name, and a
    section for each registered regulariser with settings of its own."""
    import tyro

    from l0_surgical.settings.registry import SPARSIFIERS
    from l0_surgical.settings.training import TrainingConfig

    name = default.algorithm.name
    sections = {key: SPARSIFIERS[key].settings for key in SPARSIFIERS}
    own = [
        (_OWN + key, Annotated[kind, tyro.conf.arg(name=key)], dataclasses.field(default_factory=kind))
        for key, kind in sections.items()
        if kind is not None
    ]
    fields = [
        ("algorithm", Annotated[type(default.algorithm), tyro.conf.arg(name=name)], default.algorithm),
        ("regularizer", tuple[Literal[tuple(SPARSIFIERS)], ...], default.regularizer),
        ("sparsifiers", tyro.conf.Suppress[dict], dataclasses.field(default_factory=dict)),
        *own,
    ]
    kind = dataclasses.make_dataclass("TrainingConfig", fields, bases=(TrainingConfig,), frozen=True)
    return kind(**vars(default))


def _config(flags: Any) -> Any:
    """The inverse of `_flags`."""
    from l0_surgical.settings.training import TrainingConfig

    values = dict(vars(flags))
    own = {name.removeprefix(_OWN): values.pop(name) for name in list(values) if name.startswith(_OWN)}
    used = {name: section for name, section in own.items() if name in flags.regularizer}
    return TrainingConfig(**{**values, "sparsifiers": used})


def _train(config: Any, out: Path | None, budget: float | None, as_json: bool) -> None:
    from l0_surgical import training
    from l0_surgical.commands.terminal import ProgressBar

    out = out or _free_folder(f"{config.task.replace(':', '-').replace('/', '-')}-{config.preset}")
    with ProgressBar() as bar:
        summary = training.train(config, out, budget_minutes=budget, progress=bar)
    print_result(summary, as_json, members_table, out / "summary.json")


def _resume(run: Path, changes: dict[str, Any], budget: float | None, as_json: bool) -> None:
    from l0_surgical import training
    from l0_surgical.commands.terminal import ProgressBar

    with ProgressBar() as bar:
        summary = training.resume(run, changes, budget_minutes=budget, progress=bar)
    print_result(summary, as_json, members_table, run / "summary.json")


def _changes_beside_resume(arguments: list[str], has_task: bool) -> list[str]:
    """The settings that a resumption changes: those that the user gave.

    Raises:
        BadInputError: one of the given options cannot be changed any more.
    """
    given = dict.fromkeys(
        argument.partition("=")[0].replace("_", "-") for argument in arguments if argument.startswith("--")
    )
    refused = [option for option in given if option not in ("--resume", "--no-json", *_BESIDE_RESUME)]
    if refused or has_task:
        named, taken = ", ".join(["the task"] * has_task + refused), ", ".join(_BESIDE_RESUME)
        raise BadInputError(
            f"--resume goes on with the run's own settings; leave out {named}: beside it only {taken} can "
            "be given"
        )
    return [option.removeprefix("--") for option in given if option in _CHANGES]


def _free_folder(name: str) -> Path:
    number = 1
    while (DEFAULT_OUT / f"{name}-{number}").exists():
        number += 1
    return DEFAULT_OUT / f"{name}-{number}"


def members_table(summary: dict[str, Any]) -> Table:
    """The result of `train`."""
    table = Table(
        "seed",
        "regularizer",
        "coefficient",
        "success",
        "return",
        "actor sparsity",
        "at start",
        "critic sparsity",
        title=summary["run"],
    )
    for row in summary["members"]:
        head = (str(row["seed"]), row["regularizer"], number_name(row["coefficient"]))
        if row["policy"] is None:
            table.add_row(*head, f"stopped: {row['failed']}")
            continue
        # DQN and PPO have no sparse critic
        sparsity = (percent(row.get(key)) for key in ("sparsity", "sparsity_at_init", "critic_sparsity"))
        table.add_row(
            *head, percent(row["success_rate"]), interval(row["return_mean"], row["return_ci95"]), *sparsity
        )
    return table
