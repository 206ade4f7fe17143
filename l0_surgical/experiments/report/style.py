"""How the report's figures look, and how one becomes SVG and PNG. Each of `COLOURS` has its counterpart for a
dark page in page.css."""

import io
from collections.abc import Callable, Sequence

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np

from l0_surgical.experiments.report.content import Figure
from l0_surgical.experiments.statistics import Estimate
from l0_surgical.settings.registry import SPARSIFIERS

# CSS variable: the colour on a light page
COLOURS = {
    "ink": "#22303c",
    "muted": "#70808d",
    "grid": "#dbe1e6",
    "dense": "#5b6b78",
    "blue": "#1668a8",
    "orange": "#c4570c",
    "green": "#3f7f3a",
    "plum": "#96407e",
    # from small to large coefficients
    "s0": "#440f76",
    "s1": "#463783",
    "s2": "#3d4f8a",
    "s3": "#31668e",
    "s4": "#277c8d",
    "s5": "#1f918c",
    "s6": "#28a784",
    "s7": "#4dbb6f",
    "s8": "#83c24a",
    "s9": "#b5b32c",
}
REGULARIZERS = {
    "none": ("dense", "dense", "s"),
    "l0": ("L0", "blue", "o"),
    "l1": ("L1", "orange", "^"),
    "l2": ("L2", "green", "D"),
}
_MORE_LOOKS = (("plum", "v"), ("s3", "P"), ("s7", "X"), ("s1", "*"))
SIZE = (4.5, 3.1)
_STEPS = 10
_STYLE = {
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.linewidth": 0.8,
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "font.size": 9,
    "legend.frameon": False,
    "legend.fontsize": 8,
    "grid.color": COLOURS["grid"],
    "grid.linewidth": 0.7,
    "svg.fonttype": "none",
    "savefig.dpi": 150,
    "figure.figsize": SIZE,
    **dict.fromkeys(
        ("text.color", "axes.labelcolor", "axes.titlecolor", "legend.labelcolor"), COLOURS["ink"]
    ),
    **dict.fromkeys(("axes.edgecolor", "xtick.color", "ytick.color"), COLOURS["muted"]),
    **dict.fromkeys(("xtick.labelcolor", "ytick.labelcolor"), COLOURS["ink"]),
}


def look_of(regularizer: str) -> tuple[str, str, str]:
    """Its label, colour and marker."""
    if regularizer in REGULARIZERS:
        return REGULARIZERS[regularizer]
    others = [name for name in SPARSIFIERS if name not in REGULARIZERS]
    return SPARSIFIERS[regularizer].title, *_MORE_LOOKS[others.index(regularizer) % len(_MORE_LOOKS)]


def draw(
    name: str,
    title: str,
    caption: str,
    alt: str,
    paint: Callable[[plt.Figure], None],
    size: tuple[float, float] = SIZE,
) -> Figure:
    """The figure that `paint` paints on an empty canvas of `size` inches, as SVG (with text as text) and PNG
    on white."""
    with plt.rc_context({**_STYLE, "svg.hashsalt": name}):
        canvas = plt.figure(figsize=size)
        try:
            paint(canvas)
            vector, pixels = io.StringIO(), io.BytesIO()
            nothing = {"Date": None, "Creator": None}
            canvas.savefig(vector, format="svg", transparent=True, metadata=nothing, bbox_inches="tight")
            nothing = {"Software": None}
            canvas.savefig(pixels, format="png", facecolor="white", metadata=nothing, bbox_inches="tight")
        finally:
            plt.close(canvas)
    return Figure(name, title, caption, alt, vector.getvalue(), pixels.getvalue())


def step_colour(place: int, count: int) -> str:
    """The colour of the `place`-th of `count` coefficients, small ones dark."""
    return COLOURS[f"s{round(place * (_STEPS - 1) / max(1, count - 1))}"]


def band(
    axes: plt.Axes,
    x: Sequence[float],
    estimates: Sequence[Estimate | None],
    shade: str,
    label: str,
    **line: object,
) -> None:
    """A line through the estimates with its 95 % band; where there is one seed only, the line alone."""
    known = [(at, found) for at, found in zip(x, estimates, strict=True) if found is not None]
    if not known:
        return
    at = [point for point, _ in known]
    axes.plot(at, [found.value for _, found in known], color=shade, label=label, **{"lw": 1.6, **line})
    low = [found.value if found.low is None else found.low for _, found in known]
    high = [found.value if found.high is None else found.high for _, found in known]
    axes.fill_between(at, low, high, color=shade, alpha=0.16, lw=0)


def reference(axes: plt.Axes, level: float, words: str) -> None:
    """A dotted horizontal line, named in the legend."""
    axes.axhline(level, color=COLOURS["muted"], ls=(0, (1.5, 2)), lw=1.2, label=words)


def bars(estimates: Sequence[Estimate]) -> np.ndarray:
    """Lengths (2, points) of the error bars below and above; an interquartile mean may lie outside its own
    percentile interval."""
    low = [max(0.0, e.value - e.low) if e.low is not None else 0.0 for e in estimates]
    high = [max(0.0, e.high - e.value) if e.high is not None else 0.0 for e in estimates]
    return np.array([low, high])


def legend(axes: plt.Axes, **where: object) -> None:
    """A legend, if there is anything to name: above the plot, where it hides nothing, or at the place given
    to matplotlib."""
    if axes.get_legend_handles_labels()[0]:
        axes.legend(**(where or {"loc": "lower left", "bbox_to_anchor": (0, 1), "ncols": 2}))


def heatmap(
    axes: plt.Axes,
    values: np.ndarray,
    rows: Sequence[str],
    columns: Sequence[str],
    bounds: tuple[float, float],
    palette: str,
    digits: int,
) -> None:
    """A heatmap with the number in each cell; an unknown one stays empty."""
    lines = {"edgecolors": COLOURS["grid"], "linewidth": 0.8}
    mesh = axes.pcolormesh(
        np.ma.masked_invalid(values), cmap=palette, vmin=bounds[0], vmax=bounds[1], **lines
    )
    axes.set_xticks(np.arange(len(columns)) + 0.5, columns, rotation=30, ha="right")
    axes.set_yticks(np.arange(len(rows)) + 0.5, rows)
    axes.invert_yaxis()
    axes.grid(False)
    axes.tick_params(length=0)
    for spine in axes.spines.values():
        spine.set_visible(False)
    middle = {"ha": "center", "va": "center", "fontsize": 8}
    for (row, column), value in np.ndenumerate(values):
        if np.isnan(value):
            axes.text(column + 0.5, row + 0.5, "–", **middle)
            continue
        red, green, blue, _ = mesh.cmap(mesh.norm(value))
        bright = 0.299 * red + 0.587 * green + 0.114 * blue > 0.55
        shade = "#101010" if bright else "#fdfdfd"
        axes.text(column + 0.5, row + 0.5, f"{value:.{digits}f}".replace("-", "−"), color=shade, **middle)
