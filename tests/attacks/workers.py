"""Processes that last from attack to attack, so that imports are paid for once: one makes fresh arms, the
other fresh controllers.

Each does what it is told over a pipe, and ends when the other end of the pipe is gone.
"""

import contextlib
import multiprocessing
import multiprocessing.context
import os
import resource
import signal
import threading
import time
from collections.abc import Callable
from multiprocessing.connection import Connection as Pipe
from types import SimpleNamespace
from typing import Any

from l0_surgical.robot.control import clock
from l0_surgical.robot.control.controller import State
from l0_surgical.robot.control.records import Record
from l0_surgical.robot.messaging.dds import DdsPublisher, DdsTransport
from l0_surgical.robot.messaging.transport import Publisher, Qos
from l0_surgical.robot.requests import ConnectionSettings
from l0_surgical.robot.service import ControlService
from l0_surgical.system.errors import L0SurgicalError

ANSWER_S = 120.0  # the first one imports, and may have to compile
_LOOK_EVERY_S = 0.004

Lie = Callable[[Record, float], list[Record]]
"""What is published in place of a record, so many seconds after the lie began."""
Orders = dict[str, Callable[..., Any]]


def processes() -> multiprocessing.context.ForkServerContext:
    """How processes are made: as forks of one that has imported everything once, and has no thread that would
    not survive."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(
        ["tests.attacks.scene", "l0_surgical.robot.simulated_arm", "cyclonedds.domain", "mcap.writer"]
    )
    return context


def end_with_parent() -> None:
    """Ends this process when the one that made it is gone, however that ended."""

    def follow() -> None:
        multiprocessing.parent_process().join()
        os._exit(1)

    threading.Thread(target=follow, daemon=True).start()


class Worker:
    """A process seen from outside: `ask` gives it an order and returns its answer; `start` replaces one that
    has died.

    Attributes:
        events: what it said unasked, oldest first.
    """

    def __init__(self, serve: Callable[[Pipe], None]) -> None:
        self.events: list[tuple[Any, ...]] = []
        self._serve = serve
        self._lock = threading.RLock()
        self._process: multiprocessing.process.BaseProcess | None = None

    def start(self) -> None:
        """Harmless where it runs."""
        self.events = []
        if not self.is_alive:
            self._pipe, far = processes().Pipe()
            self._process = processes().Process(target=self._serve, args=(far,), daemon=True)
            self._process.start()
            far.close()

    @property
    def is_alive(self) -> bool:
        return self._process is not None and self._process.is_alive()

    def ask(self, *order: Any) -> Any:
        """Returns the answer; raises what the order raised, and EOFError where the process has died."""
        with self._lock:
            try:
                self._pipe.send(order)
                return self._answer()
            except TimeoutError:
                self.kill()  # its answer would be taken for that to another order
                raise
            except OSError as error:
                raise EOFError("the process has died") from error

    def listen(self) -> None:
        """Takes what it said unasked; what a process said that has died ends there."""
        with self._lock, contextlib.suppress(EOFError, OSError):
            while self._pipe.poll():
                self.events.append(self._pipe.recv())

    def signal(self, number: int) -> None:
        os.kill(self._process.pid, number)

    def kill(self) -> None:
        self.signal(signal.SIGKILL)
        self._process.join()

    def _answer(self) -> Any:
        while self._pipe.poll(ANSWER_S):
            kind, *rest = event = self._pipe.recv()
            if kind == "answer":
                return rest[0]
            if kind == "error":
                raise rest[0]
            self.events.append(event)
        raise TimeoutError(f"a worker gave no answer within {ANSWER_S:g} s")


class LyingTransport(DdsTransport):
    """The arm's own, on which some of what it says may be made untrue: by topic, when that began and what
    becomes of a record."""

    def __init__(self, domain: int) -> None:
        super().__init__(domain)
        self.lies: dict[str, tuple[float, Lie]] = {}
        self.publishers: dict[str, Publisher] = {}

    def publisher(self, topic: str, record_type: type[Record], qos: Qos) -> Publisher:
        self.publishers[topic] = _LyingPublisher(super().publisher(topic, record_type, qos), self.lies)
        return self.publishers[topic]


class _LyingPublisher:
    def __init__(self, honest: DdsPublisher, lies: dict[str, tuple[float, Lie]]) -> None:
        self.topic, self.peers, self.refusal = honest.topic, honest.peers, honest.refusal
        self._publish, self._lies = honest.publish, lies

    def publish(self, record: Record) -> None:
        begin_s, lie = self._lies.get(self.topic, (0.0, None))
        for said in (record,) if lie is None else lie(record, time.monotonic() - begin_s):
            self._publish(said)


def serve_arms(pipe: Pipe) -> None:
    """One simulated arm at a time: begin (domain, name), lie (topic, `Lie`), say (topic, record), end."""
    from l0_surgical.robot.simulated_arm import SimulatedArm

    opened = contextlib.ExitStack()
    transport: LyingTransport | None = None

    def begin(domain: int, name: str) -> None:
        nonlocal transport
        transport, stop = LyingTransport(domain), threading.Event()
        opened.callback(transport.close)
        arm = SimulatedArm(transport, name, inject=True)
        opened.callback(arm.close)
        thread = threading.Thread(target=arm.run, args=(stop,), daemon=True)
        thread.start()
        opened.callback(thread.join)
        opened.callback(stop.set)

    def lie(topic: str, what: Lie) -> None:
        transport.lies[topic] = time.monotonic(), what

    def say(topic: str, record: Record) -> None:
        transport.publishers[topic].publish(record)

    _serve(pipe, {"begin": begin, "lie": lie, "say": say, "end": opened.close})


def serve_controllers(pipe: Pipe) -> None:
    """One controller at a time, run as the ROS 2 node runs it: begin (settings, domain), arm, goal, disarm,
    reset, report, end.

    Unasked it says ("state", wall time in ns, state, fault) at each change, and ("outcome", wall time in ns,
    is reached) of each goal.
    """
    service: ControlService | None = None
    former: State | None = None

    def begin(settings: ConnectionSettings, domain: int) -> None:
        nonlocal service, former
        clock.time = time
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        former, service = None, ControlService(settings, lambda: DdsTransport(domain))
        service.start()

    def end() -> None:
        nonlocal service
        ended, service = service, None
        if ended is not None:
            ended.close()

    def look() -> None:
        nonlocal former
        if service is None:
            return
        now_ns, state = time.time_ns(), service.state
        if state is not former:
            former = state
            pipe.send(
                (
                    "state",
                    now_ns,
                    state.value,
                    service.report().controller.fault if state is State.FAULT else None,
                )
            )
        if (is_reached := service.take_outcome()) is not None:
            pipe.send(("outcome", now_ns, is_reached))

    def set_clock(seconds: float) -> None:
        """As if the computer's wall clock were set."""
        clock.time = SimpleNamespace(
            **vars(time) | {"time_ns": lambda: time.time_ns() + round(1e9 * seconds)}
        )

    def fill_disk() -> None:
        """The files of this process cannot grow any more."""
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1, resource.RLIM_INFINITY))

    orders: Orders = {"begin": begin, "end": end, "set_clock": set_clock, "fill_disk": fill_disk}
    orders |= {
        name: lambda name=name: getattr(service, name)() for name in ("arm", "disarm", "reset", "report")
    }
    orders["goal"] = lambda tip: service.set_goal(tip)
    _serve(pipe, orders, look, _LOOK_EVERY_S)


def _serve(
    pipe: Pipe, orders: Orders, look: Callable[[], None] = lambda: None, every_s: float | None = None
) -> None:
    """Carries out orders until the other end of the pipe is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with contextlib.suppress(EOFError, BrokenPipeError, ConnectionResetError):
        while True:
            look()
            if not pipe.poll(every_s):
                continue
            name, *arguments = pipe.recv()
            try:
                answer = orders[name](*arguments)
            except L0SurgicalError as error:
                pipe.send(("error", error))
            except Exception as error:
                pipe.send(("error", RuntimeError(f"{name}: {type(error).__name__}: {error}")))
            else:
                pipe.send(("answer", answer))
