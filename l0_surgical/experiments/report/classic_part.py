"""The classic suite in the report: its sections in the order of the page."""

from l0_surgical.experiments.report import (
    classic_figures,
    classic_tables,
    extra_figures,
    extra_tables,
    more_seeds,
)
from l0_surgical.experiments.report.analysis import CellAnalysis
from l0_surgical.experiments.report.claims import classic_claims
from l0_surgical.experiments.report.classic import ClassicResults
from l0_surgical.experiments.report.content import Part, Section


def classic_part(results: ClassicResults) -> Part:
    """All that the report has on the classic environments."""
    analyses = [CellAnalysis(results, cell) for cell in results.cells]
    sections = [
        _printed_tables(results, analyses),
        Section("rewards", "Reward curves", (), classic_figures.best_curves(analyses)),
        _sparsity(results, analyses),
        _low_rank(results, analyses),
        _coefficients(results, analyses),
        Section("cost-section", "Cost", (), [extra_tables.cost(results)]),
    ]
    return Part(
        source_of(results), classic_claims(results, analyses), sections, results.missing, results.failed
    )


def source_of(results: ClassicResults) -> str:
    """Where the results come from, in words."""
    run = results.run
    seeds = len({row["seed"] for row in results.members})
    parts = [f"Classic suite: {len(results.members)} policies, {seeds} seeds"]
    parts += [f"{key} {run[key]}" for key in ("preset", "l0_surgical") if run.get(key)]
    if run.get("commit"):
        parts.append(
            "commit " + ", ".join(commit[:7] for commit in run["commit"].split(", "))
        )  # the parts of a run may differ
    parts += [f"{name} {version}" for name, version in (run.get("versions") or {}).items()]
    parts += [str(run[key]) for key in ("machine", "command") if run.get(key)]
    parts += [
        f"{run[key] / 3600:.1f} h {word}"
        for key, word in (("wall_seconds", "wall"), ("cpu_seconds", "CPU"))
        if run.get(key)
    ]
    return " · ".join(parts)


def _printed_tables(results: ClassicResults, analyses: list[CellAnalysis]) -> Section:
    tables = [
        classic_tables.targets(analyses),
        classic_tables.dense_and_sparse(analyses),
        classic_tables.spaces(results),
        classic_tables.lowest_ranks(analyses),
        extra_tables.picks(results, analyses),
        more_seeds.more_seeds(analyses),
        extra_tables.aggregate(results, analyses),
    ]
    return Section("tables", "The paper's tables", (), [table for table in tables if table is not None])


def _sparsity(results: ClassicResults, analyses: list[CellAnalysis]) -> Section:
    text = (
        "The paper compares L0 with L1 and L2 in Mario only. Here all three run over the same "
        "coefficients in every cell."
    )
    items = [extra_tables.by_regularizer(results, analyses), *extra_figures.trade_offs(results, analyses)]
    return Section(
        "regularizers-section",
        "L0 against L1 and L2",
        (text,),
        [*items, *extra_figures.sparsities(results, analyses)],
    )


def _low_rank(results: ClassicResults, analyses: list[CellAnalysis]) -> Section:
    figures = [
        classic_figures.size_by_rank(),
        *extra_figures.rank_sweeps(analyses),
        extra_figures.compression(results, analyses),
    ]
    items = [*figures, extra_tables.compressed(results), classic_tables.size_by_rank()]
    return Section("low-rank", "Low rank and compression", (), [item for item in items if item is not None])


def _coefficients(results: ClassicResults, analyses: list[CellAnalysis]) -> Section:
    items = [
        *classic_figures.all_curves(analyses),
        *classic_figures.correlations(analyses),
        *extra_figures.temperature_maps(results),
    ]
    table = extra_tables.temperatures(results)
    text = "" if table else "These results hold no map of the temperature β (no temperatures.csv)."
    items += [table] if table else []
    return Section(
        "effects",
        "The effect of λ and β",
        (text,) if text else (),
        [*items, extra_tables.every_coefficient(results)],
    )
