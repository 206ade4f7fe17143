"""Pictures of runs: learning curves, return by rank (Goddla 2024, Figs. 16 to 18), and an animation of the
arm."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import imageio.v3 as imageio
import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import matplotlib.ticker
import numpy as np
import pandas as pd
from PIL import Image, ImageDraw, ImageFont
from scipy.stats import trim_mean

from l0_surgical.evaluation import episode_seeds, policy_act
from l0_surgical.policy import Policy
from l0_surgical.system.files import atomic_write, number_name
from l0_surgical.tasks import flatten_observation, get_task
from l0_surgical.tasks.boundary import CheckedEnvironment, open_environment

EXPERT_RETURN = -18.8
COLOURS = ("#0b6e99", "#d1495b", "#6a994e", "#7b2d8b", "#edae49", "#30638e", "#8d6a9f", "#3d405b", "#9c6644")
STYLE = {
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.alpha": 0.25,
    "font.size": 10,
    "figure.dpi": 130,
}
_SPARSITIES = {"actor_sparsity": "actor sparsity", "critic_sparsity": "critic sparsity"}
Sweep = tuple[str, list[dict[str, Any]]]


def learning_curves(metrics: Path, path: Path, title: str) -> None:
    """Return, success and sparsity over training episodes, from a run's metrics.csv; one colour per
    regularizer and coefficient.

    The line is the interquartile mean over seeds and the band runs from the lowest to the highest seed.
    """
    table = pd.read_csv(metrics)
    table = table[table["validation_return"].notna()]
    order = table.sort_values(["regularizer", "coefficient"])
    cells = dict(list(order.groupby(["regularizer", "coefficient"], sort=False)))
    cells = dict(sorted(cells.items(), key=lambda cell: cell[0][0] != "none"))  # dense first
    panels = {"validation_return": "return", "validation_success": "success", **_SPARSITIES}
    with plt.rc_context(STYLE):
        figure, axes = plt.subplots(1, 4, figsize=(15, 3.4), constrained_layout=True)
        for colour, ((regularizer, coefficient), rows) in zip(
            _colours(len(cells)), cells.items(), strict=True
        ):
            label = "dense" if regularizer == "none" else f"{regularizer.upper()} {number_name(coefficient)}"
            for axis, column in zip(axes, panels, strict=True):
                by_round = rows.groupby("round")[column]
                middle, low, high = by_round.apply(trim_mean, 0.25), by_round.min(), by_round.max()
                axis.plot(middle.index + 1, middle, color=colour, label=label, lw=1.8)
                axis.fill_between(middle.index + 1, low, high, color=colour, alpha=0.15, lw=0)
        axes[0].axhline(EXPERT_RETURN, color="0.4", ls=":", lw=1)
        where = {"transform": axes[0].get_yaxis_transform(), "ha": "right", "va": "bottom"}
        axes[0].text(0.98, EXPERT_RETURN, "expert", **where, fontsize=8, color="0.4")
        for axis, name in zip(axes, panels.values(), strict=True):
            axis.set(xlabel="training episode", ylabel=name)
        for axis in axes[1:]:
            axis.set_ylim(-0.03, 1.03)
        axes[-1].legend(fontsize=8, frameon=False, ncols=2 if len(cells) > 5 else 1)
        figure.suptitle(title)
        _save(figure, path)


def return_by_rank(
    sweeps: Sequence[Sweep], path: Path, title: str, band: tuple[str, str] = ("return_ci95", "95 % interval")
) -> None:
    """Return and success of the policies folded to one rank for all layers, and the size change (Figs. 16 to
    18).

    `band` names the rows' key with the bounds of the return, and says what they are.
    """
    with plt.rc_context(STYLE):
        figure, axes = plt.subplots(1, 3, figsize=(13, 3.6), constrained_layout=True)
        for colour, (name, rows) in zip(_colours(len(sweeps)), sweeps, strict=True):
            table = pd.DataFrame(rows)
            low, high = zip(*table[band[0]], strict=True)
            axes[0].plot(table["rank"], table["return_mean"], "o-", color=colour, label=name, ms=3.5)
            axes[0].fill_between(table["rank"], low, high, color=colour, alpha=0.18, lw=0)
            axes[1].plot(table["rank"], table["success_rate"], "o-", color=colour, label=name, ms=3.5)
        table = pd.DataFrame(sweeps[0][1])
        axes[2].plot(table["rank"], table["size_decrease_percent"], "o-", color="0.25", ms=3.5)
        axes[2].axhline(0, color="0.6", lw=0.8)
        names = (f"return ({band[1]})", "success", "size decrease, % (paper's accounting)")
        for axis, name in zip(axes, names, strict=True):
            axis.set(xlabel="rank of every layer", ylabel=name, xscale="log")
            axis.xaxis.set_major_formatter(matplotlib.ticker.FormatStrFormatter("%g"))
        axes[1].set_ylim(-0.03, 1.03)
        axes[0].legend(frameon=False, fontsize=9)
        figure.suptitle(title)
        _save(figure, path)


def by_coefficient(members: Sequence[dict[str, Any]], path: Path, title: str) -> None:
    """Return, success and sparsity of every seed by coefficient, dense at the left, beside the initial
    sparsity (Figs. 10 to 12)."""
    groups = dict(list(pd.DataFrame(members).groupby("coefficient")))
    labels = ["dense" if c == 0 else number_name(c) for c in groups]
    panels = {"return_mean": "return", "success_rate": "success", "sparsity": "actor sparsity"}
    panels["critic_sparsity"] = "critic sparsity"
    with plt.rc_context(STYLE):
        figure, axes = plt.subplots(1, 4, figsize=(15, 3.4), constrained_layout=True)
        for axis, (key, name) in zip(axes, panels.items(), strict=True):
            for x, (coefficient, rows) in enumerate(groups.items()):
                axis.bar(
                    x, trim_mean(rows[key], 0.25), color=COLOURS[0] if coefficient else "0.6", alpha=0.55
                )
                axis.plot(np.full(len(rows), x), rows[key], "k.", ms=4)
                if "sparsity" in key:
                    initial, label = rows[f"{key}_at_init"].mean(), "at initialisation" if x == 1 else None
                    axis.plot([x - 0.4, x + 0.4], [initial] * 2, color=COLOURS[1], lw=1.8, label=label)
            axis.set_xticks(range(len(labels)), labels, rotation=45)
            axis.set(xlabel="coefficient", ylabel=name)
        axes[2].legend(frameon=False, fontsize=8)
        figure.suptitle(title + " (bar: interquartile mean, dots: seeds)")
        _save(figure, path)


def animate(policies: Sequence[tuple[str, Policy]], path: Path, episodes: int = 3, steps: int = 10) -> None:
    """An animated GIF: each policy's first `steps` steps in the same unseen episodes, at real speed,
    captioned with its name."""
    frames = []
    for name, policy in policies:
        environment = open_environment(
            policy.task, partial(get_task(policy.task).make, render_mode="rgb_array")
        )
        try:
            act, checked = policy_act(policy, environment, policy.task), CheckedEnvironment(environment)
            for number, seed in enumerate(episode_seeds("test", 0, episodes)):
                observation = checked.reset(seed, f"episode {number} (seed {seed})")
                for step in range(steps):
                    frames.append(_captioned(environment.render(), f"{name}   {0.2 * step:.1f} s"))
                    observation, *_ = checked.step(act(flatten_observation(observation)))
        finally:
            environment.close()
    data = imageio.imwrite("<bytes>", np.stack(frames), extension=".gif", duration=200, loop=0)
    with atomic_write(path) as file:
        file.write(data)


def _captioned(frame: np.ndarray, caption: str) -> np.ndarray:
    image = Image.fromarray(frame)
    ImageDraw.Draw(image).text((12, 10), caption, fill=(25, 25, 25), font=ImageFont.load_default(size=18))
    return np.asarray(image)


def _colours(count: int) -> list[str]:
    return [COLOURS[index % len(COLOURS)] for index in range(count)]


def _save(figure: plt.Figure, path: Path) -> None:
    with atomic_write(path) as file:
        figure.savefig(file, format=path.suffix.lstrip("."))
    plt.close(figure)
