"""The paper's Tables 1 to 4 and Fig. 32 from the classic results, beside the printed numbers and a
verdict."""

import math
from collections.abc import Sequence

from l0_surgical.experiments.intervals import Estimate, interquartile_mean
from l0_surgical.experiments.report.analysis import RULES, CellAnalysis, reaching
from l0_surgical.experiments.report.classic import WIDTHS, ClassicResults, name_of, shapes_of
from l0_surgical.experiments.report.content import Column, Table, Value
from l0_surgical.experiments.report.printed import policy, printed
from l0_surgical.experiments.report.verdicts import EXACT, POINTS, Verdict, judge, judge_all
from l0_surgical.experiments.selection import RANDOM_RETURN, tolerance
from l0_surgical.experiments.suite_format import ENVIRONMENTS, RANKS
from l0_surgical.policy.low_rank import dense_parameters, paper_parameters, size_decrease_percent

PAPER_RULES = ("paper", "ours")


def targets(analyses: Sequence[CellAnalysis]) -> Table:
    """Table 1, and whether the dense policies reach the targets."""
    rows: list[list[Value]] = []
    for a in analyses:
        reward = a.estimate(a.dense, "return_mean")
        dense = policy(a.cell, "dense")["reward"]
        printed_target = printed()["targets"][a.cell[0]]
        done = sum(row["return_mean"] >= a.target for row in a.dense)
        verdict = (
            Verdict.NOT_MEASURED
            if not a.dense
            else Verdict.REPRODUCED
            if done == len(a.dense)
            else Verdict.NOT_REPRODUCED
        )
        rows.append(
            [
                name_of(a.cell),
                float(printed_target),
                dense,
                reward,
                reaching(a.dense, a.target),
                a.estimate(a.dense, "steps_to_target"),
            ]
        )
        rows[-1].append(verdict)
    columns = (
        Column("Cell", text=True),
        Column("Target", 0),
        Column("Reward, printed (dense)", 1),
        Column("Reward, here (dense)", 1),
    )
    columns += (
        Column("Seeds at the target", text=True),
        Column("Steps to the target", 0),
        Column("Verdict", text=True),
    )
    caption = (
        "The printed target of each environment and the dense policies' reward over 100 unseen episodes. "
        "Here the verdict is strict: "
        "reproduced only if every seed's mean reaches the target. Steps are environment steps until "
        "validation first reached it."
    )
    return Table("table-1", "Table 1: targets, and the dense policies", caption, columns, rows)


def dense_and_sparse(analyses: Sequence[CellAnalysis]) -> Table:
    """Table 2."""
    rows = [row for a in analyses for row in (_dense_row(a), *(_sparse_row(a, rule) for rule in PAPER_RULES))]
    columns = (
        Column("Cell", text=True),
        Column("Policy", text=True),
        Column("λ, printed", text=True),
        Column("λ, here", text=True),
    )
    columns += (
        Column("Sparsity %, printed", 2),
        Column("Sparsity %, here", 1),
        Column("At initialisation %", 1),
    )
    columns += (
        Column("Sparsity verdict", text=True),
        Column("Reward, printed", 1),
        Column("Reward, here", 1),
    )
    columns += (Column("Reward less dense", 1), Column("Reward verdict", text=True))
    columns += (Column("Conv. steps, printed", 0), Column("Steps to target, here", 0))
    caption = (
        "Interquartile mean over seeds with its 95 % interval. The sparse policy is picked by the paper's "
        "rule and by ours, which are "
        "stated below; where a rule picks none of the policies there are, the verdict is not reproduced. "
        "The paper does not say what unit "
        "its convergence steps have; ours are environment steps."
    )
    return Table("table-2", "Table 2: dense against best sparse policies", caption, columns, rows)


def spaces(results: ClassicResults) -> Table:
    """Table 3."""
    rows: list[list[Value]] = []
    for environment, name in ENVIRONMENTS.items():
        shown = printed()["networks"][environment]
        trained = {
            row["parameters"]
            for row in results.members
            if row["environment"] == environment and row["parameters"] is not None
        }
        computed = dense_parameters(shapes_of(environment))
        verdict = judge_all(
            [judge(float(n), shown["parameters"], 0, lower_is_better=True) for n in trained]
            or [Verdict.NOT_MEASURED]
        )
        widths = " → ".join(map(str, WIDTHS[environment]))
        trained_text = ", ".join(map(str, sorted(trained))) or None
        rows.append(
            [
                name,
                shown["observation"],
                shown["actions"],
                widths,
                shown["parameters"],
                computed,
                trained_text,
                verdict,
            ]
        )
    columns = (
        Column("Environment", text=True),
        Column("Observation"),
        Column("Actions"),
        Column("Network", text=True),
    )
    columns += (
        Column("Parameters, printed"),
        Column("Parameters, of the network"),
        Column("Parameters, trained", text=True),
    )
    caption = (
        "Weights and biases of the policy network. The paper names one hidden layer; these widths are "
        "what its sizes imply."
    )
    return Table(
        "table-3", "Table 3: spaces and policy sizes", caption, (*columns, Column("Verdict", text=True)), rows
    )


