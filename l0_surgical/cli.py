"""The command `l0-surgical`: parses, calls, prints. Progress and logs go to stderr, results to stdout (one JSON object with --json).

Exit codes: 0 done, 1 failed, 2 bad input (one line that says what is wrong and how to mend it), 130 interrupted after saving.
"""

import contextlib
import io
import itertools
import json
import re
import sys
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any

from l0_surgical import __version__
from l0_surgical.errors import BadInputError, L0SurgicalError

DEFAULT_OUT = Path("runs")


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command; returns its exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if arguments in (["--version"], ["-V"]):
        _print(f"l0-surgical {__version__}")
        return 0
    if not arguments or arguments[0] in ("-h", "--help"):
        _print(_usage())
        return 0 if arguments else 2
    command, *rest = arguments
    try:
        return _run(command, rest)
    except L0SurgicalError as error:
        _complain(str(error))
        return error.exit_code
    except KeyboardInterrupt:
        _complain("interrupted")
        return 130
    except BrokenPipeError:
        return 1


def _run(command: str, arguments: list[str]) -> int:
    if command not in COMMANDS:
        raise BadInputError(f"unknown command {command!r}; choose one of {', '.join(COMMANDS)}")
    missing = [name for name in ("torch", "tyro", "gymnasium", "pybullet") if find_spec(name) is None]
    if missing:
        raise BadInputError(f"{command} needs {', '.join(missing)}; install the training side: pip install '.[train]' in a clone")
    import tyro

    function, _ = COMMANDS[command]
    output = io.StringIO()
    try:
        with contextlib.redirect_stderr(output):
            call = tyro.cli(_with_preset(function, arguments), prog=f"l0-surgical {command}", args=arguments)
    except SystemExit as stop:
        if not stop.code:
            return 0
        raise BadInputError(_one_line(output.getvalue())) from None
    call()
    return 0


def _one_line(box: str) -> str:
    """The words of a boxed usage error."""
    words = re.sub("[\u2500-\u257f]", " ", box).split()
    return " ".join(words).removeprefix("Parsing error ").removeprefix("Required options ")


def _with_preset(function: Callable[..., Callable[[], None]], arguments: list[str]) -> Callable[..., Callable[[], None]]:
    """`train` takes its defaults from the preset that the arguments name."""
    if function is not _train:
        return function
    import tyro

    from l0_surgical.config import TrainingConfig, preset

    name = next((b for a, b in itertools.pairwise(arguments) if a == "--preset"), None)
    name = name or next((a.partition("=")[2] for a in arguments if a.startswith("--preset=")), "best")
    default = preset(name)

    def train(
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
            resume: Folder of an interrupted run to go on with; all its settings are kept.
            budget: Minutes after which to stop cleanly, to be resumed.
            json: Print one JSON object on stdout.
        """
        return lambda: _train(config, out, resume, budget, json)

    return train


def _train(config: Any, out: Path | None, resume: Path | None, budget: float | None, as_json: bool) -> None:
    from l0_surgical import training
    from l0_surgical.terminal import ProgressBar, members_table

    with ProgressBar() as bar:
        if resume is not None:
            summary = training.resume(resume, budget_minutes=budget, progress=bar)
        else:
            out = out or _free_folder(f"{config.task.replace(':', '-').replace('/', '-')}-{config.preset}")
            summary = training.train(config, out, budget_minutes=budget, progress=bar)
    _result(summary, as_json, members_table)


def _evaluate(
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
        from l0_surgical.evaluation import evaluate
        from l0_surgical.policy_file import find_policy, load_policy
        from l0_surgical.terminal import ProgressBar, evaluation_table

        loaded = load_policy(find_policy(policy))
        with ProgressBar() as bar:
            result = evaluate(loaded, task=task, episodes=episodes, seed=seed, jobs=jobs, progress=lambda n: bar("evaluating", n, episodes))
        _result(result.as_dict(), json, evaluation_table)

    return run


def _compress(
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
    json: bool = False,
) -> Callable[[], None]:
    """Makes a policy smaller: one rank for all layers (--rank, --ranks) or the smallest that keeps a fraction of the return (--keep).

    Args:
        policy: A policy file, or the name of a shipped policy.
        out: Where to save the result.
        rank: Fold every layer to this rank, as in the paper.
        ranks: Sweep ranks A:B or A:B:STEP (B included); the lowest whose return keeps --keep is saved.
        keep: Fraction of the return over random actions to keep (default 0.99).
        confidence: One-sided confidence of that over paired validation episodes.
        episodes: Validation episodes per candidate.
        seed: Which validation episodes.
        jobs: Processes.
        json: Print one JSON object on stdout.
    """

    def run() -> None:
        from l0_surgical.compress_file import Request, compress_to
        from l0_surgical.terminal import ProgressBar, compression_table

        request = Request(rank, ranks, keep, confidence, episodes, seed, jobs)
        with ProgressBar() as bar:
            report = compress_to(policy, out, request, progress=bar)
        _result(report, json, compression_table)

    return run


def _inspect(policy: str, /, *, json: bool = False) -> Callable[[], None]:
    """Shows what is in a policy file.

    Args:
        policy: A policy file, or the name of a shipped policy.
        json: Print one JSON object on stdout.
    """

    def run() -> None:
        from l0_surgical.inspection import describe
        from l0_surgical.policy_file import find_policy, load_policy
        from l0_surgical.terminal import inspection_table

        _result(describe(load_policy(find_policy(policy))), json, inspection_table)

    return run


def _demo(*, out: Path = DEFAULT_OUT / "demo", quick: bool = False, json: bool = False) -> Callable[[], None]:
    """The whole path on one machine in minutes: train dense and L0, compress, evaluate, tables and pictures.

    Args:
        out: Folder for everything; an interrupted demo goes on where it stopped.
        quick: A few episodes only: shows that everything runs, not that anything is learned.
        json: Print one JSON object on stdout.
    """

    def run() -> None:
        from l0_surgical.experiments.demo import run_demo
        from l0_surgical.terminal import ProgressBar, demo_table

        with ProgressBar() as bar:
            report = run_demo(out, quick=quick, progress=bar)
        _result(report, json, demo_table)

    return run


COMMANDS: dict[str, tuple[Callable[..., Any], str]] = {
    "train": (_train, "train a grid of policies: regularizers x coefficients x seeds"),
    "evaluate": (_evaluate, "success and return of a policy over unseen episodes"),
    "compress": (_compress, "fold to low rank, remove dead units, pack, with evidence"),
    "inspect": (_inspect, "what is in a policy file"),
    "demo": (_demo, "train, compress, evaluate and draw, in minutes"),
}


def _usage() -> str:
    lines = [f"  {name:10}{text}" for name, (_, text) in COMMANDS.items()]
    return "\n".join(["usage: l0-surgical COMMAND [options]     (l0-surgical COMMAND --help)", "", *lines])


def _free_folder(name: str) -> Path:
    number = 1
    while (DEFAULT_OUT / f"{name}-{number}").exists():
        number += 1
    return DEFAULT_OUT / f"{name}-{number}"


def _result(data: dict[str, Any], as_json: bool, table: Callable[[dict[str, Any]], Any]) -> None:
    if as_json:
        _print(json.dumps(data))
    else:
        from l0_surgical.terminal import show

        show(table(data))


def _print(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def _complain(text: str) -> None:
    sys.stderr.write(f"l0-surgical: {' '.join(text.split())}\n")
