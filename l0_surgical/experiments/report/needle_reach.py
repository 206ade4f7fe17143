"""NeedleReach in the report: Figs. 16 to 18 (reward and size by rank), the printed sparsity and rank, and the
claims of Section 5."""

from collections.abc import Sequence
from typing import Any

import matplotlib.pyplot as plt
import matplotlib.ticker

from l0_surgical.experiments.intervals import Estimate, interquartile_mean
from l0_surgical.experiments.report.content import Column, Figure, Part, Section, Table, Value
from l0_surgical.experiments.report.drawing import colour, draw, legend
from l0_surgical.experiments.report.printed import printed
from l0_surgical.experiments.report.surgical import PRESETS, SurgicalResults
from l0_surgical.experiments.report.verdicts import POINTS, Verdict, judge
from l0_surgical.experiments.rows import Rows

SOLVED = 0.99  # the success rate from which a policy counts as performing
_LABELS = {"best": "preset best", "paper": "settings as printed"}
_SHADES = {"best": ("blue", "o"), "paper": ("orange", "^")}


def needle_reach_part(results: SurgicalResults) -> Part:
    """All that the report has on NeedleReach."""
    tables = [_members(results), _ranks(results)]
    if results.compressed:
        tables.append(_compressed(results))
    section = Section(
        "needle-reach",
        "NeedleReach (surgical)",
        (
            "The paper prints 36 % sparsity at λ = 0.05 with the reward kept, and folds that policy to "
            "about half its size (46 %, which is "
            "rank 60), while no dense policy performs once folded. Preset best is ours; the other column "
            "has the paper's settings.",
        ),
        [*tables, *_figures(results)],
    )
    source = f"NeedleReach: {sum(map(len, results.members.values()))} policies"
    return Part(source, _claims(results), [section], results.missing)


def lowest_rank(sweep: Sequence[dict[str, Any]]) -> int | None:
    """The lowest rank from which on the mean success stays at `SOLVED` or above; None if it never does."""
    found = None
    for row in sorted(sweep, key=lambda row: row["rank"], reverse=True):
        if (
            row["success_rate"] < SOLVED - 1e-9
        ):  # a mean of 0.98, 0.99 and 1 is a little less in floating point
            break
        found = row["rank"]
    return found


def _members(results: SurgicalResults) -> Table:
    shown = printed()["needle_reach"]
    rows: list[list[Value]] = []
    for preset in PRESETS:
        groups: dict[tuple[str, float], Rows] = {}
        for row in results.members[preset]:
            groups.setdefault((row["regularizer"], row["coefficient"]), []).append(row)
        for (regularizer, coefficient), members in groups.items():
            policy = "dense" if regularizer == "none" else f"{regularizer.upper()}, λ = {coefficient:g}"
            sparsity = _estimate(members, "sparsity", 100)
            is_printed = regularizer == "l0" and (preset == "best" or coefficient == shown["coefficient"])
            numbers = (_estimate(members, "return_mean"), _estimate(members, "success_rate", 100), sparsity)
            verdict = judge(sparsity, shown["sparsity"], POINTS) if is_printed else None
            rows.append(
                [f"{policy} ({_LABELS[preset]})", *numbers, _estimate(members, "sparsity_at_init", 100)]
            )
            rows[-1] += [shown["sparsity"] if is_printed else None, verdict]
    columns = (
        Column("Policy", text=True),
        Column("Reward", 1),
        Column("Success %", 0),
        Column("Sparsity %", 1),
    )
    columns += (
        Column("At initialisation %", 1),
        Column("Sparsity %, printed", 0),
        Column("Sparsity verdict", text=True),
    )
    caption = "Actor of DDPG + HER + DEX. Interquartile means over seeds with 95 % intervals."
    return Table("needle-reach-policies", "NeedleReach: policies", caption, columns, rows)


