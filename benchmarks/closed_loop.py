"""A policy in closed loop over DDS in real time: success over many goals, the setpoint stream's timing, two
arms at once, memory, start.

    python benchmarks/closed_loop.py --out results/robot/closed_loop.json

Each arm and each controller is a process of its own, started by the command line as a user would. Close other
programs first: what else the machine does is what is measured otherwise. Beside them a witness on each core,
of a higher priority, does nothing but sleep for a millisecond again and again: where it is late, too, the
machine itself stood still (on a virtual one the host took the core away), and the periods that were missed
then are counted apart.
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

from l0_surgical.robot.control.audit import audit
from l0_surgical.robot.control.limits import load_limits
from l0_surgical.robot.messaging.recording import read_recording
from l0_surgical.robot.simulated_arm.process import arm_beside
from l0_surgical.system.files import atomic_write

POLICY = "needle-reach-l0-compressed"
DOMAIN = "87"
START = """
import time
begin = time.perf_counter()
import numpy as np
from l0_surgical.robot.operation import Operation
from l0_surgical.robot.requests import ControlRequest
from l0_surgical.policy import find_policy, load_policy
from l0_surgical.runtime import compile
engine = compile(load_policy(find_policy("{policy}")))
engine.act(np.zeros(10))
print(time.perf_counter() - begin)
"""


WITNESS = """
import json, os, sys, time
core = int(sys.argv[1])
os.sched_setaffinity(0, {core})
try:
    os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(60))
except PermissionError:
    pass
sys.stdout.write("ready\\n")
sys.stdout.flush()
while True:
    before = time.time()
    time.sleep(0.001)
    after = time.time()
    if after - before > 0.003:
        print(json.dumps([before, after]), flush=True)
