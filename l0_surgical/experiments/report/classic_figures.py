"""The paper's figures of the classic environments: reward curves (1 to 6, 19 to 24), heatmaps (25 to 30),
size by rank (32)."""

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np

from l0_surgical.experiments.report.analysis import MEASURES, RULES, CellAnalysis
from l0_surgical.experiments.report.classic import name_of
from l0_surgical.experiments.report.classic_tables import paper_size_decrease
from l0_surgical.experiments.report.content import Figure
from l0_surgical.experiments.report.drawing import (
    SIZE,
    band,
    colour,
    draw,
    heatmap,
    legend,
    reference,
    step_colour,
)
from l0_surgical.experiments.report.printed import printed
from l0_surgical.experiments.suite_format import ENVIRONMENTS, RANKS

_BAND = (
    "Line: interquartile mean over seeds; band: its 95 % interval. A seed that stopped at the target "
    "keeps its last value."
)


def best_curves(analyses: Sequence[CellAnalysis]) -> list[Figure]:
    """Figs. 1 to 6: the dense and the best sparse policies of each cell."""
    return [_best_curve(f"{place:02d}", a) for place, a in enumerate(analyses, start=1)]


def all_curves(analyses: Sequence[CellAnalysis]) -> list[Figure]:
    """Figs. 19 to 24: every L0 coefficient of each cell."""
    return [_all_curve(f"{place:02d}", a) for place, a in enumerate(analyses, start=19)]


def correlations(analyses: Sequence[CellAnalysis]) -> list[Figure]:
    """Figs. 25 to 30: how the measures of the L0 policies go together in each cell."""
    return [_correlation(f"{place:02d}", a) for place, a in enumerate(analyses, start=25)]


def size_by_rank() -> Figure:
    """Fig. 32: size decrease by rank, computed and printed."""

    def paint(canvas: plt.Figure) -> None:
        axes = canvas.subplots()
        for (name, words), shade, marker in zip(
            ENVIRONMENTS.items(), ("blue", "orange", "green"), "os^", strict=True
        ):
            ours = [paper_size_decrease(name, rank) for rank in RANKS]
            axes.plot(RANKS, ours, color=colour(shade), label=f"{words}, computed", lw=1.4)
            theirs = printed()["size_decrease_by_rank"][name]
            axes.plot(
                RANKS,
                theirs,
                marker,
                color=colour(shade),
                label=f"{words}, printed",
                ms=4.5,
                mfc="none",
                mew=0.9,
            )
        axes.set(xlabel="rank of every layer", ylabel="size decrease, %")
        legend(axes, ncols=1)

    alt = (
        f"Size decrease falls from about 78 % at rank {RANKS[0]} to about 1 % at rank {RANKS[-1]}; "
        "printed points on computed lines."
    )
    caption = (
        "The paper's accounting, in which the square Σ is stored. Lines are computed from the networks, "
        "points are printed."
    )
    return draw("figure-32", "Fig. 32: size decrease by rank", caption, alt, paint)


def _best_curve(number: str, a: CellAnalysis) -> Figure:
    picks = {rule: a.pick(rule) for rule in ("paper", "ours")}
    lines = [("dense", ("none", 0.0), "dense", "-")]
    if picks["paper"] is not None:
        both = ", both rules" if picks["ours"] == picks["paper"] else f", {RULES['paper']}"
        lines.append((f"L0, λ = {picks['paper']:g}{both}", ("l0", picks["paper"]), "blue", "-"))
    if picks["ours"] not in (None, picks["paper"]):
        lines.append((f"L0, λ = {picks['ours']:g}, {RULES['ours']}", ("l0", picks["ours"]), "orange", "--"))

    def paint(canvas: plt.Figure) -> None:
        axes = _curve_axes(canvas, a)
        for label, key, shade, style in lines:
            steps, found = a.curves.get(key, ([], []))
            band(axes, steps, found, colour(shade), label, ls=style)
        legend(axes)

    title = f"Fig. {int(number)}: {name_of(a.cell)}, dense and best sparse"
    alt = (
        f"Validation reward over environment steps in {name_of(a.cell)} for "
        f"{', '.join(label for label, *_ in lines)}; target {a.target:g}."
    )
    return draw(f"figure-{number}", title, _BAND, alt, paint)


def _all_curve(number: str, a: CellAnalysis) -> Figure:
    coefficients = a.results.coefficients(a.cell)

    def paint(canvas: plt.Figure) -> None:
        axes = _curve_axes(canvas, a)
        for place, coefficient in enumerate(coefficients):
            steps, found = a.curves.get(("l0", coefficient), ([], []))
            band(axes, steps, found, step_colour(place, len(coefficients)), f"λ = {coefficient:g}", lw=1.2)
        steps, found = a.curves.get(("none", 0.0), ([], []))
        band(axes, steps, found, colour("dense"), "dense", ls="--")
        legend(
            axes,
            loc="upper center",
            bbox_to_anchor=(0.46, -0.2),
            ncols=4,
            columnspacing=1.2,
            handlelength=1.4,
        )

    title = f"Fig. {int(number)}: {name_of(a.cell)}, every coefficient"
    words = ", ".join(f"{coefficient:g}" for coefficient in coefficients) or "no coefficient"
    alt = (
        f"Validation reward over environment steps in {name_of(a.cell)} for dense policies and L0 with "
        f"λ {words}."
    )
    return draw(f"figure-{number}", title, _BAND, alt, paint)


def _correlation(number: str, a: CellAnalysis) -> Figure:
    def paint(canvas: plt.Figure) -> None:
        heatmap(canvas.subplots(), a.correlations, MEASURES, MEASURES, (-1, 1), "RdBu_r", 2)

    title = f"Fig. {int(number)}: {name_of(a.cell)}, correlations"
    row = a.correlations[0]
    pairs = [
        f"{name} {value:.2f}"
        for name, value in zip(MEASURES[1:], row[1:], strict=True)
        if not np.isnan(value)
    ]
    alt = (
        f"Correlation matrix of the L0 policies in {name_of(a.cell)}; λ with "
        f"{', '.join(pairs) or 'nothing that varies'}."
    )
    caption = (
        "Spearman's rank correlation over all L0 policies (coefficients and seeds); “–” where a measure "
        "does not vary."
    )
    return draw(f"figure-{number}", title, caption, alt, paint, size=(SIZE[0], 3.6))


def _curve_axes(canvas: plt.Figure, a: CellAnalysis) -> plt.Axes:
    axes = canvas.subplots()
    reference(axes, a.target, "target")
    axes.set(xlabel="environment steps", ylabel="reward")
    axes.xaxis.set_major_formatter(lambda value, _: f"{value / 1000:g}k" if value >= 1000 else f"{value:g}")
    return axes
