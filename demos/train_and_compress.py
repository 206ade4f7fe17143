"""The library in one screen: train a sparse policy, make it small, evaluate it on episodes that neither
training nor compression saw.

python demos/train_and_compress.py [--out runs/train_and_compress]
"""

import argparse
import dataclasses
from pathlib import Path

from l0_surgical.compression import compress
from l0_surgical.evaluation import evaluate
from l0_surgical.policy import load_policy, save_policy
from l0_surgical.settings.presets import preset
from l0_surgical.training import train


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--out",
        type=Path,
        default=Path("runs/train_and_compress"),
        help="folder of the run; it must not hold one yet",
    )
    parser.add_argument("--episodes", type=int, default=120, help="training episodes (the preset has 200)")
    arguments = parser.parse_args()

    # One member: L0 gates on actor and critic. A tuple of regularizers or coefficients, or more seeds, would
    # train a grid in this process.
    config = dataclasses.replace(preset("best"), regularizer=("l0",), seeds=1, episodes=arguments.episodes)
    summary = train(
        config,
        arguments.out,
        progress=lambda what, done, total: print(f"\r{what}: {done}/{total} ", end="", flush=True),
    )
    (member,) = summary["members"]
    print(f"\nactor: {member['sparsity']:.1%} zeros, {member['sparsity_at_init']:.1%} at initialisation")

    # The smallest policy that keeps 99 % of the return (over random actions) with 95 % confidence, on
    # validation episodes.
    policy = load_policy(member["policy"])
    small, report = compress(policy, keep=0.99, confidence=0.95, episodes=50)
    print(
        f"chosen: {report['chosen']['method']}, {report['chosen']['size_decrease_percent']:.2f} % fewer "
        "numbers"
    )

    for name, candidate in (("trained", policy), ("compressed", small)):
        result = evaluate(candidate, episodes=100)
        low, high = result.return_ci95
        size = f"{candidate.numbers} numbers, {candidate.nbytes} bytes"
        print(
            f"{name:10}  success {result.success_rate:.2f}  return {result.return_mean:.2f} [{low:.2f}, "
            f"{high:.2f}]  {size}"
        )
    save_policy(small, arguments.out / "compressed.safetensors")
    print(f"saved {arguments.out / 'compressed.safetensors'}")


if __name__ == "__main__":
    main()
