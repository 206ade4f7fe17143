"""What `l0-surgical simulate-arm` does, and how another program starts it beside itself."""

import contextlib
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from l0_surgical.robot.control.realtime import enter_real_time
from l0_surgical.robot.messaging.opening import open_transport
from l0_surgical.robot.requests import SimulationRequest
from l0_surgical.system.errors import BadInputError
from l0_surgical.system.stopping import Stop

if TYPE_CHECKING:
    from l0_surgical.robot.simulated_arm import SimulatedArm

_PEERS_EVERY_S = 1.0
_PATIENCE_S = 5.0
_BESIDE = f"""
import signal, sys
from l0_surgical.commands.main import main
from l0_surgical.system.process import follow_parent
follow_parent(0, signal.SIGTERM, {_PATIENCE_S})
sys.exit(main())
"""


def simulated_arm_class() -> "type[SimulatedArm]":
    """The class, which a computer at a real arm cannot load: there may be no simulator.

    Raises:
        BadInputError: a package is missing.
    """
    try:
        from l0_surgical.robot.simulated_arm import SimulatedArm
    except ImportError as error:
        raise BadInputError(
            f"the simulated arm needs a package ({error}); install it with: pip install gymnasium pybullet"
        ) from error
    return SimulatedArm


def simulate(request: SimulationRequest, say: Callable[[str], None]) -> int:
    """Runs an arm in this thread until SIGINT, SIGTERM or the end of its duration; returns 0, its end being
    asked for.

    `say` gets a line when the arm is there, and one whenever other topics have found their peer.

    Raises:
        BadInputError, L0SurgicalError: something cannot be opened.
    """
    stop = Stop()
    # an arm that never rests would keep everything else from running
    refused = enter_real_time().refused if request.real_time and request.speed > 0 else ()
    with contextlib.ExitStack() as opened:
        node_name = f"l0_surgical_arm_{request.arm}"
        transport = open_transport(
            request.transport, request.domain, request.discovery, node_name, request.interface
        )
        opened.callback(transport.close)
        arm = simulated_arm_class()(
            transport, request.arm, request.mode, telemetry_rate=request.telemetry_rate, inject=request.inject
        )
        opened.callback(arm.close)
        for text in refused:
            say(f"without {text}")
        say(f"{request.arm} is simulated ({request.mode}), DISABLED and not homed; Ctrl-C ends it")
        timers = [threading.Thread(target=_tell_peers, args=(arm, stop, say), daemon=True)]
        if request.duration is not None:
            timers.append(threading.Timer(request.duration, stop.set))
            timers[-1].daemon = True
        with stop.on_signals():
            for timer in timers:
                timer.start()
            arm.run(stop, request.speed)
            timers[0].join()
    return 0


@contextlib.contextmanager
def arm_beside(*arguments: str, timeout_s: float = 60.0) -> Iterator[subprocess.Popen[str]]:
    """Starts `l0-surgical simulate-arm` with `arguments` in a process of its own, waits until the arm is
    there, and ends it on leaving.

    Raises:
        BadInputError: it ended at once; says what it said.
    """
    command = [sys.executable, "-c", _BESIDE, "simulate-arm", *arguments]
    # stdin is never written: its end tells the arm that this process is gone
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8", errors="replace"
    )
    watchdog = threading.Timer(timeout_s, process.kill)
    watchdog.start()
    said = []
    try:
        for line in process.stderr:
            said.append(line.strip())
            if " is simulated " in line:
                break
        else:
            raise BadInputError(f"the simulated arm did not start: {' '.join(said) or 'it said nothing'}")
        watchdog.cancel()
        # nobody reads on: let it write
        threading.Thread(target=process.stderr.read, daemon=True).start()
        yield process
    finally:
        watchdog.cancel()
        process.terminate()
        try:
            process.wait(_PATIENCE_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _tell_peers(arm: "SimulatedArm", stop: threading.Event, say: Callable[[str], None]) -> None:
    former = ""
    while not stop.wait(_PEERS_EVERY_S):
        line = arm.describe_peers()
        if line != former:
            say(line)
        former = line