"""
PERIOD_S = 1 / 200
CLOSE_S = 0.02


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=Path("results/robot/closed_loop.json"))
    parser.add_argument("--goals", type=int, default=50)
    parser.add_argument(
        "--seconds", type=float, default=60.0, help="of the stream's timing, alone and beside a second arm"
    )
    arguments = parser.parse_args()
    recordings = Path("runs") / f"closed_loop-{time.strftime('%Y%m%d-%H%M%S')}"
    begin = time.perf_counter()

    with Witnesses() as witnesses:
        results = measure(arguments, recordings, witnesses)
    results |= {"machine": machine(), "seconds": time.perf_counter() - begin}
    with atomic_write(arguments.out) as file:
        file.write(json.dumps(results, indent=1).encode())
    print(f"wrote {arguments.out}")


def measure(arguments: argparse.Namespace, recordings: Path, witnesses: "Witnesses") -> dict:
    """All runs; each controller's missed periods are compared with the machine's own stalls."""
    results = {
        "first_action_s": first_action(),
        "goals": at_arms(["PSM1"], recordings, "goals", ["--goals", str(arguments.goals)])["PSM1"],
        "stream": at_arms(["PSM1"], recordings, "stream", ["--duration", str(arguments.seconds)])["PSM1"],
        "two_arms": at_arms(["PSM1", "PSM2"], recordings, "two", ["--duration", str(arguments.seconds)]),
    }
    stalls = witnesses.stalls()
    results["machine_stalls"] = {
        "count": len(stalls),
        "longest_ms": max((1e3 * (end - begin) for begin, end in stalls), default=0.0),
    }
    for result in (results["goals"], results["stream"], *results["two_arms"].values()):
        gaps = result.pop("gaps")
        own = [
            (begin, end)
            for begin, end in gaps
            if not any(s < end + CLOSE_S and e > begin - CLOSE_S for s, e in stalls)
        ]
        result["gaps_over_two_periods"] = len(gaps)
        result["gaps_over_two_periods_while_the_machine_ran"] = len(own)
        result["longest_gap_ms"] = max((1e3 * (end - begin) for begin, end in gaps), default=0.0)
        print(
            f"{result['arm']}: {len(gaps)} setpoints came over a period late, {len(own)} of them while the "
            "machine itself ran"
        )
    print(
        f"the machine stood still {len(stalls)} times for 3 ms or more, at most "
        f"{results['machine_stalls']['longest_ms']:.1f} ms"
    )
    return results


class Witnesses:
    """A process on each core that writes down when the core was not its for 3 ms or more."""

    def __enter__(self) -> "Witnesses":
        self._processes = [
            subprocess.Popen(
                [sys.executable, "-c", WITNESS, str(core)], stdout=subprocess.PIPE, encoding="utf-8"
            )
            for core in sorted(os.sched_getaffinity(0))
        ]
        for process in self._processes:
            process.stdout.readline()
        return self

    def __exit__(self, *exception: object) -> None:
        for process in self._processes:
            process.kill()
            process.wait()

    def stalls(self) -> list[tuple[float, float]]:
        """Begin and end (s since 1970) of each, of all cores; ends the witnesses."""
        found = []
        for process in self._processes:
            process.kill()
            found += [
                tuple(json.loads(line))
                for line in process.communicate()[0].splitlines()
                if line.endswith("]")
            ]
        return sorted(found)


def late_setpoints(messages: list, arm: str) -> list[tuple[float, float]]:
    """The times (s since 1970) of each two setpoints of one stream that are more than two periods apart."""
    gaps, former = [], None
    for topic, _, record in messages:
        if topic == f"/{arm}/servo_cp":
            stamp = 1e-9 * record.stamp_ns
            if former is not None and stamp - former > 2 * PERIOD_S:
                gaps.append((former, stamp))
            former = stamp
    return gaps


def first_action() -> float:
    """Seconds from the first import to the first action, in a fresh process with warm caches: the median of
    five."""
    program = [sys.executable, "-c", START.format(policy=POLICY)]
    times = sorted(
        float(subprocess.run(program, capture_output=True, encoding="utf-8", check=True).stdout)
        for _ in range(6)
    )
    print(f"import to first action: {times[2]:.2f} s")
    return times[2]


def at_arms(arms: list[str], folder: Path, name: str, options: list[str]) -> dict[str, dict]:
    """A simulated arm and a controller for each name, all at once: what each controller reports, with the
    audit's findings."""
    with ThreadPoolExecutor() as pool:
        return dict(
            zip(
                arms,
                pool.map(lambda arm: at_arm(arm, folder / f"{name}-{arm}.mcap", options), arms),
                strict=True,
            )
        )


def at_arm(arm: str, recording: Path, options: list[str]) -> dict:
    where = ["--arm", arm, "--domain", DOMAIN]
    with arm_beside(*where) as process:
        command = [
            sys.executable,
            "-m",
            "l0_surgical",
            "control",
            POLICY,
            *where,
            "--record",
            str(recording),
            "--json",
            *options,
        ]
        ended = subprocess.run(command, stdout=subprocess.PIPE, encoding="utf-8", check=False)
        result = json.loads(ended.stdout)
        result["arm_cpu_percent"] = cpu_percent(process.pid)
    messages = list(read_recording(recording))
    found = audit(messages, arm, load_limits())
    result["gaps"] = late_setpoints(messages, arm)
    outcomes = result.pop("outcomes")
    result["violations"] = found.violations
    result |= {"fastest_mm_per_s": 1e3 * found.fastest_m_per_s, "longest_step_mm": 1e3 * found.longest_step_m}
    result["median_seconds_to_goal"] = sorted(outcome["seconds"] for outcome in outcomes)[len(outcomes) // 2]
    timing = ", ".join(f"{key} {result['jitter'][f'{key}_ms']:.3f}" for key in ("p50", "p99", "p999", "max"))
    print(
        f"{arm}: {result['reached']} of {result['goals']} goals, faults {result['faults']}, violations "
        f"{len(found.violations)}; jitter (ms): {timing}; missed {result['missed_periods']}, longest late "
        f"{result['longest_late_periods']:.2f} periods; "
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
    return {
        "python": platform.python_version(),
        "system": platform.platform(),
        "cores": os.cpu_count(),
        "load": os.getloadavg(),
    }


if __name__ == "__main__":
    main()
