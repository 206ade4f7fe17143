"""The tables of the classic suite: the paper's Tables 1 to 4 and Fig. 32 beside the printed numbers and a
verdict, and what the paper lacks."""

import math
from collections.abc import Sequence

import pandas as pd

from l0_surgical.experiments.report.analysis import ClassicResults, GroupAnalysis, normalised, reaching
from l0_surgical.experiments.report.classic import (
    GROUPS,
    WIDTHS,
    grouped,
    name_of,
    printed,
    printed_policy,
    shapes_of,
)
from l0_surgical.experiments.report.content import TEXT, Table, Value
from l0_surgical.experiments.report.verdicts import EXACT, POINTS, Verdict, judge, judge_all
from l0_surgical.experiments.results import ENVIRONMENTS, PAPER_ENVIRONMENTS, RANKS
from l0_surgical.experiments.selection import (
    RULES,
    TARGET_RETURN,
    Comparison,
    by_evidence,
    compare,
    tolerance,
)
from l0_surgical.experiments.statistics import Estimate, interquartile_mean
from l0_surgical.policy.low_rank import dense_parameters, paper_parameters, size_decrease_percent
from l0_surgical.system.files import number_name

PAPER_RULES = ("paper", "ours")
_SIZE = {"Reward": 1, "Sparsity %": 1, "At initialisation %": 1}


def targets(results: ClassicResults) -> Table:
    """Table 1, and whether the dense policies reach the targets."""
    formats = {"Cell": TEXT, "Target": 0, "Reward, printed (dense)": 1, "Reward, here (dense)": 1}
    formats |= {"Seeds at the target": TEXT, "Steps to the target": 0, "Verdict": TEXT}
    rows: list[list[Value]] = []
    for a in results.groups:
        done = (a.dense["return_mean"] >= a.target).all()
        verdict = Verdict.REPRODUCED if done else Verdict.NOT_REPRODUCED
        rows.append(
            [
                a.name,
                float(printed()["targets"][a.group[0]]),
                printed_policy(a.group, "dense")["reward"],
                a.estimate(a.dense, "return_mean"),
                reaching(a.dense, a.target),
                a.estimate(a.dense, "steps_to_target"),
                Verdict.NOT_MEASURED if a.dense.empty else verdict,
            ]
        )
    return Table("table-1", formats, rows)


def dense_and_sparse(groups: Sequence[GroupAnalysis]) -> Table:
    """Table 2."""
    formats = {"Cell": TEXT, "Policy": TEXT, "λ, printed": TEXT, "λ, here": TEXT}
    formats |= {"Sparsity %, printed": 2, "Sparsity %, here": 1, "At initialisation %": 1}
    formats |= {"Sparsity verdict": TEXT, "Reward, printed": 1, "Reward, here": 1, "Reward less dense": 1}
    formats |= {"Reward verdict": TEXT, "Conv. steps, printed": 0, "Steps to target, here": 0}
    rows = [row for a in groups for row in (_dense_row(a), *(_sparse_row(a, rule) for rule in PAPER_RULES))]
    return Table("table-2", formats, rows)


def _dense_row(a: GroupAnalysis) -> list[Value]:
    shown, reward = printed_policy(a.group, "dense"), a.estimate(a.dense, "return_mean")
    verdict = judge(reward, shown["reward"], tolerance(shown["reward"], a.random_return))
    head: list[Value] = [a.name, "dense", *[None] * 6, shown["reward"], reward, None, verdict]
    return [*head, shown["steps"], a.estimate(a.dense, "steps_to_target")]


def _sparse_row(a: GroupAnalysis, rule: str) -> list[Value]:
    shown, coefficient = printed_policy(a.group, "sparse"), a.pick(rule)
    rows = a.policies(coefficient)
    sparsity, reward = a.estimate(rows, "sparsity", 100), a.estimate(rows, "return_mean")
    allowed = tolerance(shown["reward"], a.random_return)
    return [
        *(a.name, f"sparse, {RULES[rule]}", f"{shown['coefficient']:g}", _picked(coefficient, "none picked")),
        *(shown["sparsity"], sparsity, a.estimate(rows, "sparsity_at_init", 100)),
        _unless_none(a, coefficient, judge(sparsity, shown["sparsity"], POINTS)),
        *(shown["reward"], reward, _compared(a, "l0", coefficient)[0]),
        _unless_none(a, coefficient, judge(reward, shown["reward"], allowed)),
        *(shown["steps"], a.estimate(rows, "steps_to_target")),
    ]


