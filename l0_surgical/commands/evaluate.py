"""The command `evaluate`."""

from collections.abc import Callable
from typing import Any

from l0_surgical.commands.terminal import ProgressBar, Table, bounds, interval, percent, print_result


def command(
    policy: str,
    /,
    *,
    task: str | None = None,
    episodes: int = 100,
    seed: int = 0,
    jobs: int = 1,
    json: bool = False,
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
        from l0_surgical.policy import find_policy, load_policy

        loaded = load_policy(find_policy(policy))
        with ProgressBar() as bar:
            result = evaluation.evaluate(
                loaded,
                task=task,
                episodes=episodes,
                seed=seed,
                jobs=jobs,
                progress=lambda n: bar("evaluating", n, episodes),
            )
        print_result(result.as_dict(), json, evaluation_table)

    return run


def evaluation_table(result: dict[str, Any]) -> Table:
    """The result of `evaluate`."""
    table = Table("task", "episodes", "return", "success", "steps to success")
    success = (
        "-"
        if result["success_rate"] is None
        else f"{percent(result['success_rate'])} {bounds(result['success_ci95'], 100)}"
    )
    steps = "-" if result["steps_to_success_mean"] is None else f"{result['steps_to_success_mean']:.1f}"
    table.add_row(
        result["task"],
        str(result["episodes"]),
        interval(result["return_mean"], result["return_ci95"]),
        success,
        steps,
    )
    return table
