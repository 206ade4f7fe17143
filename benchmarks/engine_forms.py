"""How far the rule that chooses the forms of the compiled engine's layers is from the fastest, over shapes
and densities.

    python benchmarks/engine_forms.py --out results/robot/engine_forms.json

Every layer is measured in each form that it may take (`l0_surgical.runtime.measuring`: half of the inputs are
zero, as behind a ReLU). The best of several sweeps over all layers counts, so that what else the machine does
for some seconds is not taken for a form's cost. The ratio is the time of the form that the rule
(`l0_surgical.runtime.choice`) takes over that of the fastest. Prints the worst cases.
"""

import argparse
import json
import os
import platform
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from l0_surgical.policy import Layer, LowRank, PackedSparse, find_policy, load_policy, shipped_policies
from l0_surgical.policy.simplify import remove_dead_units
from l0_surgical.runtime.choice import costs
from l0_surgical.runtime.measuring import seconds_of_forms
from l0_surgical.system.files import atomic_write

SHAPES = [
    (5, 10),
    (5, 64),
    (5, 256),
    (16, 16),
    (64, 10),
    (32, 32),
    (64, 64),
    (128, 128),
    (256, 10),
    (256, 64),
    (64, 256),
    (256, 256),
]
SHAPES += [(10, 1000), (512, 512)]
DENSITIES = (1.0, 0.7, 0.5, 0.35, 0.25, 0.15, 0.1, 0.05, 0.02, 0.01)
RANKS = (1, 2, 3, 5, 8, 16, 32, 64)
SWEEPS = 5


def layers() -> Iterator[tuple[str, Layer]]:
    """What is measured, with a name: random layers, and those of the shipped policies as the engine runs
    them."""
    generator = np.random.default_rng(0)
    for rows, columns in SHAPES:
        for density in DENSITIES:
            weight = generator.normal(size=(rows, columns)) * (generator.random((rows, columns)) < density)
            yield (
                f"{rows} x {columns}, density {density}",
                Layer(PackedSparse.pack(weight), np.zeros(rows), "relu"),
            )
        for rank in (rank for rank in RANKS if rank < min(rows, columns)):
            factors = LowRank(generator.normal(size=(rows, rank)), generator.normal(size=(rank, columns)))
            yield f"{rows} x {columns}, rank {rank}", Layer(factors, np.zeros(rows), "relu")
    for name in shipped_policies():
        for number, layer in enumerate(remove_dead_units(load_policy(find_policy(name))).layers):
            yield f"{name}, layer {number}", layer


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=Path("results/robot/engine_forms.json"))
    arguments = parser.parse_args()

    load, measured, cases = os.getloadavg(), dict(layers()), {}
    sweeps = [{name: seconds_of_forms(layer) for name, layer in measured.items()} for _ in range(SWEEPS)]
    for name, layer in measured.items():
        cost = costs(layer)
        times = {form: min(sweep[name][form] for sweep in sweeps) for form in cost}
        chosen = min(cost, key=cost.__getitem__)
        nanoseconds = {form: round(1e9 * seconds) for form, seconds in times.items()}
        cases[name] = {
            "chosen": chosen,
            "ratio": round(times[chosen] / min(times.values()), 3),
            "ns": nanoseconds,
        }
    ratios = np.array([case["ratio"] for case in cases.values()])
    machine = {"python": platform.python_version(), "system": platform.platform(), "cores": os.cpu_count()}
    report = {
        "layers": len(cases),
        "fastest_chosen": float((ratios == 1).mean()),
        "geometric_mean_ratio": float(np.exp(np.log(ratios).mean())),
        "worst_ratio": float(ratios.max()),
        "machine": machine | {"load_before": load, "load_after": os.getloadavg()},
        "cases": cases,
    }
    for name, case in sorted(cases.items(), key=lambda item: -item[1]["ratio"])[:10]:
        print(f"{name}: {case['chosen']} takes {case['ratio']:.2f} of the fastest, {case['ns']} ns")
    print(
        f"the fastest in {report['fastest_chosen']:.0%} of {len(cases)} layers, "
        f"{report['geometric_mean_ratio']:.3f} of it on average"
    )
    with atomic_write(arguments.out) as file:
        # one case a line
        text = json.dumps(report | {"cases": None}, indent=1).replace('"cases": null', '"cases": {\n  @}')
        file.write(
            text.replace(
                "@", ",\n  ".join(f"{json.dumps(n)}: {json.dumps(c)}" for n, c in cases.items())
            ).encode()
        )
    print(f"wrote {arguments.out}")


if __name__ == "__main__":
    main()
