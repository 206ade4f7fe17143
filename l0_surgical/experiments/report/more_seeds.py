"""Further seeds of what was picked: the reward of each such coefficient with all seeds, and with those that
had no part in the choice."""

from collections.abc import Sequence

from l0_surgical.experiments.report.analysis import RULES, CellAnalysis, reaching
from l0_surgical.experiments.report.classic import name_of
from l0_surgical.experiments.report.content import Column, Table, Value
from l0_surgical.experiments.selection import Comparison, by_evidence, compare

_VERDICT = {(True, False): "kept", (False, True): "lost", (False, False): "open"}


def more_seeds(analyses: Sequence[CellAnalysis]) -> Table | None:
    """One row for the dense policies and each coefficient that has further seeds; None where nothing has."""
    rows = [row for a in analyses for row in _rows_of(a)]
    if not rows:
        return None
    columns = (
        Column("Cell", text=True),
        Column("λ"),
        Column("Picked by", text=True),
        Column("Seeds"),
        Column("Reward", 1),
    )
    columns += (
        Column("Sparsity %", 1),
        Column("Seeds at the target", text=True),
        Column("Reward less dense", 1),
        Column("Tolerance", 2),
    )
    columns += (
        Column("Dense reward", text=True),
        Column("Further seeds"),
        Column("Their reward less dense", 1),
    )
    columns += (Column("Dense reward, further seeds", text=True),)
    caption = (
        f"Picked by: {RULES['doubt']} and {RULES['ours']} with the seeds of the grid, and {RULES['ours']} "
        "with all seeds, among the "
        "coefficients of this table. What was picked with the grid's seeds leans towards them, in all seeds "
        "together too; the further "
        "seeds had no part in that. They have one in what is picked with all seeds. Dense reward as in the "
        "table of the rules: kept, "
        "lost or open by the 95 % interval of the difference."
    )
    return Table("more-seeds", "What was picked, with further seeds", caption, columns, rows)


def _rows_of(a: CellAnalysis) -> list[list[Value]]:
    further = a.further
    if not further.get(0.0):
        return []
    every = {c: [*(a.policies(c) if c else a.dense), *rows] for c, rows in further.items()}
    sparse = {c: rows for c, rows in every.items() if c}
    found = compare(sparse, every[0.0], a.random_return)
    alone = compare({c: further[c] for c in sparse}, further[0.0], a.random_return)
    strict = by_evidence([row for rows in sparse.values() for row in rows], found)
    picks = {
        f"{RULES['doubt']}, grid": a.pick("doubt"),
        f"{RULES['ours']}, grid": a.pick("ours"),
        f"{RULES['ours']}, all seeds": strict,
    }
    rows: list[list[Value]] = []
    for c, policies in every.items():
        picked = "; ".join(words for words, pick in picks.items() if pick == c) or None
        head = [name_of(a.cell), "dense" if c == 0 else f"{c:g}", picked, len(policies)]
        figures = [
            a.estimate(policies, "return_mean"),
            a.estimate(policies, "sparsity", 100),
            reaching(policies, a.target),
        ]
        rows.append([*head, *figures, *_judged(found.get(c)), len(further[c]), *_judged(alone.get(c))[::2]])
    return rows


def _judged(found: Comparison | None) -> tuple[Value, Value, Value]:
    """The difference, the tolerance and the verdict."""
    return (
        (None, None, None)
        if found is None
        else (found.difference, found.tolerance, _VERDICT[found.is_kept, found.is_lost])
    )
