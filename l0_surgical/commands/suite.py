"""The command `suite`."""

import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal

from l0_surgical.commands.terminal import ProgressBar, Table, print_result
from l0_surgical.system.files import number_name


def command_for(arguments: list[str]) -> Callable[..., Callable[[], None]]:
    """The command `suite`, with the flags of the suite that the arguments name."""
    import tyro

    from l0_surgical.experiments.suite import CONFIGS

    record = CONFIGS[next((name for name in arguments if name in CONFIGS), "classic")]

    def command(
        name: Annotated[Literal["classic", "surgical"], tyro.conf.Positional],
        config: Annotated[record, tyro.conf.arg(name="")] = record(),  # noqa: B008
        out: Path | None = None,
        jobs: int = 1,
        engine: Literal["local", "ray"] = "local",
        address: str | None = None,
        json: bool = False,
    ) -> Callable[[], None]:
        """Runs one of the paper's suites: all trainings, then ranks and representations, then tables that
        `report` reads.

        Args:
            name: classic: CartPole, Acrobot and LunarLander with DQN and PPO; surgical: NeedleReach with
                DDPG. Each has flags of its own (`suite classic --help`, `suite surgical --help`).
            config: The grid.
            out: Folder (default: runs/suite-NAME). The same command goes on with what is there; finished
                cells are kept.
            jobs: Cells at a time, each with one thread.
            engine: Local processes, or a Ray cluster (classic).
            address: Of the Ray cluster to join; without it one is started on this machine.
            json: Print one JSON object on stdout.
        """
        return lambda: _suite(
            config, out or Path("runs") / f"suite-{name}", (engine, jobs, address), json, arguments
        )

    return command


def _suite(
    config: Any, out: Path, where: tuple[Any, int, str | None], as_json: bool, arguments: list[str]
) -> int:
    from l0_surgical.experiments.suite import Where, run_suite

    command = shlex.join(["l0-surgical", "suite", *arguments])
    with ProgressBar() as bar:
        result = run_suite(config, out, Where(*where, progress=bar), command)
    print_result(result, as_json, suite_table, out)
    return 1 if result["failed"] else 0


def suite_table(result: dict[str, Any]) -> Table:
    """The result of `suite`."""
    hours = f"{result['wall_seconds'] / 3600:.2f} h, {result['cpu_seconds'] / 3600:.2f} CPU h"
    table = Table(
        "environment / algorithm",
        "chosen L0 coefficients",
        title=f"{result['policies']} policies in {result['out']}, {hours}",
    )
    for cell, picks in result["chosen"].items():
        table.add_row(cell, ", ".join(number_name(pick) for pick in picks) or "-")
    lines = [f"failed: {name}: {cause}" for name, cause in result["failed"].items()]
    lines += [f"run again: {line}" for line in result["run_again"]]
    table.caption = "\n".join(
        [*lines, f"look at them with: l0-surgical report {result['out']} --out {result['out']}/report"]
    )
    return table