def spaces(results: ClassicResults) -> Table:
    """Table 3."""
    formats = {"Environment": TEXT, "Observation": 0, "Actions": 0, "Network": TEXT}
    formats |= {"Parameters, printed": 0, "Parameters, of the network": 0, "Parameters, trained": TEXT}
    rows: list[list[Value]] = []
    for environment in PAPER_ENVIRONMENTS:
        name, shown = ENVIRONMENTS[environment], printed()["networks"][environment]
        known = results.members["parameters"][results.members["environment"] == environment].dropna()
        trained = sorted({int(number) for number in known})
        judged = [judge(float(number), shown["parameters"], 0, lower_is_better=True) for number in trained]
        rows.append(
            [
                *(name, shown["observation"], shown["actions"], " → ".join(map(str, WIDTHS[environment]))),
                *(shown["parameters"], dense_parameters(shapes_of(environment))),
                *(", ".join(map(str, trained)) or None, judge_all(judged or [Verdict.NOT_MEASURED])),
            ]
        )
    formats["Verdict"] = TEXT
    return Table("table-3", formats, rows)


def lowest_ranks(groups: Sequence[GroupAnalysis]) -> Table:
    """Table 4."""
    formats = {"Cell": TEXT, "Policy": TEXT, "λ, here": TEXT, "Rank, printed": 0, "Rank, here": 1}
    formats |= {"Rank of each seed": TEXT, "Size decrease %, printed": 2, "Size decrease %, here": 2}
    formats |= {"Reward, printed": 2, "Reward, here": 1, "Verdict": TEXT}
    rows: list[list[Value]] = []
    for a in groups:
        rows.append(_rank_row(a, "dense", 0.0, "none"))
        rows += [_rank_row(a, f"sparse, {RULES[rule]}", a.pick(rule), "l0") for rule in PAPER_RULES]
    return Table("table-4", formats, rows)


def _rank_row(a: GroupAnalysis, label: str, coefficient: float | None, regularizer: str) -> list[Value]:
    is_dense = regularizer == "none"
    shown = printed_policy(a.group, "dense" if is_dense else "sparse")
    ranks = a.lowest_ranks(coefficient, regularizer)
    found = interquartile_mean(ranks)
    here = None if is_dense else _picked(coefficient, "none picked")
    seeds = ", ".join(str(rank) if rank in RANKS else f">{RANKS[-1]}" for rank in ranks) or None
    size = reward = None
    if found is not None and (whole := math.ceil(found.value)) in RANKS:
        sweep = a.sweep(coefficient, regularizer)
        size = paper_size_decrease(a.group[0], whole)
        reward = a.estimate(sweep[sweep["rank"] == whole], "return_mean")
    verdict = _unless_none(a, coefficient, judge(found, shown["rank"], 0, lower_is_better=True))
    head: list[Value] = [a.name, label, here, shown["rank"], found, seeds]
    return [*head, shown["size_decrease"], size, shown["rank_reward"], reward, verdict]


def size_by_rank() -> Table:
    """Fig. 32: the paper's accounting computed from the networks, beside the printed percentages."""
    formats: dict[str, int | None] = {"Rank": 0}
    for name in map(ENVIRONMENTS.__getitem__, PAPER_ENVIRONMENTS):
        formats |= {f"{name} %, printed": 2, f"{name} %, computed": 2}
    rows: list[list[Value]] = []
    for place, rank in enumerate(RANKS):
        pairs = [
            (printed()["size_decrease_by_rank"][name][place], paper_size_decrease(name, rank))
            for name in PAPER_ENVIRONMENTS
        ]
        is_met = all(abs(ours - theirs) <= EXACT for theirs, ours in pairs)
        verdict = Verdict.REPRODUCED if is_met else Verdict.NOT_REPRODUCED
        rows.append([rank, *(number for pair in pairs for number in pair), verdict])
    formats["Verdict"] = TEXT
    return Table("figure-32-numbers", formats, rows)


def paper_size_decrease(environment: str, rank: int) -> float:
    """The size decrease in percent in the paper's accounting."""
    shapes = shapes_of(environment)
    return size_decrease_percent(paper_parameters(shapes, rank), dense_parameters(shapes))


def picks(results: ClassicResults) -> Table:
    """What each selection rule picks in each group."""
    formats = {"Cell": TEXT, "Rule": TEXT, "λ": 2, **_SIZE}
    formats |= {"Reward less dense": 1, "Tolerance": 2, "Dense reward": TEXT}
    rows = [
        [
            *(a.name, words, _picked(coefficient)),
            *_reward_and_sparsity(results, a.policies(coefficient)),
            *_compared(a, "l0", coefficient),
        ]
        for a in results.groups
        for rule, words in RULES.items()
        for coefficient in [a.pick(rule)]
    ]
    return Table("selection", formats, rows)


