"""What the paper lacks, as tables: both selection rules, L0 against L1 and L2, every coefficient,
compression, temperature, cost."""

from collections.abc import Sequence

from l0_surgical.experiments.intervals import Estimate
from l0_surgical.experiments.report.analysis import RULES, CellAnalysis, normalised, reaching, regularizers
from l0_surgical.experiments.report.classic import ClassicResults, in_order, name_of
from l0_surgical.experiments.report.content import Column, Table, Value
from l0_surgical.experiments.rows import Rows
from l0_surgical.experiments.selection import TARGET_RETURN, TOLERANCE
from l0_surgical.system.files import number_name

_SIZE = (Column("Reward", 1), Column("Sparsity %", 1), Column("At initialisation %", 1))


def picks(results: ClassicResults, analyses: Sequence[CellAnalysis]) -> Table:
    """What each selection rule picks in each cell."""
    rows: list[list[Value]] = []
    for a in analyses:
        for rule, words in RULES.items():
            coefficient = a.pick(rule)
            policies = a.policies(coefficient)
            rows.append(
                [
                    name_of(a.cell),
                    words,
                    "none" if coefficient is None else number_name(coefficient),
                    *_reward_and_sparsity(results, policies),
                ]
            )
            found = None if coefficient is None else a.comparisons.get(("l0", coefficient))
            rows[-1] += (
                [found.difference, found.tolerance, _kept(found.is_kept, found.is_lost)]
                if found
                else [None, None, None]
            )
    columns = (Column("Cell", text=True), Column("Rule", text=True), Column("λ"), *_SIZE)
    columns += (Column("Reward less dense", 1), Column("Tolerance", 2), Column("Dense reward", text=True))
    caption = (
        "Paper's rule: the coefficient with the largest mean reward + sparsity in percent. Our rule: the "
        "sparsest coefficient whose "
        "reward is shown to be kept, which means that the lower bound of the 95 % interval of its "
        "difference to the dense reward is not "
        f"below minus the tolerance, {100 * TOLERANCE:g} % of what dense gains over random actions. Not "
        "shown lower: the sparsest whose "
        "interval does not lie below minus the tolerance as a whole; with few seeds that is weak evidence, "
        "shown for comparison only. "
        "All with the seeds of the grid."
    )
    return Table("selection", "What each selection rule picks", caption, columns, rows)


def by_regularizer(results: ClassicResults, analyses: Sequence[CellAnalysis]) -> Table:
    """L0 against L1 and L2: the sparsest policy of each that keeps the reward."""
    rows: list[list[Value]] = []
    for a in analyses:
        for name in regularizers(results):
            for rule in ("ours", "paper"):
                coefficient = a.pick(rule, name)
                head = [
                    name_of(a.cell),
                    name.upper(),
                    RULES[rule],
                    "none" if coefficient is None else number_name(coefficient),
                ]
                rows.append([*head, *_reward_and_sparsity(results, a.policies(coefficient, name))])
                found = None if coefficient is None else a.comparisons.get((name, coefficient))
                rows[-1].append(found.difference if found else None)
    columns = (
        Column("Cell", text=True),
        Column("Regularizer", text=True),
        Column("Rule", text=True),
        Column("λ"),
        *_SIZE,
    )
    caption = (
        "The best policy of each regularizer over the same coefficients, by both rules. L1 and L2 make no "
        "zeros of themselves: "
        "their small weights are cut off at a threshold after training, so their sparsity at initialisation "
        "is that of the threshold."
    )
    return Table(
        "regularizers", "L0 against L1 and L2", caption, (*columns, Column("Reward less dense", 1)), rows
    )


def aggregate(results: ClassicResults, analyses: Sequence[CellAnalysis]) -> Table:
    """One number over all six cells for each way of training."""
    rows: list[list[Value]] = []
    ways: list[tuple[str, list[Rows]]] = [("dense", [a.dense for a in analyses])]
    for name in regularizers(results):
        ways += [
            (f"{name.upper()}, {RULES[rule]}", [a.policies(a.pick(rule, name), name) for a in analyses])
            for rule in ("paper", "ours")
        ]
    for words, picked in ways:
        rows.append([words, normalised(analyses, picked), sum(bool(rows) for rows in picked)])
    columns = (Column("Policies", text=True), Column("Normalised reward", 3), Column("Cells with a policy"))
    caption = (
        "Interquartile mean over all cells and seeds of (reward − random) / (target − random), with an "
        "interval that draws both seeds and "
        "cells. Unknown where a rule picks no policy in some cell, or cells have different numbers of seeds."
    )
    return Table("aggregate", "All six cells as one number", caption, columns, rows)


def every_coefficient(results: ClassicResults) -> Table:
    """One row for each cell, regularizer and coefficient."""
    rows: list[list[Value]] = []
    for (environment, algorithm, regularizer, coefficient), members in results.groups.items():
        good = [row for row in members if row["return_mean"] is not None]
        head = [
            name_of((environment, algorithm)),
            "dense" if regularizer == "none" else regularizer.upper(),
            number_name(coefficient),
        ]
        middle = [
            *_reward_and_sparsity(results, good),
            results.estimate(good, "critic_sparsity", 100),
            results.estimate(good, "steps_to_target"),
        ]
        rows.append([*head, *middle, reaching(good, TARGET_RETURN[environment]), len(members) - len(good)])
    columns = (
        Column("Cell", text=True),
        Column("Regularizer", text=True),
        Column("λ"),
        *_SIZE,
        Column("Critic sparsity %", 1),
    )
    columns += (Column("Steps to target", 0), Column("Seeds at the target", text=True), Column("Failed"))
    caption = "Every policy of the grid: interquartile means over seeds with 95 % intervals."
    return Table("coefficients", "Every coefficient", caption, columns, rows)


