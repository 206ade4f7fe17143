import numpy as np
import pytest
import torch
from rounding import assert_rounded

from l0_surgical.algorithms.networks import MemberMLP, to_policy_layers
from l0_surgical.policy import Field, Normalizer, Policy
from l0_surgical.runtime import ReferenceEngine


def weights_of(network: MemberMLP) -> list[torch.Tensor]:
    return [layer.weight.detach() for layer in network.layers]


def test_every_member_computes_its_own_network():
    network = MemberMLP((3, 8, 2), seeds=[5, 6], output="tanh")
    x = torch.randn(2, 7, 3, generator=torch.Generator().manual_seed(0))
    y = network(x)
    for member in range(2):
        first, last = network.layers
        hidden = torch.relu(x[member] @ first.weight[member].T + first.bias[member])
        expected = torch.tanh(hidden @ last.weight[member].T + last.bias[member])
        torch.testing.assert_close(y[member], expected)


def test_initial_weights_depend_on_the_members_own_seed_alone():
    pair, alone = MemberMLP((3, 8, 2), [5, 6], "linear"), MemberMLP((3, 8, 2), [6], "linear")
    for together, single in zip(pair.parameters(), alone.parameters(), strict=True):
        assert torch.equal(together[1], single[0])
        assert not torch.equal(together[0], single[0])


def test_the_paper_actor_has_135685_parameters_and_the_critic_135937():
    assert MemberMLP((10, 256, 256, 256, 5), [0], "tanh").parameters_per_member == 135_685
    assert MemberMLP((15, 256, 256, 256, 1), [0], "linear").parameters_per_member == 135_937


@pytest.mark.parametrize("rate", [0.0, 0.25, 1.0])
def test_averaging_follows_equation_3_10(rate: float):
    source, target = (
        MemberMLP((3, 4, 2), [1], "tanh"),
        MemberMLP((3, 4, 2), [2], "tanh").requires_grad_(False),
    )
    before = [p.clone() for p in target.parameters()]
    target.average_towards(source, weights_of(source), rate)
    for old, new, online in zip(before, target.parameters(), source.parameters(), strict=True):
        torch.testing.assert_close(new, (1 - rate) * old + rate * online.detach())


def test_an_exported_member_acts_like_the_network():
    network = MemberMLP((4, 16, 16, 2), [3, 4], "tanh")
    layers = to_policy_layers(network, weights_of(network), member=1)
    normalizer = Normalizer(np.zeros(4, np.float32), np.ones(4, np.float32), 10.0)
    fields = ((Field("state", 4, "1"),), (Field("action", 2, "1", -1.0, 1.0),))
    policy = Policy("test", *fields, normalizer, layers, network.parameters_per_member)
    states = np.random.default_rng(0).normal(size=(50, 4)).astype(np.float32)
    expected = network(torch.from_numpy(states).expand(2, -1, -1))[1].detach().numpy()
    assert_rounded(expected, policy, states)
    assert_rounded(ReferenceEngine(policy).act(states), policy, states)