def more_seeds(groups: Sequence[GroupAnalysis]) -> Table | None:
    """Further seeds of what was picked: the reward of each such coefficient with all seeds, and with those
    that had no part in the choice; None where nothing has any."""
    formats = {"Cell": TEXT, "λ": 2, "Picked by": TEXT, "Seeds": 2, "Reward": 1, "Sparsity %": 1}
    formats |= {"Seeds at the target": TEXT, "Reward less dense": 1, "Tolerance": 2, "Dense reward": TEXT}
    formats |= {"Further seeds": 2, "Their reward less dense": 1, "Dense reward, further seeds": TEXT}
    rows = [row for a in groups for row in _rows_with_more_seeds(a)]
    return Table("more-seeds", formats, rows) if rows else None


def _rows_with_more_seeds(a: GroupAnalysis) -> list[list[Value]]:
    further = a.further
    if 0.0 not in further:
        return []
    every = {c: pd.concat([a.policies(c) if c else a.dense, rows]) for c, rows in further.items()}
    sparse = {c: rows for c, rows in every.items() if c}
    found = compare(sparse, every[0.0], a.random_return)
    alone = compare({c: further[c] for c in sparse}, further[0.0], a.random_return)
    chosen = {
        f"{RULES['doubt']}, grid": a.pick("doubt"),
        f"{RULES['ours']}, grid": a.pick("ours"),
        f"{RULES['ours']}, all seeds": by_evidence(pd.concat(sparse.values()), found) if sparse else None,
    }
    return [
        [
            *(a.name, f"{c:g}" if c else "dense"),
            "; ".join(words for words, pick in chosen.items() if pick == c) or None,
            *(len(rows), a.estimate(rows, "return_mean"), a.estimate(rows, "sparsity", 100)),
            *(reaching(rows, a.target), *_judged(found.get(c))),
            *(len(further[c]), *_judged(alone.get(c))[::2]),
        ]
        for c, rows in every.items()
    ]


def other_groups(results: ClassicResults) -> Table | None:
    """Every way of training in the groups that the paper does not have: tasks and algorithms of a user's own;
    None where there are none."""
    formats = {"Cell": TEXT, "Regularizer": TEXT, "λ": 2, "Seeds": 0, "Reward": 1, "Sparsity %": 1}
    rows = [
        [
            *(name_of(key[:2]), key[2].upper(), float(key[3]), len(policies)),
            *(results.estimate(policies, "return_mean"), results.estimate(policies, "sparsity", 100)),
        ]
        for key, policies in results.policies.items()
        if key[:2] not in GROUPS
    ]
    return Table("other-groups", formats, rows) if rows else None


def by_regularizer(results: ClassicResults) -> Table:
    """L0 against L1 and L2: the sparsest policy of each that keeps the reward."""
    formats = {"Cell": TEXT, "Regularizer": TEXT, "Rule": TEXT, "λ": 2, **_SIZE, "Reward less dense": 1}
    rows = [
        [
            *(a.name, name.upper(), RULES[rule], _picked(coefficient)),
            *_reward_and_sparsity(results, a.policies(coefficient, name)),
            _compared(a, name, coefficient)[0],
        ]
        for a in results.groups
        for name in results.regularizers
        for rule in ("ours", "paper")
        for coefficient in [a.pick(rule, name)]
    ]
    return Table("regularizers", formats, rows)


def aggregate(results: ClassicResults) -> Table:
    """One number over all six groups for each way of training."""
    formats = {"Policies": TEXT, "Normalised reward": 3, "Cells with a policy": 2}
    ways = {"dense": [a.dense for a in results.groups]}
    for name in results.regularizers:
        for rule in PAPER_RULES:
            picked = [a.policies(a.pick(rule, name), name) for a in results.groups]
            ways[f"{name.upper()}, {RULES[rule]}"] = picked
    rows = [
        [words, normalised(results.groups, picked), sum(len(policies) > 0 for policies in picked)]
        for words, picked in ways.items()
    ]
    return Table("aggregate", formats, rows)


