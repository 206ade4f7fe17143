import dataclasses
import math

import numpy as np
import pytest
import torch

from l0_surgical.algorithms.networks import MemberMLP
from l0_surgical.sparsity import (
    GateSettings,
    HardConcrete,
    Schedule,
    gate_kernels,
    network_sparsity,
    network_sparsity_at_init,
)
from l0_surgical.sparsity.gate_kernels import (
    NOISE_TABLE_SIZE,
    Distribution,
    GatedWeights,
    noise_offsets,
    noise_size,
    noise_table,
)

SETTINGS = GateSettings(
    temperature=2 / 3,
    stretch_low=-0.1,
    stretch_high=1.1,
    initial_log_alpha=0.0,
    learning_rate=0.01,
    evaluation="sampled",
)


def gated_network(
    members: int = 1, sizes: tuple[int, ...] = (10, 64, 64, 5), **changes: object
) -> tuple[MemberMLP, HardConcrete]:
    settings = dataclasses.replace(SETTINGS, **changes)
    network = MemberMLP(sizes, range(members), "tanh")
    sparsifier = HardConcrete([0.5] * members, range(members), settings)
    sparsifier.attach(network)
    return network, sparsifier


def reference_gate(
    weight: torch.Tensor, log_alpha: torch.Tensor, noise: torch.Tensor, d: Distribution
) -> tuple[torch.Tensor, torch.Tensor]:
    """(4.1), (4.2), (5.1) and (4.4) written as the paper prints them, for autograd to differentiate."""
    s = torch.sigmoid((noise + log_alpha) / d.temperature) * (d.high - d.low) + d.low
    return weight * s.clamp(0, 1), torch.sigmoid(log_alpha - d.temperature * math.log(-d.low / d.high)).sum(
        (1, 2)
    )


def away_from_kinks(log_alpha: torch.Tensor, noise: torch.Tensor, d: Distribution) -> torch.Tensor:
    """log_alpha moved where a gate is about to close or to open fully: the derivative jumps there, and
    rounding would choose the side."""
    s = torch.sigmoid((noise + log_alpha) / d.temperature) * (d.high - d.low) + d.low
    return torch.where(torch.minimum(s.abs(), (s - 1).abs()) < 1e-3, log_alpha + 0.1, log_alpha)


