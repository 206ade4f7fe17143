"""What messaging costs: a pose's round trip between two processes over DDS, publishing, polling, serialising
and recording.

    python benchmarks/dds.py [--rounds 2000] [--domain 99]

One line of JSON, in microseconds. Both processes sleep 50 us between polls, as a loop with other work would
leave the processor to DDS's own threads; the round trip is two DDS hops, two encodings, two decodings and
what the sleeps add.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from l0_surgical.robot.control.records import JointState, PoseStamped
from l0_surgical.robot.messaging.dds import DdsTransport
from l0_surgical.robot.messaging.messages import message_class
from l0_surgical.robot.messaging.recording import Recording
from l0_surgical.robot.messaging.transport import COMMAND, TELEMETRY

POSE = PoseStamped(1_234_567_890_987_654_321, "PSM1_base", (0.01, -0.02, -0.1135), (0.5, 0.5, 0.5, 0.5))
NAMES = ("yaw", "pitch", "insertion", "roll", "wrist_pitch", "wrist_yaw")
JOINTS = JointState(POSE.stamp_ns, "", NAMES, (0.1,) * 6, (0.2,) * 6, (0.3,) * 6)
SAMPLES = 5000
POLL_S = 50e-6


def percentiles(seconds: list[float]) -> dict[str, float]:
    microseconds = 1e6 * np.asarray(seconds)
    named = {"p50": 50, "p99": 99, "p999": 99.9, "max": 100}
    return {name: round(float(np.percentile(microseconds, percent)), 1) for name, percent in named.items()}


def timed(call: Callable[[], object], count: int, pause_s: float = 0.0) -> dict[str, float]:
    seconds = []
    for _ in range(count):
        start = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - start)
        if pause_s:
            time.sleep(pause_s)
    return percentiles(seconds)


def echo(domain: int) -> None:
    with DdsTransport(domain) as transport:
        pings = transport.subscription("/benchmark/ping", PoseStamped, TELEMETRY)
        pongs = transport.publisher("/benchmark/pong", PoseStamped, COMMAND)
        while not pings.peers():
            time.sleep(0.01)
        while pings.peers():
            for received in pings.take():
                pongs.publish(received.record)
            time.sleep(POLL_S)


def round_trips(transport: DdsTransport, rounds: int) -> dict[str, float]:
    pings = transport.publisher("/benchmark/ping", PoseStamped, COMMAND)
    pongs = transport.subscription("/benchmark/pong", PoseStamped, TELEMETRY)
    while not (pings.peers() and pongs.peers()):
        time.sleep(0.01)
    seconds = []
    for _ in range(rounds):
        start = time.perf_counter()
        pings.publish(POSE)
        while not pongs.take():
            time.sleep(POLL_S)
        seconds.append(time.perf_counter() - start)
        time.sleep(0.001)
    return percentiles(seconds)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=2000)
    parser.add_argument("--domain", type=int, default=99)
    parser.add_argument("--echo", action="store_true", help="be the other process")
    arguments = parser.parse_args()
    if arguments.echo:
        echo(arguments.domain)
        return
    other = subprocess.Popen([sys.executable, __file__, "--echo", "--domain", str(arguments.domain)])
    with DdsTransport(arguments.domain) as transport:
        result = {"round_trip": round_trips(transport, arguments.rounds)}
    other.wait()
    with DdsTransport(arguments.domain) as transport, tempfile.TemporaryDirectory() as folder:
        publisher = transport.publisher("/benchmark/cost", PoseStamped, COMMAND)
        subscription = transport.subscription("/benchmark/cost", PoseStamped, TELEMETRY)
        result["take_empty"] = timed(subscription.take, SAMPLES)
        result["publish_pose"] = timed(lambda: publisher.publish(POSE), SAMPLES)
        subscription.take()
        result["publish_and_take_pose"] = timed(
            lambda: (publisher.publish(POSE), subscription.take()), SAMPLES
        )
        result["serialize_pose"] = timed(lambda: transport.serialize(POSE), SAMPLES)
        generic = message_class(POSE.TYPE).deserialize(transport.serialize(POSE))
        result["serialize_pose_by_cyclonedds"] = timed(
            lambda: generic.serialize(use_version_2=False), SAMPLES
        )
        result["serialize_joints"] = timed(lambda: transport.serialize(JOINTS), SAMPLES)
        with Recording(Path(folder) / "benchmark.mcap", transport) as recording:
            # as a 200 Hz loop would, four times as fast
            result["record_pose"] = timed(
                lambda: recording.write("/PSM1/servo_cp", POSE, time.time_ns()), SAMPLES, pause_s=0.00125
            )
    print(json.dumps(result))


if __name__ == "__main__":
    main()