def every_coefficient(results: ClassicResults) -> Table:
    """One row for each group, regularizer and coefficient."""
    formats = {"Cell": TEXT, "Regularizer": TEXT, "λ": 2, **_SIZE, "Critic sparsity %": 1}
    formats |= {"Steps to target": 0, "Seeds at the target": TEXT, "Failed": 2}
    rows: list[list[Value]] = []
    for (environment, algorithm, regularizer, coefficient), members in results.policies.items():
        good = members[members["return_mean"].notna()]
        rows.append(
            [
                *(name_of((environment, algorithm)), _way(regularizer), number_name(coefficient)),
                *_reward_and_sparsity(results, good),
                results.estimate(good, "critic_sparsity", 100),
                results.estimate(good, "steps_to_target"),
                *(reaching(good, TARGET_RETURN[environment]), len(members) - len(good)),
            ]
        )
    return Table("coefficients", formats, rows)


def compressed(results: ClassicResults) -> Table | None:
    """One rank for all layers against automatic ranks and the best representation; None without such rows."""
    formats = {"Cell": TEXT, "Policy": TEXT, "Method": TEXT, "Stored numbers": 0, "Bytes": 0}
    formats |= {"Size decrease %": 1, "Reward": 1, "Reward kept (seeds)": TEXT}
    estimated = ("parameters", "bytes", "size_decrease_percent", "return_mean")
    rows = [
        [
            *(name_of(key[:2]), _way(key[2], number_name(key[3])), key[4]),
            *(results.estimate(members, column) for column in estimated),
            f"{(members['kept'] == True).sum()} of {len(members)}",  # noqa: E712 (it may be unknown)
        ]
        for key, members in grouped(results.compressed, ["method"]).items()
    ]
    return Table("compression", formats, rows) if rows else None


def temperatures(results: ClassicResults) -> Table | None:
    """The beta x lambda map in numbers; None without such rows."""
    formats = {"Cell": TEXT, "β": 3, "λ": 2, **_SIZE, "Seeds": 2}
    rows: list[list[Value]] = []
    order = ["environment", "algorithm", "temperature", "coefficient"]
    for key, members in grouped(results.temperatures, key=order).items():
        good = members[members["return_mean"].notna()]
        head: list[Value] = [name_of(key[:2]), key[2], number_name(key[3])]
        rows.append([*head, *_reward_and_sparsity(results, good), len(good)])
    return Table("temperatures", formats, rows) if rows else None


def cost(results: ClassicResults) -> Table:
    """Seconds for each policy."""
    formats = {"Cell": TEXT, "Regularizer": TEXT, "Policies": 2, "Wall s each": 1, "CPU s each": 1}
    formats |= {"Env. steps each": 0, "Updates each": 0, "Wall min, all": 1, "CPU min, all": 1}
    rows: list[list[Value]] = []
    for key, members in grouped(results.members, key=["environment", "algorithm", "regularizer"]).items():
        known = members[members["wall_seconds"].notna()]
        totals = [sum(known[name].dropna()) / 60 for name in ("wall_seconds", "cpu_seconds")]
        each = [_mean(known[name]) for name in ("wall_seconds", "cpu_seconds", "env_steps", "updates")]
        rows.append([name_of(key[:2]), _way(key[2]), len(members), *each, *totals])
    return Table("cost", formats, rows)


def _reward_and_sparsity(results: ClassicResults, rows: pd.DataFrame) -> list[Estimate | None]:
    columns = {"return_mean": 1, "sparsity": 100, "sparsity_at_init": 100}
    return [results.estimate(rows, column, factor) for column, factor in columns.items()]


def _compared(a: GroupAnalysis, regularizer: str, coefficient: float | None) -> tuple[Value, Value, Value]:
    return _judged(None if coefficient is None else a.comparisons.get((regularizer, coefficient)))


def _judged(found: Comparison | None) -> tuple[Value, Value, Value]:
    """The difference, the tolerance and the verdict."""
    return (found.difference, found.tolerance, found.verdict) if found else (None, None, None)


def _picked(coefficient: float | None, none: str = "none") -> str:
    return none if coefficient is None else number_name(coefficient)


def _unless_none(a: GroupAnalysis, coefficient: float | None, verdict: Verdict) -> Verdict:
    """The verdict, but `not reproduced` where there are sparse policies and a rule picks none of them."""
    return Verdict.NOT_REPRODUCED if coefficient is None and a.comparisons else verdict


def _way(regularizer: str, coefficient: str = "") -> str:
    return "dense" if regularizer == "none" else f"{regularizer.upper()} {coefficient}".strip()


def _mean(values: pd.Series) -> float | None:
    known = values.dropna().tolist()
    return sum(known) / len(known) if known else None
