"""What the paper lacks, as figures: sparsity against reward, sparsity at initialisation, reward by rank,
compression, temperature."""

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np

from l0_surgical.experiments.intervals import Estimate
from l0_surgical.experiments.report.analysis import RULES, CellAnalysis, regularizers
from l0_surgical.experiments.report.classic import ClassicResults, name_of
from l0_surgical.experiments.report.content import Figure
from l0_surgical.experiments.report.drawing import (
    REGULARIZERS,
    band,
    colour,
    draw,
    heatmap,
    legend,
    reference,
)
from l0_surgical.experiments.rows import Rows
from l0_surgical.experiments.suite_format import ENVIRONMENTS, RANKS

_METHODS = {"one rank": ("dense", "s"), "automatic ranks": ("blue", "o"), "best": ("orange", "D")}


def trade_offs(results: ClassicResults, analyses: Sequence[CellAnalysis]) -> list[Figure]:
    """Reward against sparsity for L0, L1 and L2, one figure for each cell."""
    return [_trade_off(a, regularizers(results)) for a in analyses]


def sparsities(results: ClassicResults, analyses: Sequence[CellAnalysis]) -> list[Figure]:
    """Sparsity by coefficient beside that at initialisation, one figure for each cell."""
    return [_sparsity(a, regularizers(results)) for a in analyses]


def rank_sweeps(analyses: Sequence[CellAnalysis]) -> list[Figure]:
    """Reward by rank of the dense and the picked sparse policies, one figure for each cell."""
    return [_rank_sweep(a) for a in analyses]


def compression(results: ClassicResults, analyses: Sequence[CellAnalysis]) -> Figure | None:
    """Size decrease of each way to compress; None without such rows."""
    if not results.compressed:
        return None
    kinds = {}
    for a in analyses:
        there = {
            row["coefficient"]
            for row in results.compressed
            if (row["environment"], row["algorithm"]) == a.cell
        }
        sparse = next((c for c in (a.pick("ours"), a.pick("paper")) if c in there), None)
        kinds[f"{name_of(a.cell)}, dense"] = (*a.cell, "none", 0.0)
        kinds[f"{name_of(a.cell)}, L0"] = (*a.cell, "l0", sparse)

    def paint(canvas: plt.Figure) -> None:
        axes = canvas.subplots()
        for place, key in enumerate(kinds.values()):
            for method, (shade, marker) in _METHODS.items():
                found = results.estimate(_compressed(results, key, method), "size_decrease_percent")
                _dot(axes, found, place, colour(shade), marker)
        for method, (shade, marker) in _METHODS.items():
            axes.plot([], [], marker, color=colour(shade), label=method, ms=5)
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


def temperature_maps(results: ClassicResults) -> list[Figure]:
    """The beta x lambda map of every cell that has one: sparsity and reward."""
    cells = sorted({(row["environment"], row["algorithm"]) for row in results.temperatures})
    return [
        _map(results, cell, [r for r in results.temperatures if (r["environment"], r["algorithm"]) == cell])
        for cell in cells
    ]


def _trade_off(a: CellAnalysis, names: Sequence[str]) -> Figure:
    def paint(canvas: plt.Figure) -> None:
        axes = canvas.subplots()
        dense = a.estimate(a.dense, "return_mean")
        if dense is not None:
            low, high = (dense.value if bound is None else bound for bound in (dense.low, dense.high))
            axes.axhspan(low, high, color=colour("dense"), alpha=0.16, lw=0)
            axes.axhline(dense.value, color=colour("dense"), lw=1.2, ls="--", label="dense")
        reference(axes, a.target, "target")
        for name in names:
            label, shade, marker = REGULARIZERS[name]
            points = [
                (a.estimate(rows, "sparsity", 100), a.estimate(rows, "return_mean"))
                for c in a.results.coefficients(a.cell, name)
                if (rows := a.policies(c, name))
            ]
            if not points:
                continue
            x, y = ([point[place].value for point in points] for place in (0, 1))
            axes.errorbar(
                x,
                y,
                _bars([p[1] for p in points]),
                _bars([p[0] for p in points]),
                marker,
                color=colour(shade),
                label=label,
                ms=4.5,
                lw=0.9,
            )
        axes.set(xlabel="sparsity, %", ylabel="reward")
        legend(axes)

    caption = (
        "A point is one coefficient: interquartile means over seeds with 95 % intervals. Up and to the "
        "right is better."
    )
    words = ", ".join(name.upper() for name in names) or "no regularizer"
    alt = f"Reward against sparsity in {name_of(a.cell)} for {words}, with the dense reward."
    return draw(
        f"trade-off-{'-'.join(a.cell)}", f"{name_of(a.cell)}: sparsity against reward", caption, alt, paint
    )