def lowest_ranks(analyses: Sequence[CellAnalysis]) -> Table:
    """Table 4."""
    rows: list[list[Value]] = []
    for a in analyses:
        rows.append(_rank_row(a, "dense", "dense", 0.0, "none"))
        rows += [_rank_row(a, f"sparse, {RULES[rule]}", "sparse", a.pick(rule), "l0") for rule in PAPER_RULES]
    columns = (
        Column("Cell", text=True),
        Column("Policy", text=True),
        Column("λ, here", text=True),
        Column("Rank, printed"),
    )
    columns += (
        Column("Rank, here", 1),
        Column("Rank of each seed", text=True),
        Column("Size decrease %, printed", 2),
    )
    columns += (
        Column("Size decrease %, here", 2),
        Column("Reward, printed", 2),
        Column("Reward, here", 1),
        Column("Verdict", text=True),
    )
    caption = (
        f"The lowest rank of {RANKS[0]} to {RANKS[-1]} at which a policy reaches the target, one rank for "
        "all layers: found for each seed, "
        f"then the interquartile mean. A seed that never reaches it counts as {RANKS[-1] + 1}, written "
        f">{RANKS[-1]}. Size decrease in the "
        "paper's accounting and reward at that mean, rounded up. The verdict is on the rank, lower being "
        "better."
    )
    return Table("table-4", "Table 4: lowest rank that keeps the target", caption, columns, rows)


def size_by_rank() -> Table:
    """Fig. 32: the paper's accounting computed from the networks, beside the printed percentages."""
    rows: list[list[Value]] = []
    for place, rank in enumerate(RANKS):
        pairs = [
            (printed()["size_decrease_by_rank"][name][place], paper_size_decrease(name, rank))
            for name in ENVIRONMENTS
        ]
        verdict = judge_all(
            [
                Verdict.REPRODUCED if abs(ours - theirs) <= EXACT else Verdict.NOT_REPRODUCED
                for theirs, ours in pairs
            ]
        )
        rows.append([rank, *(number for pair in pairs for number in pair), verdict])
    columns = [Column("Rank")]
    for name in ENVIRONMENTS.values():
        columns += [Column(f"{name} %, printed"), Column(f"{name} %, computed")]
    caption = (
        "Size decrease with one rank for all layers, in the paper's accounting (its square Σ counted). "
        "Computed from the networks of "
        f"Table 3; reproduced if all three are within {EXACT:g} points."
    )
    return Table(
        "figure-32-numbers",
        "Fig. 32: size decrease by rank, in numbers",
        caption,
        (*columns, Column("Verdict", text=True)),
        rows,
    )


def paper_size_decrease(environment: str, rank: int) -> float:
    """The size decrease in percent in the paper's accounting."""
    shapes = shapes_of(environment)
    return size_decrease_percent(paper_parameters(shapes, rank), dense_parameters(shapes))


def _dense_row(a: CellAnalysis) -> list[Value]:
    shown = policy(a.cell, "dense")
    reward = a.estimate(a.dense, "return_mean")
    verdict = judge(reward, shown["reward"], _tolerance(a, shown["reward"]))
    head: list[Value] = [name_of(a.cell), "dense", None, None, None, None, None, None]
    return [
        *head,
        shown["reward"],
        reward,
        None,
        verdict,
        shown["steps"],
        a.estimate(a.dense, "steps_to_target"),
    ]


def _sparse_row(a: CellAnalysis, rule: str) -> list[Value]:
    shown = policy(a.cell, "sparse")
    coefficient = a.pick(rule)
    rows = a.policies(coefficient)
    sparsity, reward = a.estimate(rows, "sparsity", 100), a.estimate(rows, "return_mean")
    compared = a.comparisons.get(("l0", coefficient)) if coefficient is not None else None
    here = "none picked" if coefficient is None else f"{coefficient:g}"
    return [
        *(name_of(a.cell), f"sparse, {RULES[rule]}", f"{shown['coefficient']:g}", here),
        *(
            shown["sparsity"],
            sparsity,
            a.estimate(rows, "sparsity_at_init", 100),
            _unless_none(a, coefficient, judge(sparsity, shown["sparsity"], POINTS)),
        ),
        *(shown["reward"], reward, compared.difference if compared else None),
        _unless_none(a, coefficient, judge(reward, shown["reward"], _tolerance(a, shown["reward"]))),
        *(shown["steps"], a.estimate(rows, "steps_to_target")),
    ]


def _rank_row(
    a: CellAnalysis, label: str, kind: str, coefficient: float | None, regularizer: str
) -> list[Value]:
    shown = policy(a.cell, kind)
    ranks = a.lowest_ranks(coefficient, regularizer)
    found = interquartile_mean(ranks)
    here = None if kind == "dense" else "none picked" if coefficient is None else f"{coefficient:g}"
    head: list[Value] = [name_of(a.cell), label, here, shown["rank"]]
    seeds = ", ".join(str(rank) if rank in RANKS else f">{RANKS[-1]}" for rank in ranks) or None
    size, reward = _at_rank(a, found, coefficient, regularizer)
    verdict = _unless_none(a, coefficient, judge(found, shown["rank"], 0, lower_is_better=True))
    return [*head, found, seeds, shown["size_decrease"], size, shown["rank_reward"], reward, verdict]


def _at_rank(
    a: CellAnalysis, rank: Estimate | None, coefficient: float | None, regularizer: str
) -> tuple[float | None, Estimate | None]:
    if rank is None or (whole := math.ceil(rank.value)) not in RANKS:
        return None, None
    rows = [row[whole] for row in a.sweep(coefficient, regularizer).values() if whole in row]
    return paper_size_decrease(a.cell[0], whole), a.estimate(rows, "return_mean")


def _unless_none(a: CellAnalysis, coefficient: float | None, verdict: Verdict) -> Verdict:
    """The verdict, but `not reproduced` where there are sparse policies and a rule picks none of them."""
    return Verdict.NOT_REPRODUCED if coefficient is None and a.comparisons else verdict


def _tolerance(a: CellAnalysis, reward: float) -> float:
    return tolerance(reward, RANDOM_RETURN[a.cell[0]])
