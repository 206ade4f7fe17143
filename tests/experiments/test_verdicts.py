"""The verdict rules, one case on each side of every bound."""

import pytest

from l0_surgical.experiments.report.verdicts import RULES, Verdict, judge, judge_all, judge_claim
from l0_surgical.experiments.statistics import Estimate


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [
        (101.5, 103, Verdict.EXCEEDED),
        (101, 103, Verdict.REPRODUCED),
        (95, 105, Verdict.REPRODUCED),
        (95, 99, Verdict.REPRODUCED),
        (95, 98.9, Verdict.NOT_REPRODUCED),
    ],
)
def test_a_reward_against_100_printed_with_tolerance_1(low: float, high: float, verdict: Verdict):
    assert judge(Estimate((low + high) / 2, low, high, 5), 100, 1) is verdict


@pytest.mark.parametrize(
    ("low", "high", "verdict"), [(5, 6, "exceeded"), (6, 8, "reproduced"), (8, 9, "not reproduced")]
)
def test_a_rank_is_better_when_lower(low: float, high: float, verdict: str):
    assert str(judge(Estimate((low + high) / 2, low, high, 5), 7, 0, lower_is_better=True)) == verdict


def test_without_an_interval_the_value_stands_for_it():
    assert judge(Estimate(99.5, None, None, 1), 100, 1) is Verdict.REPRODUCED
    assert judge(98.0, 100, 1) is Verdict.NOT_REPRODUCED
    assert judge(None, 100, 1) is Verdict.NOT_MEASURED


def test_several_numbers_are_worth_their_worst():
    assert judge_all([Verdict.EXCEEDED, Verdict.REPRODUCED]) is Verdict.REPRODUCED
    assert judge_all([Verdict.NOT_REPRODUCED, Verdict.EXCEEDED]) is Verdict.NOT_REPRODUCED


@pytest.mark.parametrize(
    ("cells", "verdict"),
    [
        ([True, True], Verdict.HOLDS),
        ([True, False], Verdict.FAILS),
        ([True, True, False], Verdict.MIXED),
        ([True, None], Verdict.MIXED),
        ([None, None], Verdict.MIXED),
        ([], Verdict.NOT_MEASURED),
    ],
)
def test_a_claim_over_cells(cells: list[bool | None], verdict: Verdict):
    assert judge_claim(cells) is verdict


def test_every_verdict_has_its_rule_in_words():
    assert {str(verdict) for verdict in Verdict} == set(RULES)