def _ranks(results: SurgicalResults) -> Table:
    shown = printed()["needle_reach"]
    rows: list[list[Value]] = []
    for preset in PRESETS:
        for dense in (True, False):
            found = results.sweep(preset, dense)
            if found is None:
                continue
            rank = lowest_rank(found[1])
            size = next((row["size_decrease_percent"] for row in found[1] if row["rank"] == rank), None)
            verdict = None
            if not dense:
                verdict = (
                    Verdict.NOT_REPRODUCED if size is None else judge(size, shown["size_decrease"], POINTS)
                )
            policy = "dense" if dense else found[0].removeprefix(preset).strip()
            printed_numbers = (None, None) if dense else (shown["rank"], shown["size_decrease"])
            rows.append(
                [f"{policy} ({_LABELS[preset]})", printed_numbers[0], rank, printed_numbers[1], size, verdict]
            )
    columns = (
        Column("Policy", text=True),
        Column("Rank, printed"),
        Column("Rank, here"),
        Column("Size decrease %, printed", 0),
    )
    columns += (Column("Size decrease %, here", 1), Column("Verdict", text=True))
    caption = (
        f"The lowest rank from which on the mean success over three seeds is at least {SOLVED:g}, one rank "
        "for all layers, paper's "
        "accounting; “–” where no rank does. The paper prints no numbers for the dense policy and calls it "
        "not performant."
    )
    return Table("needle-reach-ranks", "NeedleReach: lowest rank", caption, columns, rows)


def _compressed(results: SurgicalResults) -> Table:
    rows = [
        [
            row["policy"],
            row["parameters"],
            row["bytes"],
            row["size_decrease_percent"],
            row["return_mean"],
            _times(row["success_rate"], 100),
        ]
        for row in results.compressed
    ]
    columns = (
        Column("Policy", text=True),
        Column("Stored numbers"),
        Column("Bytes"),
        Column("Size decrease %", 2),
    )
    columns += (Column("Reward", 2), Column("Success %", 0))
    caption = (
        "The best representation of each layer, dead units removed, in real accounting; one row per policy."
    )
    return Table("needle-reach-compressed", "NeedleReach: best representation", caption, columns, rows)


def _figures(results: SurgicalResults) -> list[Figure]:
    figures = []
    for number, dense, words in ((16, True, "dense"), (17, False, "sparse")):
        sweeps = {preset: found for preset in PRESETS if (found := results.sweep(preset, dense)) is not None}
        figures.append(_reward_by_rank(number, words, sweeps))
    figures.append(
        _size_by_rank(
            {preset: found for preset in PRESETS if (found := results.sweep(preset, False)) is not None}
        )
    )
    return figures


def _reward_by_rank(number: int, words: str, sweeps: dict[str, tuple[str, list[dict[str, Any]]]]) -> Figure:
    def paint(canvas: plt.Figure) -> None:
        axes = canvas.subplots()
        for preset, (name, rows) in sweeps.items():
            shade, marker = _SHADES[preset]
            ranks = [row["rank"] for row in rows]
            axes.plot(
                ranks,
                [row["return_mean"] for row in rows],
                f"{marker}-",
                color=colour(shade),
                label=_label(preset, name),
                ms=4,
                lw=1.5,
            )
            low, high = zip(*(row["return_range"] for row in rows), strict=True)
            axes.fill_between(ranks, low, high, color=colour(shade), alpha=0.16, lw=0)
        _rank_axis(axes)
        axes.set(ylabel="reward")
        legend(axes, loc="center right")

    caption = (
        "Line: mean over three seeds; band: from the lowest to the highest seed (the sweeps of these "
        "results keep no more)."
    )
    ends = "; ".join(
        f"{_label(p, n)}: {r[0]['return_mean']:.1f} at rank {r[0]['rank']}, {r[-1]['return_mean']:.1f} at "
        f"{r[-1]['rank']}"
        for p, (n, r) in sweeps.items()
    )
    alt = f"Reward by rank of the {words} policies in NeedleReach. {ends or 'No sweep'}."
    return draw(
        f"figure-{number}", f"Fig. {number}: NeedleReach, reward by rank, {words}", caption, alt, paint
    )


