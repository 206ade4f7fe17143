"""The figures of the classic suite: the paper's reward curves (1 to 6, 19 to 24), heatmaps (25 to 30) and
size by rank (32), and what the paper lacks."""

from collections.abc import Iterable, Sequence

import matplotlib.pyplot as plt
import numpy as np

from l0_surgical.experiments.report.analysis import MEASURES, ClassicResults, GroupAnalysis
from l0_surgical.experiments.report.classic import grouped, printed
from l0_surgical.experiments.report.content import Figure
from l0_surgical.experiments.report.style import (
    COLOURS,
    SIZE,
    band,
    bars,
    draw,
    heatmap,
    legend,
    look_of,
    reference,
    step_colour,
)
from l0_surgical.experiments.report.tables import paper_size_decrease
from l0_surgical.experiments.results import ENVIRONMENTS, PAPER_ENVIRONMENTS, RANKS
from l0_surgical.experiments.selection import RULES

_BAND = (
    "Line: interquartile mean over seeds; band: its 95 % interval. A seed that stopped at the target "
    "keeps its last value."
)
_METHODS = {"one rank": ("dense", "s"), "automatic ranks": ("blue", "o"), "best": ("orange", "D")}


def best_curves(groups: Sequence[GroupAnalysis]) -> list[Figure]:
    """Figs. 1 to 6: the dense and the best sparse policies of each group."""
    return [_best_curve(number, a) for number, a in enumerate(groups, start=1)]


def all_curves(groups: Sequence[GroupAnalysis]) -> list[Figure]:
    """Figs. 19 to 24: every L0 coefficient of each group."""
    return [_all_curve(number, a) for number, a in enumerate(groups, start=19)]


def correlations(groups: Sequence[GroupAnalysis]) -> list[Figure]:
    """Figs. 25 to 30: how the measures of the L0 policies go together in each group."""
    return [_correlation(number, a) for number, a in enumerate(groups, start=25)]


def size_by_rank() -> Figure:
    """Fig. 32: size decrease by rank, computed and printed."""

    def paint(canvas: plt.Figure) -> None:
        axes = canvas.subplots()
        looks = zip(PAPER_ENVIRONMENTS, ("blue", "orange", "green"), "os^", strict=True)
        for name, shade, marker in looks:
            words = ENVIRONMENTS[name]
            ours, theirs = (
                [paper_size_decrease(name, rank) for rank in RANKS],
                printed()["size_decrease_by_rank"],
            )
            axes.plot(RANKS, ours, color=COLOURS[shade], label=f"{words}, computed", lw=1.4)
            style = {"color": COLOURS[shade], "ms": 4.5, "mfc": "none", "mew": 0.9}
            axes.plot(RANKS, theirs[name], marker, label=f"{words}, printed", **style)
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


def _best_curve(number: int, a: GroupAnalysis) -> Figure:
    paper, ours = a.pick("paper"), a.pick("ours")
    lines = [("dense", ("none", 0.0), "dense", "-")]
    if paper is not None:
        both = ", both rules" if ours == paper else f", {RULES['paper']}"
        lines.append((f"L0, λ = {paper:g}{both}", ("l0", paper), "blue", "-"))
    if ours not in (None, paper):
        lines.append((f"L0, λ = {ours:g}, {RULES['ours']}", ("l0", ours), "orange", "--"))

    def paint(canvas: plt.Figure) -> None:
        axes = _curve_axes(canvas, a)
        for label, key, shade, style in lines:
            band(axes, *a.curves.get(key, ([], [])), COLOURS[shade], label, ls=style)
        legend(axes)

    alt = (
        f"Validation reward over environment steps in {a.name} for {_listed(line[0] for line in lines)}; "
        f"target {a.target:g}."
    )
    return draw(f"figure-{number:02d}", f"Fig. {number}: {a.name}, dense and best sparse", _BAND, alt, paint)


def _all_curve(number: int, a: GroupAnalysis) -> Figure:
    coefficients = a.coefficients()

    def paint(canvas: plt.Figure) -> None:
        axes = _curve_axes(canvas, a)
        for place, coefficient in enumerate(coefficients):
            curve, shade = a.curves.get(("l0", coefficient), ([], [])), step_colour(place, len(coefficients))
            band(axes, *curve, shade, f"λ = {coefficient:g}", lw=1.2)
        band(axes, *a.curves.get(("none", 0.0), ([], [])), COLOURS["dense"], "dense", ls="--")
        below = {"loc": "upper center", "bbox_to_anchor": (0.46, -0.2), "ncols": 4}
        legend(axes, **below, columnspacing=1.2, handlelength=1.4)

    words = _listed(f"{coefficient:g}" for coefficient in coefficients) or "no coefficient"
    alt = f"Validation reward over environment steps in {a.name} for dense policies and L0 with λ {words}."
    return draw(f"figure-{number}", f"Fig. {number}: {a.name}, every coefficient", _BAND, alt, paint)


