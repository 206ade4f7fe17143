"""How fast a policy is in each engine, and how fast the exported C is beside what the memory allows.

    python benchmarks/engines.py --out results/robot/engines.json

The ratios are between medians of one run in which all engines took turns. The C is compiled with -O3
-march=native and called from C; the bound is the bytes of its numbers over the speed at which this machine
reads that many bytes again and again (they stay in a cache).
"""

import argparse
import json
import os
import platform
import subprocess
import tempfile
from pathlib import Path

from l0_surgical.policy import Policy, find_policy, load_policy
from l0_surgical.runtime.benchmark import benchmark
from l0_surgical.runtime.c_export import export_c
from l0_surgical.runtime.verification import sample_observations
from l0_surgical.system.files import atomic_write

SMALL, DENSE = "needle-reach-l0-compressed", "needle-reach-dense"
TIMER = """
#define _POSIX_C_SOURCE 199309L
#include "policy.h"
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static float observations[COUNT][POLICY_OBSERVATION_SIZE] = {OBSERVATIONS};
static float memory[FLOATS];
static double times[ROUNDS];

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

int main(void)
{
    float action[POLICY_ACTION_SIZE], sum = 0.0f;
    for (int round = 0; round < ROUNDS; ++round) {
        double begin = now();
        for (int i = 0; i < COUNT; ++i) {
            if (policy_act(observations[i], action))
                return 1;
            sum += action[0];
        }
        times[round] = (now() - begin) / COUNT;
    }
    qsort(times, ROUNDS, sizeof times[0], ascending);
    double call = times[ROUNDS / 2];

    for (int i = 0; i < FLOATS; ++i)
        memory[i] = (float)i;
    for (int round = 0; round < ROUNDS; ++round) {
        double begin = now();
        for (int again = 0; again < AGAIN; ++again) {
            /* sixteen sums that do not wait for each other */
            float part[16] = {0};
            for (int i = 0; i + 16 <= FLOATS; i += 16)
                for (int j = 0; j < 16; ++j)
                    part[j] += memory[i + j];
            for (int j = 0; j < 16; ++j)
                sum += part[j];
            __asm__ volatile("" : : "r"(memory) : "memory");
        }
        times[round] = (now() - begin) / AGAIN;
    }
    qsort(times, ROUNDS, sizeof times[0], ascending);
    fprintf(stderr, "%g", (double)sum);
    printf("%.12g %.12g", call, times[ROUNDS / 2]);
    return 0;
}
"""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=Path("results/robot/engines.json"))
    parser.add_argument("--rounds", type=int, default=100)
    arguments = parser.parse_args()

    load = os.getloadavg()
    report = benchmark(SMALL, reference=DENSE, rounds=arguments.rounds)
    small, dense = report["engines"], report["reference"]["engines"]
    ratios = {
        f"{SMALL} in l0 / {DENSE} in torch_eager": small["l0"]["p50_us"] / dense["torch_eager"]["p50_us"],
        f"{SMALL} in l0 / {DENSE} in onnxruntime": small["l0"]["p50_us"] / dense["onnxruntime"]["p50_us"],
        f"{DENSE} in l0 / {DENSE} in onnxruntime": dense["l0"]["p50_us"] / dense["onnxruntime"]["p50_us"],
    }
    report |= {
        "ratios_of_p50": ratios,
        "c": {name: time_c(load_policy(find_policy(name))) for name in (SMALL, DENSE)},
    }
    report |= {
        "machine": {
            "python": platform.python_version(),
            "system": platform.platform(),
            "cores": os.cpu_count(),
            "load": load,
        }
    }
    for name, ratio in ratios.items():
        print(f"{name}: {ratio:.3f} = 1/{1 / ratio:.1f}")
    for name, times in report["c"].items():
        bound = (
            f"its {times['bytes']} bytes are read in {times['bound_us']:.3f} us "
            f"({times['bandwidth_gb_s']:.0f} GB/s)"
        )
        print(f"{name}, exported C called from C: {times['call_us']:.3f} us; {bound}")
    with atomic_write(arguments.out) as file:
        file.write(json.dumps(report, indent=1).encode())
    print(f"wrote {arguments.out}")


def time_c(policy: Policy, observations: int = 64, rounds: int = 1001) -> dict[str, float]:
    """Median time of a call of the exported C, and of reading as many bytes as its numbers take."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        export_c(policy, folder / "policy.c")
        rows = [
            "{" + ", ".join(f"{value:.9g}" for value in row) + "}"
            for row in sample_observations(policy)[:observations]
        ]
        floats = max(16, policy.nbytes // 4)
        values = {"OBSERVATIONS": ", ".join(rows), "FLOATS": floats, "ROUNDS": rounds, "COUNT": observations}
        values["AGAIN"] = max(1, 10**6 // floats)
        text = TIMER
        for key, value in values.items():
            text = text.replace(key, str(value))
        (folder / "timer.c").write_text(text, encoding="utf-8")
        sources = [str(folder / "timer.c"), str(folder / "policy.c")]
        subprocess.run(
            ["cc", "-std=c99", "-O3", "-march=native", *sources, "-o", str(folder / "timer"), "-lm"],
            check=True,
        )
        output = subprocess.run(
            [str(folder / "timer")], capture_output=True, encoding="utf-8", check=True
        ).stdout
    call, bound = (1e6 * float(part) for part in output.split())
    return {
        "call_us": call,
        "bytes": policy.nbytes,
        "bound_us": bound,
        "bandwidth_gb_s": policy.nbytes / bound / 1e3,
    }


if __name__ == "__main__":
    main()
