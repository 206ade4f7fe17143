"""NeedleReach in the report: Figs. 16 to 18 (reward and size by rank), the printed sparsity and rank, and the
claims of Section 5."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import matplotlib.ticker
import pandas as pd

from l0_surgical.experiments.report.classic import printed
from l0_surgical.experiments.report.content import TEXT, Figure, Part, Section, Table, Value
from l0_surgical.experiments.report.style import COLOURS, draw, legend
from l0_surgical.experiments.report.verdicts import POINTS, SOLVED, Verdict, judge
from l0_surgical.experiments.results import SURGICAL, SWEEP, SWEEPS, read_json, read_tables
from l0_surgical.experiments.statistics import Estimate, interquartile_mean
from l0_surgical.system.errors import BadInputError

PRESETS = {"best": "preset best", "paper": "settings as printed"}
_SHADES = {"best": ("blue", "o"), "paper": ("orange", "^")}
Sweep = tuple[str, list[dict[str, Any]]]


@dataclass(frozen=True)
class SurgicalResults:
    """`members` by preset; `sweeps` by name ("best dense", "paper L0 0.05", ...), one row per rank;
    `compressed` may be empty."""

    members: dict[str, pd.DataFrame]
    sweeps: dict[str, list[dict[str, Any]]]
    compressed: pd.DataFrame
    missing: list[str]

    def sweep(self, preset: str, dense: bool) -> Sweep | None:
        """The words for, and the rows of, a preset's dense or sparse sweep; None if there is none."""
        for name, rows in self.sweeps.items():
            if name.startswith(preset) and name.endswith("dense") == dense:
                return name.removeprefix(preset).strip(), rows
        return None

    def sweeps_of(self, dense: bool) -> dict[str, Sweep]:
        """Those that there are, by preset."""
        return {preset: found for preset in PRESETS if (found := self.sweep(preset, dense)) is not None}


def read_surgical(folder: Path) -> SurgicalResults:
    """The results in `folder`; what is absent is in `missing`.

    Raises:
        BadInputError: a file cannot be read or lacks a column.
    """
    names = (*(f"{preset}.csv" for preset in PRESETS), SWEEPS)
    missing = [f"NeedleReach: no {name}" for name in names if not (folder / name).is_file()]
    tables, sweeps = read_tables(folder, SURGICAL), read_json(folder / SWEEPS)
    for name, rows in sweeps.items():
        if absent := [key for row in rows for key in SWEEP if key not in row]:
            raise BadInputError(
                f"{folder / SWEEPS}, {name}: a row lacks {', '.join(dict.fromkeys(absent))}; write the "
                "results anew"
            )
    compressed = tables.pop("compressed")
    results = SurgicalResults(tables, sweeps, compressed, missing)
    missing += [
        f"NeedleReach, preset {preset}: no {'dense' if dense else 'sparse'} rank sweep"
        for preset in PRESETS
        for dense in (True, False)
        if results.sweep(preset, dense) is None
    ]
    return results


def needle_reach_part(results: SurgicalResults) -> Part:
    """All that the report has on NeedleReach."""
    tables = [_members(results), _ranks(results), _compressed(results)]
    text = (
        "The paper prints 36 % sparsity at λ = 0.05 with the reward kept, and folds that policy to about "
        "half its size (46 %, which is rank 60), while no dense policy performs once folded. Preset best is "
        "ours; the other column has the paper's settings."
    )
    figures = [
        _reward_by_rank(16, "dense", results.sweeps_of(dense=True)),
        _reward_by_rank(17, "sparse", results.sweeps_of(dense=False)),
        _size_by_rank(results.sweeps_of(dense=False)),
    ]
    items = [*(table for table in tables if table is not None), *figures]
    section = Section("needle-reach", "NeedleReach (surgical)", (text,), items)
    source = f"NeedleReach: {sum(map(len, results.members.values()))} policies"
    return Part(source, _claims(results), [section], results.missing)


def lowest_rank(sweep: list[dict[str, Any]]) -> int | None:
    """The lowest rank from which on the mean success stays at `SOLVED` or above; None if it never does."""
    found = None
    for row in sorted(sweep, key=lambda row: row["rank"], reverse=True):
        # a mean of 0.98, 0.99 and 1 is a little less in floating point
        if row["success_rate"] < SOLVED - 1e-9:
            break
        found = row["rank"]
    return found


def _members(results: SurgicalResults) -> Table:
    formats = {"Policy": TEXT, "Reward": 1, "Success %": 0, "Sparsity %": 1, "At initialisation %": 1}
    formats |= {"Sparsity %, printed": 0, "Sparsity verdict": TEXT}
    shown = printed()["needle_reach"]
    rows: list[list[Value]] = []
    for preset, members in results.members.items():
        groups = members.groupby(["regularizer", "coefficient"], sort=False, observed=True)
        for (regularizer, coefficient), policies in groups:
            policy = "dense" if regularizer == "none" else f"{regularizer.upper()}, λ = {coefficient:g}"
            sparsity = _estimate(policies, "sparsity", 100)
            is_printed = regularizer == "l0" and (preset == "best" or coefficient == shown["coefficient"])
            verdict = judge(sparsity, shown["sparsity"], POINTS) if is_printed else None
            rows.append(
                [
                    *(f"{policy} ({PRESETS[preset]})", _estimate(policies, "return_mean")),
                    *(_estimate(policies, "success_rate", 100), sparsity),
                    _estimate(policies, "sparsity_at_init", 100),
                    *(shown["sparsity"] if is_printed else None, verdict),
                ]
            )
    return Table("needle-reach-policies", formats, rows)


