"""Small policies for the tests, made from a seed."""

import itertools

import numpy as np

from l0_surgical.policy import Dense, Field, Layer, Normalizer, Policy


def random_policy(
    seed: int = 0,
    widths: tuple[int, ...] = (10, 16, 12, 5),
    density: float = 1.0,
    task: str = "needle-reach",
    clip: float = 5.0,
) -> Policy:
    """A ReLU network with a tanh output, each weight kept with probability `density`; outputs within [-2,
    3]."""
    generator = np.random.default_rng(seed)
    layers = []
    for number, (inputs, outputs) in enumerate(itertools.pairwise(widths)):
        weight = (
            generator.normal(size=(outputs, inputs))
            * np.sqrt(2 / inputs)
            * (generator.random((outputs, inputs)) < density)
        )
        layers.append(
            Layer(
                Dense(weight),
                0.1 * generator.normal(size=outputs),
                "tanh" if number == len(widths) - 2 else "relu",
            )
        )
    return Policy(
        task=task,
        inputs=(Field("observation", widths[0] - 3, "m"), Field("desired_goal", 3, "m"))
        if widths[0] > 3
        else (Field("x", widths[0], "1"),),
        outputs=(Field("action", widths[-1], "1", -2.0, 3.0),),
        normalizer=Normalizer(generator.normal(size=widths[0]), generator.uniform(0.5, 2, widths[0]), clip),
        layers=tuple(layers),
        trained_parameters=sum(layer.weight.numbers + layer.bias.size for layer in layers),
        gate_seed=7,
        provenance={"config": {"seed": seed}, "versions": {"l0_surgical": "0.1.0"}},
        evaluation={"return_mean": -5.25, "episodes": 100},
    )
