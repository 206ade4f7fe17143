import numpy as np
import pytest
import torch

from l0_surgical.algorithms.networks import MemberMLP
from l0_surgical.algorithms.optimizer import make_optimizer
from l0_surgical.sparsity import NoSparsifier, Schedule, Shrinkage, network_sparsity


@pytest.mark.parametrize("norm", ["l1", "l2"])
def test_the_penalty_is_the_norm_of_the_weights_without_biases(norm: str):
    network = MemberMLP((3, 4, 2), [0, 1], "tanh")
    sparsifier = Shrinkage([0.5, 2.0], norm, threshold=1e-3)
    sparsifier.attach(network)
    power = 1 if norm == "l1" else 2
    expected = sum(
        (layer.weight.detach().abs() ** power).sum((1, 2)) for layer in network.layers
    ) * torch.tensor([0.5, 2.0])
    torch.testing.assert_close(sparsifier.penalty().detach(), expected)


def test_only_the_threshold_makes_zeros():
    network = MemberMLP((50, 40), [0], "tanh")
    with torch.no_grad():
        network.layers[0].weight[0, :10] = 5e-4
    sparse, none = Shrinkage([1.0], "l2", threshold=1e-3), Shrinkage([1.0], "l2", threshold=0.0)
    sparse.attach(network)
    none.attach(network)
    (weight,) = sparse.finalize()
    assert torch.equal(weight[0, :10], torch.zeros(10, 50))
    assert torch.equal(
        weight[0, 10:][weight[0, 10:] != 0], network.layers[0].weight.detach()[0, 10:][weight[0, 10:] != 0]
    )
    (report,) = sparse.report()
    assert report.dead_units.tolist() == [10]
    assert network_sparsity([report])[0] == pytest.approx(report.zeros[0] / 2000)
    assert network_sparsity(none.report())[0] == 0


def test_in_fine_tuning_what_was_below_the_threshold_stays_zero():
    network, again = (MemberMLP((50, 40), [0], "tanh") for _ in range(2))
    sparsifier, resumed = (Shrinkage([1.0], "l1", threshold=0.05, schedule=Schedule(end=2)) for _ in range(2))
    sparsifier.attach(network)
    resumed.attach(again)
    weight, optimizer = network.layers[0].weight, make_optimizer(network, sparsifier, 0.02)
    for update in range(4):
        sparsifier.step(update)
        assert (float(sparsifier.penalty()) == 0) == (update >= 2)
        if update <= 2:
            removed = sparsifier.finalize()[0] == 0
            assert 0 < int(removed.sum()) < 2000
        assert torch.equal(weight == 0, removed) == (update >= 2)
        for parameter in network.parameters():
            parameter.grad = -torch.ones_like(parameter)
        optimizer.step()
        assert bool((sparsifier.finalize()[0][removed] == 0).all()) == (update >= 2)
        assert torch.equal(weight == 0, removed) == (update >= 2)
        for moment in optimizer.groups[0].moments[0]:
            assert bool((moment[removed] == 0).all()) == (update >= 2)
            assert bool((moment[~removed] != 0).all())
    again.load_state_dict(network.state_dict())
    assert torch.equal(resumed.finalize()[0], sparsifier.finalize()[0])


def test_dense_adds_nothing():
    network = MemberMLP((3, 4, 2), [0, 1], "tanh")
    dense = NoSparsifier(2)
    dense.attach(network)
    dense.step(0)
    assert torch.equal(dense.penalty(), torch.zeros(2))
    assert dense.parameter_groups() == []
    assert all(
        torch.equal(a, layer.weight) for a, layer in zip(dense.finalize(), network.layers, strict=True)
    )
    np.testing.assert_array_equal(network_sparsity(dense.report()), [0, 0])