def compressed(results: ClassicResults) -> Table | None:
    """One rank for all layers against automatic ranks and the best representation; None without such rows."""
    groups: dict[tuple, Rows] = {}
    for row in results.compressed:
        key = (row["environment"], row["algorithm"], row["regularizer"], row["coefficient"], row["method"])
        groups.setdefault(key, []).append(row)
    if not groups:
        return None
    rows: list[list[Value]] = []
    for (environment, algorithm, regularizer, coefficient, method), members in in_order(groups).items():
        policy = "dense" if regularizer == "none" else f"{regularizer.upper()} {number_name(coefficient)}"
        sizes = (
            results.estimate(members, "parameters"),
            results.estimate(members, "bytes"),
            results.estimate(members, "size_decrease_percent"),
        )
        kept = f"{sum(row['kept'] is True for row in members)} of {len(members)}"
        rows.append(
            [
                name_of((environment, algorithm)),
                policy,
                method,
                *sizes,
                results.estimate(members, "return_mean"),
                kept,
            ]
        )
    columns = (
        Column("Cell", text=True),
        Column("Policy", text=True),
        Column("Method", text=True),
        Column("Stored numbers", 0),
    )
    columns += (
        Column("Bytes", 0),
        Column("Size decrease %", 1),
        Column("Reward", 1),
        Column("Reward kept (seeds)", text=True),
    )
    caption = (
        "Real accounting (Σ folded into a factor, bit masks counted) against the dense network. One rank: "
        "the paper's way, the lowest rank "
        "for all layers; automatic ranks: a rank for each layer; best: the smallest representation of each "
        "layer, dead units removed. "
        "Kept counts the seeds whose reward is provably kept on unseen episodes."
    )
    return Table(
        "compression", "Compression: one rank, automatic ranks, best representation", caption, columns, rows
    )


def temperatures(results: ClassicResults) -> Table | None:
    """The beta x lambda map in numbers; None without such rows."""
    groups: dict[tuple, Rows] = {}
    for row in results.temperatures:
        groups.setdefault(
            (
                row["environment"],
                row["algorithm"],
                row["regularizer"],
                row["temperature"],
                row["coefficient"],
            ),
            [],
        ).append(row)
    if not groups:
        return None
    rows: list[list[Value]] = []
    for (environment, algorithm, _, beta, coefficient), members in in_order(groups).items():
        good = [row for row in members if row["return_mean"] is not None]
        rows.append(
            [
                name_of((environment, algorithm)),
                beta,
                number_name(coefficient),
                *_reward_and_sparsity(results, good),
                len(good),
            ]
        )
    columns = (Column("Cell", text=True), Column("β", 3), Column("λ"), *_SIZE, Column("Seeds"))
    return Table(
        "temperatures",
        "Temperature β and coefficient λ",
        "L0 policies over several temperatures of the gates.",
        columns,
        rows,
    )


def cost(results: ClassicResults) -> Table:
    """Seconds for each policy."""
    groups: dict[tuple, Rows] = {}
    for row in results.members:
        groups.setdefault((row["environment"], row["algorithm"], row["regularizer"]), []).append(row)
    rows: list[list[Value]] = []
    for (environment, algorithm, regularizer), members in in_order(groups).items():
        words = "dense" if regularizer == "none" else regularizer.upper()
        known = [row for row in members if row["wall_seconds"] is not None]
        totals = [sum(row[name] or 0.0 for row in known) / 60 for name in ("wall_seconds", "cpu_seconds")]
        each = [_mean(known, name) for name in ("wall_seconds", "cpu_seconds", "env_steps", "updates")]
        rows.append([name_of((environment, algorithm)), words, len(members), *each, *totals])
    columns = (
        Column("Cell", text=True),
        Column("Regularizer", text=True),
        Column("Policies"),
        Column("Wall s each", 1),
    )
    columns += (
        Column("CPU s each", 1),
        Column("Env. steps each", 0),
        Column("Updates each", 0),
        Column("Wall min, all", 1),
    )
    caption = (
        "Means over policies. Policies train side by side in one process; a policy's seconds are its "
        "share of that process."
    )
    return Table("cost", "Cost of a policy", caption, (*columns, Column("CPU min, all", 1)), rows)


def _reward_and_sparsity(results: ClassicResults, rows: Rows) -> tuple[Estimate | None, ...]:
    return (
        results.estimate(rows, "return_mean"),
        results.estimate(rows, "sparsity", 100),
        results.estimate(rows, "sparsity_at_init", 100),
    )


def _kept(is_kept: bool, is_lost: bool) -> str:
    return "kept" if is_kept else "lost" if is_lost else "open"


def _mean(rows: Rows, column: str) -> float | None:
    values = [row[column] for row in rows if row[column] is not None]
    return sum(values) / len(values) if values else None
