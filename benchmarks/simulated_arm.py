"""What a simulated arm costs, how evenly it speaks, and how much faster than real time it can live.

    python benchmarks/simulated_arm.py [--seconds 10] [--domain 88]

One line of JSON. The arm is a process of its own, started by the command line as a user would, with nobody, a
controller's topics or all topics heard by this process, which homes it and moves it about by servo_cp at 200
Hz. `period_ms` are differences of measured_cp's stamps.
"""

import argparse
import json
import os
import time
from pathlib import Path

import numpy as np

from l0_surgical.robot.control.poses import Pose
from l0_surgical.robot.control.records import PoseStamped, StringStamped
from l0_surgical.robot.messaging import crtk
from l0_surgical.robot.messaging.dds import DdsTransport
from l0_surgical.robot.messaging.transport import COMMAND, Qos, Subscription
from l0_surgical.robot.simulated_arm import SimulatedArm
from l0_surgical.robot.simulated_arm.process import arm_beside
from l0_surgical.surgical.kinematics import forward_kinematics

ARM = "PSM1"
SERVO_S = 0.005
SIMULATED_STEP_S = 0.0025
FACTOR_S = 2.0
OF_A_CONTROLLER = ("measured_cp", "setpoint_cp", "measured_js", "jaw/measured_js", "operating_state", "error")


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def in_real_time(mode: str, heard: tuple[str, ...], seconds: float, domain: int) -> dict[str, object]:
    """Percent of a core that the arm's process takes while it follows a slow circle, and the periods of
    measured_cp if that is heard."""
    with (
        arm_beside("--arm", ARM, "--domain", str(domain), "--mode", mode) as process,
        DdsTransport(domain) as transport,
    ):
        ears = {
            name: transport.subscription(f"/{ARM}/{name}", crtk.PUBLISHED[name].record, Qos(1000))
            for name in heard
        }
        commands = transport.publisher(f"/{ARM}/state_command", StringStamped, Qos(10))
        servo = transport.publisher(f"/{ARM}/servo_cp", PoseStamped, COMMAND)
        while not (commands.peers() and servo.peers()):
            time.sleep(0.01)
        for command, wait_s in (("enable", 0.2), ("home", 4.0)):
            commands.publish(StringStamped(time.time_ns(), "", command))
            time.sleep(wait_s)
        take_stamps(ears)
        used, begin, stamps = cpu_seconds(process.pid), time.monotonic(), []
        while (now := time.monotonic() - begin) < seconds:
            angle = 0.1 * np.sin(now)
            pose = Pose.from_matrix(forward_kinematics((angle, 0.1 - 0.1 * np.cos(now), 0.12, 0, 0, 0)))
            servo.publish(PoseStamped(time.time_ns(), "", pose.position, pose.orientation))
            stamps += take_stamps(ears)
            time.sleep(SERVO_S)
        elapsed = time.monotonic() - begin
        result: dict[str, object] = {
            "core_percent": round(100 * (cpu_seconds(process.pid) - used) / elapsed, 1)
        }
    if stamps:
        periods_ms = 1e-6 * np.diff(stamps)
        named = {"p1": 1, "p50": 50, "p99": 99, "max": 100}
        result["period_ms"] = {
            name: round(float(np.percentile(periods_ms, percent)), 3) for name, percent in named.items()
        }
        result["rate_hz"] = round(len(periods_ms) / (1e-9 * (stamps[-1] - stamps[0])), 2)
    return result


def take_stamps(ears: dict[str, Subscription]) -> list[int]:
    """Empties all subscriptions; the stamps of measured_cp."""
    taken = {name: ear.take() for name, ear in ears.items()}
    return [received.record.stamp_ns for received in taken.get("measured_cp", [])]


def real_time_factor(mode: str, domain: int) -> float:
    """Simulated seconds per second, as fast as possible, on DDS with nobody listening."""
    steps = 0
    with DdsTransport(domain) as transport:
        arm = SimulatedArm(transport, ARM, mode)
        begin = time.process_time()
        while time.process_time() - begin < FACTOR_S:
            arm.step(SIMULATED_STEP_S)
            steps += 1
        factor = steps * SIMULATED_STEP_S / (time.process_time() - begin)
        arm.close()
    return round(factor, 1)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--domain", type=int, default=88)
    arguments = parser.parse_args()
    heard: dict[str, tuple[str, ...]] = {
        "nobody": (),
        "a_controller": OF_A_CONTROLLER,
        "everybody": tuple(crtk.PUBLISHED),
    }
    result: dict[str, object] = {}
    for mode in ("kinematic", "physical"):
        figures: dict[str, object] = {"real_time_factor": real_time_factor(mode, arguments.domain)}
        for by, topics in heard.items():
            figures[f"heard_by_{by}"] = in_real_time(mode, topics, arguments.seconds, arguments.domain)
        result[mode] = figures
    print(json.dumps(result | {"cores": os.cpu_count(), "load": os.getloadavg()}))


if __name__ == "__main__":
    main()