def _correlation(number: int, a: GroupAnalysis) -> Figure:
    names = list(MEASURES)

    def paint(canvas: plt.Figure) -> None:
        heatmap(canvas.subplots(), a.correlations, names, names, (-1, 1), "RdBu_r", 2)

    pairs = zip(names[1:], a.correlations[0, 1:], strict=True)
    words = _listed(f"{name} {value:.2f}" for name, value in pairs if not np.isnan(value))
    alt = f"Correlation matrix of the L0 policies in {a.name}; λ with {words or 'nothing that varies'}."
    caption = (
        "Spearman's rank correlation over all L0 policies (coefficients and seeds); “–” where a measure "
        "does not vary."
    )
    title = f"Fig. {number}: {a.name}, correlations"
    return draw(f"figure-{number}", title, caption, alt, paint, size=(SIZE[0], 3.6))


def _curve_axes(canvas: plt.Figure, a: GroupAnalysis) -> plt.Axes:
    axes = canvas.subplots()
    reference(axes, a.target, "target")
    axes.set(xlabel="environment steps", ylabel="reward")
    axes.xaxis.set_major_formatter(lambda value, _: f"{value / 1000:g}k" if value >= 1000 else f"{value:g}")
    return axes


def compression(results: ClassicResults) -> Figure | None:
    """Size decrease of each way to compress; None without such rows."""
    groups = grouped(results.compressed, ["method"])
    if not groups:
        return None
    kinds = {}
    for a in results.groups:
        there = {key[3] for key in groups if key[:2] == a.group}
        sparse = next((c for c in (a.pick("ours"), a.pick("paper")) if c in there), None)
        kinds |= {f"{a.name}, dense": (*a.group, "none", 0.0), f"{a.name}, L0": (*a.group, "l0", sparse)}

    def paint(canvas: plt.Figure) -> None:
        axes = canvas.subplots()
        for place, key in enumerate(kinds.values()):
            for method, (shade, marker) in _METHODS.items():
                rows = groups.get((*key, method), results.compressed[:0])
                if found := results.estimate(rows, "size_decrease_percent"):
                    look = {"fmt": marker, "color": COLOURS[shade], "ms": 5, "lw": 1}
                    axes.errorbar([found.value], [place], xerr=bars([found]), **look)
        for method, (shade, marker) in _METHODS.items():
            axes.plot([], [], marker, color=COLOURS[shade], label=method, ms=5)
        axes.set_yticks(range(len(kinds)), list(kinds))
        axes.invert_yaxis()
        axes.set(xlabel="size decrease, % (real accounting)")
        legend(axes, loc="lower center", bbox_to_anchor=(0.4, 1.0), ncols=3)

    caption = (
        "Interquartile means over seeds with 95 % intervals, for the L0 policy of our rule (of the "
        "paper's where there is none)."
    )
    alt = (
        "Size decrease in percent by method of compression, for the dense and the L0 policy of each "
        "cell; the table has the numbers."
    )
    return draw("compression-sizes", "Size decrease by method", caption, alt, paint, size=(5.0, 4.2))


def trade_off(a: GroupAnalysis) -> Figure:
    """Reward against sparsity for L0, L1 and L2 in a group."""

    def paint(canvas: plt.Figure) -> None:
        axes = canvas.subplots()
        if dense := a.estimate(a.dense, "return_mean"):
            low, high = (dense.value if bound is None else bound for bound in (dense.low, dense.high))
            axes.axhspan(low, high, color=COLOURS["dense"], alpha=0.16, lw=0)
            axes.axhline(dense.value, color=COLOURS["dense"], lw=1.2, ls="--", label="dense")
        reference(axes, a.target, "target")
        for name in a.results.regularizers:
            label, shade, marker = look_of(name)
            points = [
                (a.estimate(rows, "sparsity", 100), a.estimate(rows, "return_mean"))
                for c in a.coefficients(name)
                if len(rows := a.policies(c, name))
            ]
            if points:
                x, y = zip(*points, strict=True)
                look = {"color": COLOURS[shade], "label": label, "ms": 4.5, "lw": 0.9}
                values = [e.value for e in x], [e.value for e in y]
                axes.errorbar(*values, bars(y), bars(x), marker, **look)
        axes.set(xlabel="sparsity, %", ylabel="reward")
        legend(axes)

    caption = (
        "A point is one coefficient: interquartile means over seeds with 95 % intervals. Up and to the "
        "right is better."
    )
    words = _listed(name.upper() for name in a.results.regularizers) or "no regularizer"
    alt = f"Reward against sparsity in {a.name} for {words}, with the dense reward."
    title = f"{a.name}: sparsity against reward"
    return draw(f"trade-off-{'-'.join(a.group)}", title, caption, alt, paint)


