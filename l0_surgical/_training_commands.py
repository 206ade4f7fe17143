"""The commands that train, judge and compress policies: each function's signature is its command line, its docstring the help.

A function returns the call that does the work, so that parsing ends before anything heavy is imported.
"""

import dataclasses
import itertools
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal

from l0_surgical.errors import BadInputError
from l0_surgical.files import check_new, made_folder
from l0_surgical.locks import WorkLock
from l0_surgical.terminal import print_result

DEFAULT_OUT = Path("runs")
_NO_TASK = ""  # tells whether one was given beside --resume
_CHANGES = ("--device", "--threads", "--episodes", "--steps")
_BESIDE_RESUME = (*_CHANGES, "--budget", "--json")


def train(arguments: list[str]) -> Callable[..., Callable[[], None]]:
    """The command `train`, whose defaults are those of the preset that the arguments name."""
    import tyro

    from l0_surgical.config import TrainingConfig
    from l0_surgical.presets import preset
    from l0_surgical.tasks.classic import CLASSIC

    def named(flag: str) -> str | None:
        given = next((b for a, b in itertools.pairwise(arguments) if a == flag), None)
        return given or next((a.partition("=")[2] for a in arguments if a.startswith(f"{flag}=")), None)

    task = next((a for a in arguments if a in CLASSIC), "needle-reach")
    algorithm = named("--algorithm")
    if algorithm not in (None, "ddpg", "dqn", "ppo"):
        raise BadInputError(f"--algorithm {algorithm}: choose ddpg, dqn or ppo")
    default = preset(named("--preset") or "best", task, algorithm)
    if named("--resume"):
        default = dataclasses.replace(default, task=_NO_TASK)

    def command(
        config: Annotated[TrainingConfig, tyro.conf.arg(name="")] = default,
        out: Path | None = None,
        resume: Path | None = None,
        budget: float | None = None,
        json: bool = False,
    ) -> Callable[[], None]:
        """Trains a grid of policies: every regularizer x coefficient x seed in one process.

        Args:
            config: The settings.
            out: Folder of the run (default: runs/TASK-PRESET-N). An existing run is never overwritten.
            resume: Folder of an interrupted run to go on with. All its settings are kept; only --device, --threads, --budget, --json and a
                longer training (--episodes, --steps) can be given beside it.
            budget: Minutes after which to stop cleanly, to be resumed.
            json: Print one JSON object on stdout.
        """
        if resume is not None:
            changes = {name: getattr(config, name) for name in _changes_beside_resume(arguments, config.task != _NO_TASK)}
            return lambda: _resume(resume, changes, budget, json)
        return lambda: _train(config, out, budget, json)

    return command


def _train(config: Any, out: Path | None, budget: float | None, as_json: bool) -> None:
    from l0_surgical import training
    from l0_surgical.terminal import ProgressBar, members_table

    out = out or _free_folder(f"{config.task.replace(':', '-').replace('/', '-')}-{config.preset}")
    with ProgressBar() as bar:
        summary = training.train(config, out, budget_minutes=budget, progress=bar)
    print_result(summary, as_json, members_table, out / "summary.json")


def _resume(run: Path, changes: dict[str, Any], budget: float | None, as_json: bool) -> None:
    from l0_surgical import training
    from l0_surgical.terminal import ProgressBar, members_table

    with ProgressBar() as bar:
        summary = training.resume(run, changes, budget_minutes=budget, progress=bar)
    print_result(summary, as_json, members_table, run / "summary.json")


def _changes_beside_resume(arguments: list[str], has_task: bool) -> list[str]:
    """The settings that a resumption changes: those that the user gave.

    Raises:
        BadInputError: one of the given options cannot be changed any more.
    """
    given = dict.fromkeys(argument.partition("=")[0].replace("_", "-") for argument in arguments if argument.startswith("--"))
    refused = [option for option in given if option not in ("--resume", "--no-json", *_BESIDE_RESUME)]
    if refused or has_task:
        named, taken = ", ".join(["the task"] * has_task + refused), ", ".join(_BESIDE_RESUME)
        raise BadInputError(f"--resume goes on with the run's own settings; leave out {named}: beside it only {taken} can be given")
    return [option.removeprefix("--") for option in given if option in _CHANGES]


def evaluate(
    policy: str, /, *, task: str | None = None, episodes: int = 100, seed: int = 0, jobs: int = 1, json: bool = False
) -> Callable[[], None]:
    """Evaluates a policy over unseen episodes.

    Args:
        policy: A policy file, or the name of a shipped policy.
        task: Another task than the policy's own, e.g. surrol:NeedleReach.
        episodes: How many.
        seed: Which; equal seeds give every policy the same episodes.
        jobs: Processes.
        json: Print one JSON object on stdout.
    """

    def run() -> None:
        from l0_surgical import evaluation
        from l0_surgical.policy_file import find_policy, load_policy
        from l0_surgical.terminal import ProgressBar, evaluation_table

        loaded = load_policy(find_policy(policy))
        with ProgressBar() as bar:
            result = evaluation.evaluate(
                loaded, task=task, episodes=episodes, seed=seed, jobs=jobs, progress=lambda n: bar("evaluating", n, episodes)
            )
        print_result(result.as_dict(), json, evaluation_table)

    return run