def _size_by_rank(sweeps: dict[str, tuple[str, list[dict[str, Any]]]]) -> Figure:
    shown = printed()["needle_reach"]

    def paint(canvas: plt.Figure) -> None:
        axes = canvas.subplots()
        for _, rows in list(sweeps.values())[:1]:
            axes.plot(
                [r["rank"] for r in rows],
                [r["size_decrease_percent"] for r in rows],
                "o-",
                color=colour("blue"),
                ms=4,
                label="here",
            )
        axes.plot(
            [shown["rank"]],
            [shown["size_decrease"]],
            "s",
            color=colour("orange"),
            label="printed",
            mfc="none",
            ms=7,
            mew=1.5,
        )
        _rank_axis(axes)
        axes.set(ylabel="size decrease, %")
        legend(axes, loc="lower left")

    alt = (
        f"Size decrease by rank in NeedleReach; the printed {shown['size_decrease']:g} % lie on the "
        f"line at rank {shown['rank']}."
    )
    caption = "The paper's accounting. It does not depend on the policy's values, only on its shapes."
    return draw("figure-18", "Fig. 18: NeedleReach, size change by rank", caption, alt, paint)


def _claims(results: SurgicalResults) -> list[list[Value]]:
    rows = []
    for preset in PRESETS:
        members = results.members[preset]
        dense = [row for row in members if row["regularizer"] == "none"]
        sparse = [
            row
            for row in members
            if row["regularizer"] == "l0" and (preset == "best" or row["coefficient"] == 0.05)
        ]
        words = f"NeedleReach keeps the reward at 36 % sparsity ({_LABELS[preset]})"
        rows.append([words, *_reward_kept(dense, sparse)])
        words = f"NeedleReach: only sparse policies perform after low rank ({_LABELS[preset]})"
        rows.append([words, *_only_sparse(results, preset)])
    return rows


def _reward_kept(dense: Rows, sparse: Rows) -> tuple[str, Verdict]:
    base, ours, sparsity = (
        _estimate(dense, "return_mean"),
        _estimate(sparse, "return_mean"),
        _estimate(sparse, "sparsity", 100),
    )
    if base is None or ours is None or sparsity is None:
        return "no policies to judge by", Verdict.NOT_MEASURED
    success = sum(row["success_rate"] for row in sparse) / len(sparse)
    text = (
        f"reward {ours.value:.1f} against {base.value:.1f} dense at {sparsity.value:.1f} % sparsity, "
        f"success {100 * success:.0f} %"
    )
    kept = (ours.value if ours.high is None else ours.high) >= (base.value if base.low is None else base.low)
    return text.replace("-", "−"), Verdict.HOLDS if kept and success >= SOLVED else Verdict.FAILS


def _only_sparse(results: SurgicalResults, preset: str) -> tuple[str, Verdict]:
    found = [results.sweep(preset, dense) for dense in (True, False)]
    if None in found:
        return "no rank sweep to judge by", Verdict.NOT_MEASURED
    dense, sparse = (lowest_rank(rows) for _, rows in found)
    text = ", ".join(
        f"{name} {'at no rank' if rank is None else f'from rank {rank}'}"
        for name, rank in (("dense performs", dense), ("sparse", sparse))
    )
    return text, Verdict.HOLDS if dense is None and sparse is not None else Verdict.FAILS


def _label(preset: str, name: str) -> str:
    return f"{name.removeprefix(preset).strip()}, {_LABELS[preset]}"


def _rank_axis(axes: plt.Axes) -> None:
    axes.set_xscale("log")
    axes.set_xticks([1, 2, 5, 10, 20, 50, 100])
    axes.xaxis.set_major_formatter(matplotlib.ticker.FormatStrFormatter("%g"))
    axes.xaxis.set_minor_formatter(matplotlib.ticker.NullFormatter())
    axes.set_xlabel("rank of every layer")


def _estimate(rows: Rows, column: str, factor: float = 1.0) -> Estimate | None:
    found = interquartile_mean([row[column] for row in rows])
    return None if found is None else found.scaled(factor)


def _times(value: float | None, factor: float) -> float | None:
    return None if value is None else factor * value