@pytest.mark.parametrize("temperature", [2 / 3, 0.25])
def test_the_fused_gate_and_its_gradients_equal_the_formulas(temperature: float):
    generator = torch.Generator().manual_seed(1)
    shape, distribution = (
        (3, 7, 900),
        Distribution(temperature, -0.1, 1.1),
    )  # 6300 weights: more than one chunk
    weight = torch.randn(shape, generator=generator, requires_grad=True)
    offsets = np.array([5, 70_000, 1_000_000])
    noise = torch.stack([noise_table(torch.device("cpu"))[o : o + 6300] for o in offsets]).view(shape)
    log_alpha = away_from_kinks(
        3 * torch.randn(shape, generator=generator), noise, distribution
    ).requires_grad_()
    upstream, pull = torch.randn(shape, generator=generator), torch.tensor([0.0, 0.3, 2.0])

    def differentiate(
        gated: torch.Tensor, expected_open: torch.Tensor, inputs: tuple[torch.Tensor, ...]
    ) -> list[torch.Tensor]:
        return list(torch.autograd.grad((gated * upstream).sum() + (expected_open * pull).sum(), inputs))

    split = (
        torch.nn.Parameter(weight.detach()[:, :2].clone()),
        torch.nn.Parameter(weight.detach()[:, 2:].clone()),
    )
    flat = torch.nn.Parameter(log_alpha.detach().flatten(1))
    expected_open, *parts = GatedWeights.apply(flat, offsets, distribution, *split)
    fused = torch.cat(parts, dim=1), expected_open
    reference = reference_gate(weight, log_alpha, noise, distribution)
    torch.testing.assert_close(fused[0], reference[0], atol=2e-5, rtol=1e-5)
    torch.testing.assert_close(fused[1], reference[1], atol=0, rtol=1e-5)
    first, last, alpha = differentiate(*fused, (*split, flat))
    expected, expected_alpha = differentiate(*reference, (weight, log_alpha))
    torch.testing.assert_close(torch.cat([first, last], dim=1), expected, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(alpha.view(shape), expected_alpha, atol=1e-4, rtol=1e-4)


def test_the_tensor_path_of_other_devices_equals_the_kernels():
    generator = torch.Generator().manual_seed(2)
    weights = [
        torch.nn.Parameter(torch.randn(2, *shape, generator=generator)) for shape in ((7, 3), (90, 70))
    ]
    offsets, distribution = np.array([11, 90_001]), Distribution(2 / 3, -0.1, 1.1)
    noise = torch.stack([noise_table(torch.device("cpu"))[o : o + 6321] for o in offsets])
    log_alpha = torch.nn.Parameter(
        away_from_kinks(2 * torch.randn(2, 21 + 6300, generator=generator), noise, distribution)
    )
    outputs = GatedWeights.apply(log_alpha, offsets, distribution, *weights)
    upstream = [torch.randn(output.shape, generator=generator) for output in outputs]
    gradients = torch.autograd.grad(outputs, (log_alpha, *weights), upstream)
    with torch.no_grad():
        plain = gate_kernels._forward_tensors(log_alpha, weights, offsets, distribution)
        alpha, _, _, *rest = gate_kernels._backward_tensors(
            log_alpha, weights, offsets, distribution, upstream[0], upstream[1:]
        )
    for mine, theirs in zip((*outputs, *gradients), (*plain, alpha, *rest), strict=True):
        torch.testing.assert_close(mine, theirs, atol=1e-4, rtol=1e-4)


def test_the_noise_is_logistic():
    noise = noise_table(torch.device("cpu"))
    assert abs(noise.mean()) < 0.01
    assert noise.std() == pytest.approx(math.pi / math.sqrt(3), rel=0.01)


def test_a_network_of_more_weights_than_the_noise_table_gets_a_longer_one():
    shape = (1, 2100, 2000)
    count = math.prod(shape)
    assert count > NOISE_TABLE_SIZE
    places = np.array(
        [
            noise_offsets(np.arange(3, dtype=np.uint64), update, count, noise_size(count))
            for update in range(20)
        ]
    )
    assert places.min() >= 0
    assert places.max() + count <= noise_size(count)
    assert len(np.unique(places)) == places.size
    weight, log_alpha = torch.ones(shape), torch.zeros(1, count)
    distribution, offsets = Distribution(2 / 3, -0.1, 1.1), places[:1, 0]
    with torch.no_grad():
        _, fused = GatedWeights.apply(log_alpha, offsets, distribution, weight)
        _, plain = gate_kernels._forward_tensors(log_alpha, [weight], offsets, distribution)
    torch.testing.assert_close(fused, plain, atol=1e-4, rtol=1e-4)


def test_the_noise_of_smaller_networks_stays_as_it_was():
    assert noise_size(135_000) == noise_size(NOISE_TABLE_SIZE // 2) == NOISE_TABLE_SIZE
    assert noise_offsets(np.arange(2, dtype=np.uint64), 7, 135_000, NOISE_TABLE_SIZE).tolist() == [
        1193908,
        509685,
    ]


def test_whole_numbers_are_as_good_as_others():
    for value in (0, 1):
        (whole, _), (other, _) = (
            gated_network(initial_log_alpha=kind(value), temperature=kind(1)) for kind in (int, float)
        )
        assert torch.equal(whole.gates.log_alpha, other.gates.log_alpha)
        assert whole.gates.distribution == other.gates.distribution
        assert isinstance(whole.gates.distribution.temperature, float)


@pytest.mark.parametrize(("temperature", "closed"), [(2 / 3, 0.168), (0.25, 0.354)])
def test_sparsity_at_initialisation_is_the_closed_form(temperature: float, closed: float):
    """P(z = 0) = sigmoid(beta log(-gamma / zeta) - log alpha), 16.8 % and 35.4 % at log alpha = 0."""
    _, sparsifier = gated_network(sizes=(10, 256, 256, 5), temperature=temperature)
    reports = sparsifier.report()
    assert network_sparsity_at_init(reports)[0] == pytest.approx(closed, abs=0.005)
    assert network_sparsity(reports)[0] == pytest.approx(network_sparsity_at_init(reports)[0])


def test_deterministic_evaluation_is_equation_4_3():
    network, sparsifier = gated_network(evaluation="deterministic", initial_log_alpha=0.0)
    original = network.layers[0].parametrizations.weight.original
    with torch.no_grad():
        network.gates.log_alpha[0, :10] = -3.0
        network.gates.log_alpha[0, 10:20] = 4.0
    weight = sparsifier.finalize()[0]
    assert torch.equal(weight[0, 0], torch.zeros(10))
    torch.testing.assert_close(weight[0, 1], original[0, 1])
    torch.testing.assert_close(weight[0, 2], original[0, 2] * (0.5 * 1.2 - 0.1))


def test_the_penalty_is_the_coefficient_times_the_expected_open_gates_and_follows_the_schedule():
    network = MemberMLP((10, 64, 5), [0, 1], "tanh")
    sparsifier = HardConcrete([0.5, 2.0], [0, 1], SETTINGS, schedule=Schedule(start=2, ramp=10))
    sparsifier.attach(network)
    sparsifier.step(2)
    assert torch.equal(sparsifier.penalty(), torch.zeros(2))
    sparsifier.step(3)
    expected_open = (10 * 64 + 64 * 5) / (1 + math.exp(2 / 3 * math.log(0.1 / 1.1)))
    # equal terms may all be rounded the same way: at worst once for each of them
    torch.testing.assert_close(
        sparsifier.penalty(), torch.tensor([0.05, 0.2]) * expected_open, rtol=960 * 2.0**-24, atol=0
    )


def test_gradients_of_the_penalty_close_gates():
    _, sparsifier = gated_network(sizes=(4, 8, 2), learning_rate=0.05)
    (group,) = sparsifier.parameter_groups()
    assert group["lr"] == 0.05
    optimizer = torch.optim.Adam(sparsifier.parameter_groups())
    for update in range(200):
        sparsifier.step(update)
        optimizer.zero_grad()
        sparsifier.penalty().sum().backward()
        optimizer.step()
    assert network_sparsity(sparsifier.report())[0] > 0.9


def test_noise_changes_with_the_update_and_belongs_to_the_member():
    network, sparsifier = gated_network(members=3)
    alone = MemberMLP((10, 64, 64, 5), [2], "tanh")
    alone_sparsifier = HardConcrete([0.5], [2], SETTINGS)
    alone_sparsifier.attach(alone)
    seen = []
    for update in (0, 1):
        sparsifier.step(update)
        alone_sparsifier.step(update)
        seen.append(network.layers[1].weight.detach().clone())
        torch.testing.assert_close(seen[-1][2], alone.layers[1].weight.detach()[0])
    gates = [(seen[u][m] == 0) for u in range(2) for m in range(2)]
    assert not any(torch.equal(a, b) for i, a in enumerate(gates) for b in gates[:i])


def test_the_sampled_map_is_frozen_by_the_gate_seed():
    network, first = gated_network()
    again = HardConcrete([0.5], [0], SETTINGS, gate_seed=1)
    other = MemberMLP((10, 64, 64, 5), [0], "tanh")
    again.attach(other)
    assert all(torch.equal(a, b) for a, b in zip(first.finalize(), first.finalize(), strict=True))
    assert not all(torch.equal(a, b) for a, b in zip(first.finalize(), again.finalize(), strict=True))
    first.step(7)
    assert all(
        torch.equal(a == 0, b == 0)
        for a, b in zip(first.finalize(), gated_network()[1].finalize(), strict=True)
    )
    assert network.layers[0].weight.requires_grad


def test_gates_that_wait_are_open_until_the_penalty_starts():
    network = MemberMLP((10, 64, 5), [0], "tanh")
    plain = [layer.weight.detach().clone() for layer in network.layers]
    settings = dataclasses.replace(SETTINGS, wait=True, initial_log_alpha=1.0)
    sparsifier = HardConcrete([1e-2], [0], settings, schedule=Schedule(3))
    sparsifier.attach(network)
    log_alpha = sparsifier.parameter_groups()[0]["params"][0]
    x = torch.randn(1, 8, 10, generator=torch.Generator().manual_seed(0))
    for update in range(3):
        sparsifier.step(update)
        for layer, weight in zip(network.layers, plain, strict=True):
            assert torch.equal(layer.weight, weight)
        assert float(sparsifier.penalty()) == 0
        (network(x).square().mean() + sparsifier.penalty().sum()).backward()
        assert log_alpha.grad is None
    sparsifier.step(3)
    assert not torch.equal(network.layers[0].weight, plain[0])
    assert float(sparsifier.penalty()) > 0
    (network(x).square().mean() + sparsifier.penalty().sum()).backward()
    assert log_alpha.grad is not None


@pytest.mark.parametrize("evaluation", ["deterministic", "sampled"])
def test_in_fine_tuning_gates_rest_as_they_are_evaluated(evaluation: str):
    network = MemberMLP((10, 64, 5), [0, 1], "tanh")
    sparsifier = HardConcrete(
        [0.5, 0.5], [0, 1], dataclasses.replace(SETTINGS, evaluation=evaluation), schedule=Schedule(end=2)
    )
    sparsifier.attach(network)
    log_alpha = sparsifier.parameter_groups()[0]["params"][0]
    with torch.no_grad():
        log_alpha.uniform_(-4, 4, generator=torch.Generator().manual_seed(0))
    x = torch.randn(2, 8, 10, generator=torch.Generator().manual_seed(1))
    sparsifier.step(1)
    assert not torch.equal(network.layers[0].weight, sparsifier.finalize()[0])
    assert sparsifier.penalty().min() > 0
    for update in (2, 3):
        sparsifier.step(update)
        assert all(
            torch.equal(layer.weight, final)
            for layer, final in zip(network.layers, sparsifier.finalize(), strict=True)
        )
        assert sparsifier.penalty().tolist() == [0, 0]
        (network(x).square().sum() + sparsifier.penalty().sum()).backward()
        assert log_alpha.grad is None
        original = network.layers[0].parametrizations.weight.original
        removed = network.layers[0].weight == 0
        assert bool(removed.any())
        assert float(original.grad[removed].abs().max()) == 0 < float(original.grad.abs().max())
        with torch.no_grad():
            original.add_(0.1)
        assert bool((sparsifier.finalize()[0][removed] == 0).all())
