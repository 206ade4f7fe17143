"""Another process on DDS, driven line by line over its standard input; it answers each line with one of its
own.

python -m tests.robot.messaging.peer DOMAIN TOPIC: `publish N` sends N poses with the stamps 1..N, `echo N`
sends back on TOPIC/echo the next N poses that arrive on TOPIC, `flood` sends poses until the process is
killed, `exit` closes the transport.
"""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from l0_surgical.robot.control.records import PoseStamped
from l0_surgical.robot.messaging.dds import DdsTransport
from l0_surgical.robot.messaging.transport import TELEMETRY

ROOT = Path(__file__).parents[3]


def pose(stamp_ns: int) -> PoseStamped:
    return PoseStamped(stamp_ns, "PSM1_base", (0.5, 0.25, -0.125), (0.0, 0.0, 0.0, 1.0))


def wait_until(condition: Callable[[], object], timeout_s: float = 20.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.005)


def socket_filter(descriptor: int) -> bytes:
    """The program by which the kernel drops some of what comes to a socket of this process; empty where it
    has none."""
    with socket.socket(fileno=os.dup(descriptor)) as handle:
        return handle.getsockopt(socket.SOL_SOCKET, 26, 8 * 16)


class Peer:
    """The other process; `ask` sends it a line and returns its answer."""

    def __init__(self, domain: int, topic: str, **environment: str) -> None:
        command = [sys.executable, "-m", "tests.robot.messaging.peer", str(domain), topic]
        self.process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=os.environ | {"PYTHONPATH": str(ROOT)} | environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout.readline() == "ready\n"

    def send(self, line: str) -> None:
        self.process.stdin.write(f"{line}\n")
        self.process.stdin.flush()

    def ask(self, line: str) -> str:
        self.send(line)
        return self.process.stdout.readline().strip()

    def __enter__(self) -> "Peer":
        return self

    def __exit__(self, *exception: object) -> None:
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()


def answer(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main(domain: int, topic: str) -> None:
    with DdsTransport(domain) as transport:
        # the other side may find this writer only after its first samples; with a depth of 1 they would be
        # gone by then
        published = transport.publisher(topic, PoseStamped, TELEMETRY)
        echoes = transport.publisher(f"{topic}/echo", PoseStamped, TELEMETRY)
        poses = transport.subscription(topic, PoseStamped, TELEMETRY)
        answer("ready")
        for line in sys.stdin:
            action, _, count = line.strip().partition(" ")
            if action == "exit":
                break
            if action == "publish":
                wait_until(lambda: published.peers() > 1)  # its own subscription is one
                for stamp_ns in range(1, int(count) + 1):
                    published.publish(pose(stamp_ns))
                    time.sleep(0.002)
            while action == "flood":
                published.publish(pose(1))
            if action == "echo":
                echoed = 0
                while echoed < int(count):
                    for received in poses.take():
                        echoes.publish(received.record)
                        echoed += 1
            answer("done")
    answer("closed")


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
