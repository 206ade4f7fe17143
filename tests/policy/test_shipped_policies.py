"""The policies that come with the package do what their records say."""

import pytest

from l0_surgical.evaluation import evaluate
from l0_surgical.policy import find_policy, load_policy, shipped_policies
from l0_surgical.policy.description import describe

NAMES = ["needle-reach-dense", "needle-reach-l0", "needle-reach-l0-compressed"]


def test_three_policies_are_shipped():
    assert shipped_policies() == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_a_shipped_policy_reaches_the_needle_as_recorded(name: str):
    policy = load_policy(find_policy(name))
    result = evaluate(policy, episodes=40)
    assert result.success_rate == 1.0
    assert result.return_mean > -6
    assert policy.evaluation["success_rate"] >= 0.99
    assert result.return_mean == pytest.approx(policy.evaluation["return_mean"], abs=0.5)


@pytest.mark.parametrize("name", NAMES)
def test_a_shipped_policy_says_where_it_came_from(name: str):
    provenance = load_policy(find_policy(name)).provenance
    assert provenance["algorithm"] == "ddpg"
    assert provenance["config"]["preset"] == "best"
    assert {"torch", "numpy", "pybullet", "l0_surgical"} <= provenance["versions"].keys()
    assert len(provenance["commit"]) == 40


def test_each_step_of_the_method_makes_the_policy_smaller():
    dense, sparse, compressed = (describe(load_policy(find_policy(name))) for name in NAMES)
    assert dense["parameters"] == dense["trained_parameters"] == 135_685
    assert sparse["sparsity"] >= 0.98
    assert compressed["parameters"] <= 0.02 * 135_685
    assert compressed["bytes"] < 0.02 * dense["bytes"]