def compress(
    policy: str,
    /,
    *,
    out: Path,
    rank: int | None = None,
    ranks: str | None = None,
    keep: float | None = None,
    confidence: float = 0.95,
    episodes: int = 100,
    seed: int = 0,
    jobs: int = 1,
    overwrite: bool = False,
    json: bool = False,
) -> Callable[[], None]:
    """Makes a policy smaller: one rank for all layers (--rank, --ranks) or the smallest that keeps a fraction of the return (--keep).

    Args:
        policy: A policy file, or the name of a shipped policy.
        out: Where to save the result: a new file.
        rank: Fold every layer to this rank, as in the paper.
        ranks: Sweep ranks A:B or A:B:STEP (B included); the lowest whose return keeps --keep is saved.
        keep: Fraction of the return over random actions to keep (default 0.99).
        confidence: One-sided confidence of that over paired validation episodes.
        episodes: Validation episodes per candidate.
        seed: Which validation episodes.
        jobs: Processes.
        overwrite: Replace the file if it is there.
        json: Print one JSON object on stdout.
    """

    def run() -> None:
        from l0_surgical.compress_file import Request, compress_to
        from l0_surgical.terminal import ProgressBar, compression_table

        request = Request(rank, ranks, keep, confidence, episodes, seed, jobs)
        check_new(out, overwrite=overwrite)
        lock = WorkLock(out.with_name(f".{out.name}.lock"), "compression", out)
        with made_folder(out.parent), lock, ProgressBar() as bar:
            report = compress_to(policy, out, request, progress=bar)
        print_result(report, json, compression_table)

    return run


def suite(arguments: list[str]) -> Callable[..., Callable[[], None]]:
    """The command `suite`."""
    import tyro

    from l0_surgical.experiments.suite import SuiteConfig

    def command(
        name: Annotated[Literal["classic"], tyro.conf.Positional],
        config: Annotated[SuiteConfig, tyro.conf.arg(name="")] = SuiteConfig(),  # noqa: B008
        out: Path | None = None,
        jobs: int = 1,
        engine: Literal["local", "ray"] = "local",
        address: str | None = None,
        json: bool = False,
    ) -> Callable[[], None]:
        """Runs one of the paper's suites: all trainings, then ranks and representations, then tables that `report` reads.

        Args:
            name: classic: CartPole, Acrobot and LunarLander with DQN and PPO.
            config: The grid.
            out: Folder (default: runs/suite-NAME). The same command goes on with what is there; finished cells are kept.
            jobs: Cells at a time, each with one thread.
            engine: Local processes, or a Ray cluster.
            address: Of the Ray cluster to join; without it one is started on this machine.
            json: Print one JSON object on stdout.
        """
        return lambda: _suite(config, out or DEFAULT_OUT / f"suite-{name}", (engine, jobs, address), json, arguments)

    return command


def _suite(config: Any, out: Path, where: tuple[Any, int, str | None], as_json: bool, arguments: list[str]) -> int:
    from l0_surgical.experiments.suite import run_classic
    from l0_surgical.terminal import ProgressBar, suite_table

    engine, jobs, address = where
    command = shlex.join(["l0-surgical", "suite", *arguments])
    with ProgressBar() as bar:
        result = run_classic(config, out, engine=engine, jobs=jobs, address=address, command=command, progress=bar)
    print_result(result, as_json, suite_table, out)
    return 1 if result["failed"] else 0


def report(folders: tuple[Path, ...], /, *, out: Path, json: bool = False) -> Callable[[], None]:
    """Writes tables, figures and one self-contained page on results folders, beside the paper's printed numbers.

    Args:
        folders: Folders that `suite` wrote, and results/surgical; at most one of each suite.
        out: Where to write; the files of a former report there are replaced.
        json: Print one JSON object on stdout.
    """

    def run() -> None:
        from l0_surgical.experiments.report import build_report
        from l0_surgical.terminal import report_table

        print_result(build_report(folders, out), json, report_table, out)

    return run


def demo(*, out: Path = DEFAULT_OUT / "demo", quick: bool = False, json: bool = False) -> Callable[[], None]:
    """The whole path on one machine in minutes: train dense and L0, compress, evaluate, tables and pictures.

    Args:
        out: Folder for everything; an interrupted demo goes on where it stopped.
        quick: A few episodes only: shows that everything runs, not that anything is learned.
        json: Print one JSON object on stdout.
    """

    def run() -> None:
        from l0_surgical.experiments.demo import run_demo
        from l0_surgical.terminal import ProgressBar, demo_table

        with made_folder(out), WorkLock(out / ".lock", "demonstration", out), ProgressBar() as bar:
            report = run_demo(out, quick=quick, progress=bar)
        print_result(report, json, demo_table, out / "report.json")

    return run


def _free_folder(name: str) -> Path:
    number = 1
    while (DEFAULT_OUT / f"{name}-{number}").exists():
        number += 1
    return DEFAULT_OUT / f"{name}-{number}"