def _ranks(results: SurgicalResults) -> Table:
    formats = {"Policy": TEXT, "Rank, printed": 0, "Rank, here": 0, "Size decrease %, printed": 0}
    formats |= {"Size decrease %, here": 1, "Verdict": TEXT}
    shown = printed()["needle_reach"]
    rows: list[list[Value]] = []
    for preset, words in PRESETS.items():
        for dense in (True, False):
            if (found := results.sweep(preset, dense)) is None:
                continue
            name, sweep = found
            rank = lowest_rank(sweep)
            size = next((row["size_decrease_percent"] for row in sweep if row["rank"] == rank), None)
            if dense:
                rows.append([f"dense ({words})", None, rank, None, size, None])
                continue
            missed = Verdict.NOT_REPRODUCED
            verdict = missed if size is None else judge(size, shown["size_decrease"], POINTS)
            rows.append([f"{name} ({words})", shown["rank"], rank, shown["size_decrease"], size, verdict])
    return Table("needle-reach-ranks", formats, rows)


def _compressed(results: SurgicalResults) -> Table | None:
    formats = {"Policy": TEXT, "Stored numbers": 0, "Bytes": 0, "Size decrease %": 2, "Reward": 2}
    formats["Success %"] = 0
    rows = results.compressed.astype(object).where(results.compressed.notna(), None).to_dict("records")
    for row in rows:
        row["success_rate"] = None if row["success_rate"] is None else 100 * row["success_rate"]
    columns = ("policy", "parameters", "bytes", "size_decrease_percent", "return_mean", "success_rate")
    cells = [[row[column] for column in columns] for row in rows]
    return Table("needle-reach-compressed", formats, cells) if cells else None


def _reward_by_rank(number: int, words: str, sweeps: dict[str, Sweep]) -> Figure:
    def paint(canvas: plt.Figure) -> None:
        axes = canvas.subplots()
        for preset, (name, rows) in sweeps.items():
            shade, marker = _SHADES[preset]
            ranks, rewards = ([row[key] for row in rows] for key in ("rank", "return_mean"))
            look = {"color": COLOURS[shade], "label": f"{name}, {PRESETS[preset]}", "ms": 4, "lw": 1.5}
            axes.plot(ranks, rewards, f"{marker}-", **look)
            low, high = zip(*(row["return_range"] for row in rows), strict=True)
            axes.fill_between(ranks, low, high, color=COLOURS[shade], alpha=0.16, lw=0)
        _rank_axis(axes)
        axes.set(ylabel="reward")
        legend(axes, loc="center right")

    caption = (
        "Line: mean over three seeds; band: from the lowest to the highest seed (the sweeps of these "
        "results keep no more)."
    )
    ends = "; ".join(
        f"{name}, {PRESETS[preset]}: {rows[0]['return_mean']:.1f} at rank {rows[0]['rank']}, "
        f"{rows[-1]['return_mean']:.1f} at {rows[-1]['rank']}"
        for preset, (name, rows) in sweeps.items()
    )
    alt = f"Reward by rank of the {words} policies in NeedleReach. {ends or 'No sweep'}."
    title = f"Fig. {number}: NeedleReach, reward by rank, {words}"
    return draw(f"figure-{number}", title, caption, alt, paint)


def _size_by_rank(sweeps: dict[str, Sweep]) -> Figure:
    shown = printed()["needle_reach"]

    def paint(canvas: plt.Figure) -> None:
        axes = canvas.subplots()
        for _, rows in list(sweeps.values())[:1]:
            ranks, sizes = ([row[key] for row in rows] for key in ("rank", "size_decrease_percent"))
            axes.plot(ranks, sizes, "o-", color=COLOURS["blue"], ms=4, label="here")
        look = {"color": COLOURS["orange"], "label": "printed", "mfc": "none", "ms": 7, "mew": 1.5}
        axes.plot([shown["rank"]], [shown["size_decrease"]], "s", **look)
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
    rows: list[list[Value]] = []
    for preset, words in PRESETS.items():
        keeps = f"NeedleReach keeps the reward at 36 % sparsity ({words})"
        only = f"NeedleReach: only sparse policies perform after low rank ({words})"
        rows += [[keeps, *_reward_kept(results, preset)], [only, *_only_sparse(results, preset)]]
    return rows


def _reward_kept(results: SurgicalResults, preset: str) -> tuple[str, Verdict]:
    members = results.members[preset]
    is_judged = (preset == "best") | (members["coefficient"] == printed()["needle_reach"]["coefficient"])
    sparse, dense = members[(members["regularizer"] == "l0") & is_judged], members["regularizer"] == "none"
    base, ours = (_estimate(rows, "return_mean") for rows in (members[dense], sparse))
    sparsity = _estimate(sparse, "sparsity", 100)
    if base is None or ours is None or sparsity is None:
        return "no policies to judge by", Verdict.NOT_MEASURED
    success = sparse["success_rate"].mean()
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


def _rank_axis(axes: plt.Axes) -> None:
    axes.set_xscale("log")
    axes.set_xticks([1, 2, 5, 10, 20, 50, 100])
    axes.xaxis.set_major_formatter(matplotlib.ticker.FormatStrFormatter("%g"))
    axes.xaxis.set_minor_formatter(matplotlib.ticker.NullFormatter())
    axes.set_xlabel("rank of every layer")


def _estimate(rows: pd.DataFrame, column: str, factor: float = 1.0) -> Estimate | None:
    found = interquartile_mean(rows[column].tolist())
    return None if found is None else found.scaled(factor)
