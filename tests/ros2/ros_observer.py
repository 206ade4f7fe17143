"""A ROS node that watches the nodes under test, and the processes that it starts in its domain."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from typing import Any

TIMEOUT_S = 30.0


class Observer:
    """An rclpy node in a context of its own, spun while a test waits.

    Attributes:
        node: the rclpy node.
        environment: of processes that shall be in the same domain.
    """

    def __init__(self, domain: int) -> None:
        import rclpy
        from rclpy.context import Context
        from rclpy.executors import SingleThreadedExecutor

        self._context = Context()
        rclpy.init(args=[], context=self._context, domain_id=domain)
        self.node = rclpy.create_node("observer", context=self._context)
        self._executor = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self.node)
        self.environment = {**os.environ, "ROS_DOMAIN_ID": str(domain)}
        self._processes: list[subprocess.Popen[str]] = []

    def start(self, *command: str) -> subprocess.Popen[str]:
        """Starts a process with a process group of its own, so that signals reach what it starts."""
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
        process = subprocess.Popen(command, env=self.environment, start_new_session=True, **pipes)
        self._processes.append(process)
        return process

    def wait(self, condition: Callable[[], Any], what: str, timeout_s: float = TIMEOUT_S) -> None:
        deadline = time.monotonic() + timeout_s
        while not condition():
            assert time.monotonic() < deadline, f"waited {timeout_s} s for {what}"
            self._executor.spin_once(timeout_sec=0.05)

    def call(self, service_type: type, name: str, request: Any) -> Any:
        client = self.node.create_client(service_type, name)
        self.wait(client.service_is_ready, name)
        future = client.call_async(request)
        self.wait(future.done, f"{name} to answer")
        self.node.destroy_client(client)
        return future.result()

    def close(self) -> None:
        for process in self._processes:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            process.stdout.close()
        self._executor.shutdown()
        self.node.destroy_node()
        self._context.try_shutdown()


def diagnostics_of(messages: Sequence[Any], name: str) -> list[Any]:
    """The statuses of one node in arrays of diagnostics, oldest first."""
    return [status for message in messages for status in message.status if status.name == name]
