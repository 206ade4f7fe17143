"""A policy in closed loop over DDS in real time: success over many goals, the setpoint stream's timing, two arms at once, memory, start.

    python benchmarks/closed_loop.py --out results/robot/closed_loop.json

Each arm and each controller is a process of its own, started by the command line as a user would. Close other programs first: what else
the machine does is what is measured otherwise.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from l0_surgical.control.audit import audit
from l0_surgical.control.limits import load_limits
from l0_surgical.files import atomic_write
from l0_surgical.messaging.recording import read_recording
from l0_surgical.simulation import arm_beside

POLICY = "needle-reach-l0-compressed"
DOMAIN = "87"
START = """
import time
begin = time.perf_counter()
import numpy as np
from l0_surgical.robot import ControlRequest, Operation
from l0_surgical.policy_file import find_policy, load_policy
from l0_surgical.runtime import compile
engine = compile(load_policy(find_policy("{policy}")))
engine.act(np.zeros(10))
print(time.perf_counter() - begin)
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("results/robot/closed_loop.json"))
    parser.add_argument("--goals", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=60.0, help="of the stream's timing, alone and beside a second arm")
    arguments = parser.parse_args()
    recordings = Path("runs") / f"closed_loop-{time.strftime('%Y%m%d-%H%M%S')}"
    begin = time.perf_counter()

    results = {
        "first_action_s": first_action(),
        "goals": at_arms(["PSM1"], recordings, "goals", ["--goals", str(arguments.goals)])["PSM1"],
        "stream": at_arms(["PSM1"], recordings, "stream", ["--duration", str(arguments.seconds)])["PSM1"],
        "two_arms": at_arms(["PSM1", "PSM2"], recordings, "two", ["--duration", str(arguments.seconds)]),
    }
    results |= {"machine": machine(), "seconds": time.perf_counter() - begin}
    with atomic_write(arguments.out) as file:
        file.write(json.dumps(results, indent=1).encode())
    print(f"wrote {arguments.out}")


def first_action() -> float:
    """Seconds from the first import to the first action, in a fresh process with warm caches: the median of five."""
    program = [sys.executable, "-c", START.format(policy=POLICY)]
    times = sorted(float(subprocess.run(program, capture_output=True, text=True, check=True).stdout) for _ in range(6))
    print(f"import to first action: {times[2]:.2f} s")
    return times[2]


def at_arms(arms: list[str], folder: Path, name: str, options: list[str]) -> dict[str, dict]:
    """A simulated arm and a controller for each name, all at once: what each controller reports, with the audit's findings."""
    with ThreadPoolExecutor() as pool:
        return dict(zip(arms, pool.map(lambda arm: at_arm(arm, folder / f"{name}-{arm}.mcap", options), arms), strict=True))


def at_arm(arm: str, recording: Path, options: list[str]) -> dict:
    where = ["--arm", arm, "--domain", DOMAIN]
    with arm_beside(*where) as process:
        command = [sys.executable, "-m", "l0_surgical", "control", POLICY, *where, "--record", str(recording), "--json", *options]
        ended = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
        result = json.loads(ended.stdout)
        result["arm_cpu_percent"] = cpu_percent(process.pid)
    found = audit(read_recording(recording), arm, load_limits())
    outcomes = result.pop("outcomes")
    result["violations"] = found.violations
    result |= {"fastest_mm_per_s": 1e3 * found.fastest_m_per_s, "longest_step_mm": 1e3 * found.longest_step_m}
    result["median_seconds_to_goal"] = sorted(outcome["seconds"] for outcome in outcomes)[len(outcomes) // 2]
    timing = ", ".join(f"{key} {result['jitter'][f'{key}_ms']:.3f}" for key in ("p50", "p99", "p999", "max"))
    print(
        f"{arm}: {result['reached']} of {result['goals']} goals, faults {result['faults']}, violations {len(found.violations)}; "
        f"jitter (ms): {timing}; missed {result['missed_periods']}, longest late {result['longest_late_periods']:.2f} periods; "
        f"{result['resident_mib']:.0f} MiB; the arm's process {result['arm_cpu_percent']:.0f} % of a core"
    )
    return result


def cpu_percent(pid: int) -> float:
    """Of one core, since the process began."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    ticks = os.sysconf("SC_CLK_TCK")
    used, started = (int(fields[11]) + int(fields[12])) / ticks, int(fields[19]) / ticks
    return 100 * used / (float(Path("/proc/uptime").read_text(encoding="ascii").split()[0]) - started)


def machine() -> dict[str, object]:
    return {"python": platform.python_version(), "system": platform.platform(), "cores": os.cpu_count(), "load": os.getloadavg()}


if __name__ == "__main__":
    main()