def _sparsity(a: CellAnalysis, names: Sequence[str]) -> Figure:
    def paint(canvas: plt.Figure) -> None:
        axes = canvas.subplots()
        for name in names:
            label, shade, marker = REGULARIZERS[name]
            rows = {c: a.policies(c, name) for c in a.results.coefficients(a.cell, name)}
            final, initial = (
                [a.estimate(r, column, 100) for r in rows.values()]
                for column in ("sparsity", "sparsity_at_init")
            )
            band(axes, list(rows), final, colour(shade), label, marker=marker, ms=4)
            band(axes, list(rows), initial, colour(shade), "", ls=":", lw=1.2)  # named in the caption
        axes.set_xscale("log")
        axes.set(xlabel="coefficient λ", ylabel="sparsity, %", ylim=(-3, 103))
        legend(axes)

    caption = (
        "Solid: after training; dotted: at initialisation, which no training made. Interquartile means "
        "with 95 % bands."
    )
    alt = (
        f"Sparsity by coefficient in {name_of(a.cell)}, after training and at initialisation, for "
        f"{', '.join(n.upper() for n in names)}."
    )
    return draw(
        f"sparsity-{'-'.join(a.cell)}", f"{name_of(a.cell)}: sparsity by coefficient", caption, alt, paint
    )


def _rank_sweep(a: CellAnalysis) -> Figure:
    lines = [("dense", a.sweep(0.0, "none"), "dense", "s")]
    seen = set()
    for rule, shade, marker in (("paper", "blue", "o"), ("ours", "orange", "^")):
        coefficient = a.pick(rule)
        if coefficient not in {None, *seen}:
            lines.append((f"L0, λ = {coefficient:g}, {RULES[rule]}", a.sweep(coefficient), shade, marker))
            seen.add(coefficient)

    def paint(canvas: plt.Figure) -> None:
        axes = canvas.subplots()
        reference(axes, a.target, "target")
        for label, sweeps, shade, marker in lines:
            found = [
                a.estimate([rows[rank] for rows in sweeps.values() if rank in rows], "return_mean")
                for rank in RANKS
            ]
            band(axes, RANKS, found, colour(shade), label, marker=marker, ms=3)
        axes.set(xlabel="rank of every layer", ylabel="reward")
        legend(axes)

    caption = "One rank for all layers, as in the paper. Interquartile means over seeds with 95 % bands."
    alt = (
        f"Reward by rank in {name_of(a.cell)} for {', '.join(label for label, *_ in lines)}; target "
        f"{a.target:g}."
    )
    return draw(f"ranks-{'-'.join(a.cell)}", f"{name_of(a.cell)}: reward by rank", caption, alt, paint)


def _map(results: ClassicResults, cell: tuple[str, str], rows: Rows) -> Figure:
    betas = sorted({row["temperature"] for row in rows})
    coefficients = sorted({row["coefficient"] for row in rows})

    def values(column: str, factor: float) -> np.ndarray:
        cells = [
            [[r for r in rows if (r["temperature"], r["coefficient"]) == (b, c)] for c in coefficients]
            for b in betas
        ]
        found = [[results.estimate(group, column, factor) for group in line] for line in cells]
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

    title = f"{ENVIRONMENTS[cell[0]]} {cell[1].upper()}: the map of β and λ"
    alt = (
        f"Two heatmaps over β (rows) and λ (columns) in {name_of(cell)}: sparsity and reward; the table "
        "has the numbers."
    )
    return draw(
        f"temperatures-{'-'.join(cell)}",
        title,
        "Interquartile means over seeds.",
        alt,
        paint,
        size=(5.0, 4.6),
    )


def _compressed(results: ClassicResults, key: tuple, method: str) -> Rows:
    return [
        row
        for row in results.compressed
        if (row["environment"], row["algorithm"], row["regularizer"], row["coefficient"], row["method"])
        == (*key, method)
    ]


def _dot(axes: plt.Axes, found: Estimate | None, place: int, shade: str, marker: str) -> None:
    if found is not None:
        axes.errorbar([found.value], [place], xerr=_bars([found]), fmt=marker, color=shade, ms=5, lw=1)


def _bars(estimates: Sequence[Estimate]) -> np.ndarray:
    """Lengths (2, points) of the error bars below and above; an interquartile mean may lie outside its own
    percentile interval."""
    low = [max(0.0, e.value - e.low) if e.low is not None else 0.0 for e in estimates]
    high = [max(0.0, e.high - e.value) if e.high is not None else 0.0 for e in estimates]
    return np.array([low, high])