def sparsity(a: GroupAnalysis) -> Figure:
    """Sparsity by coefficient beside that at initialisation, in a group."""

    def paint(canvas: plt.Figure) -> None:
        axes = canvas.subplots()
        for name in a.results.regularizers:
            label, shade, marker = look_of(name)
            rows = {c: a.policies(c, name) for c in a.coefficients(name)}
            final, initial = (
                [a.estimate(policies, column, 100) for policies in rows.values()]
                for column in ("sparsity", "sparsity_at_init")
            )
            band(axes, list(rows), final, COLOURS[shade], label, marker=marker, ms=4)
            band(axes, list(rows), initial, COLOURS[shade], "", ls=":", lw=1.2)  # named in the caption
        axes.set_xscale("log")
        axes.set(xlabel="coefficient λ", ylabel="sparsity, %", ylim=(-3, 103))
        legend(axes)

    caption = (
        "Solid: after training; dotted: at initialisation, which no training made. Interquartile means "
        "with 95 % bands."
    )
    words = _listed(name.upper() for name in a.results.regularizers)
    alt = f"Sparsity by coefficient in {a.name}, after training and at initialisation, for {words}."
    return draw(f"sparsity-{'-'.join(a.group)}", f"{a.name}: sparsity by coefficient", caption, alt, paint)


def rank_sweep(a: GroupAnalysis) -> Figure:
    """Reward by rank of the dense and the picked sparse policies of a group."""
    lines = [("dense", a.sweep(0.0, "none"), "dense", "s")]
    for rule, shade, marker in (("paper", "blue", "o"), ("ours", "orange", "^")):
        coefficient = a.pick(rule)
        if coefficient is not None and not (rule == "ours" and coefficient == a.pick("paper")):
            lines.append((f"L0, λ = {coefficient:g}, {RULES[rule]}", a.sweep(coefficient), shade, marker))

    def paint(canvas: plt.Figure) -> None:
        axes = canvas.subplots()
        reference(axes, a.target, "target")
        for label, sweep, shade, marker in lines:
            found = [a.estimate(sweep[sweep["rank"] == rank], "return_mean") for rank in RANKS]
            band(axes, RANKS, found, COLOURS[shade], label, marker=marker, ms=3)
        axes.set(xlabel="rank of every layer", ylabel="reward")
        legend(axes)

    caption = "One rank for all layers, as in the paper. Interquartile means over seeds with 95 % bands."
    alt = f"Reward by rank in {a.name} for {_listed(line[0] for line in lines)}; target {a.target:g}."
    return draw(f"ranks-{'-'.join(a.group)}", f"{a.name}: reward by rank", caption, alt, paint)


def temperature_maps(results: ClassicResults) -> list[Figure]:
    """The beta x lambda map of every group that has one: sparsity and reward."""
    cells = grouped(results.temperatures, key=["environment", "algorithm", "temperature", "coefficient"])
    groups = sorted(results.groups, key=lambda a: a.group)
    return [_map(results, a, cells) for a in groups if any(key[:2] == a.group for key in cells)]


def _map(results: ClassicResults, a: GroupAnalysis, cells: dict) -> Figure:
    betas, coefficients = (sorted({key[place] for key in cells if key[:2] == a.group}) for place in (2, 3))

    def values(column: str, factor: float) -> np.ndarray:
        empty = results.temperatures[:0]
        rows = [[cells.get((*a.group, b, c), empty) for c in coefficients] for b in betas]
        found = [[results.estimate(cell, column, factor) for cell in line] for line in rows]
        return np.array([[np.nan if e is None else e.value for e in line] for line in found])

    def paint(canvas: plt.Figure) -> None:
        names = [f"{b:.3g}" for b in betas], [f"{c:g}" for c in coefficients]
        left, right = canvas.subplots(2, 1, gridspec_kw={"hspace": 0.75})
        heatmap(left, values("sparsity", 100), *names, (0, 100), "viridis", 0)
        rewards = values("return_mean", 1)
        known = rewards[~np.isnan(rewards)]
        bounds = (known.min(), max(known.max(), known.min() + 1)) if known.size else (0, 1)
        heatmap(right, rewards, *names, bounds, "viridis", 0)
        left.set(title="sparsity, %")
        right.set(title="reward", xlabel="λ")
        for axes in (left, right):
            axes.set_ylabel("β", rotation=0, labelpad=10)

    alt = (
        f"Two heatmaps over β (rows) and λ (columns) in {a.name}: sparsity and reward; the table "
        "has the numbers."
    )
    title, caption = f"{a.name}: the map of β and λ", "Interquartile means over seeds."
    return draw(f"temperatures-{'-'.join(a.group)}", title, caption, alt, paint, size=(5.0, 4.6))


def _listed(words: Iterable[str]) -> str:
    return ", ".join(words)
