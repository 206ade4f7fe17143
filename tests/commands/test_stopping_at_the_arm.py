"""Processes at an arm that are told to end: waiting, homing, recording to a full disk, speaking to a reader
that takes nothing."""

import contextlib
import fcntl
import json
import os
import pty
import resource
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from l0_surgical.robot.control.records import OperatingState, PoseStamped
from l0_surgical.robot.messaging.arm_client import CrtkArm
from l0_surgical.robot.messaging.dds import DdsTransport
from l0_surgical.robot.messaging.recording import read_recording
from l0_surgical.robot.messaging.transport import Qos
from l0_surgical.robot.simulated_arm.process import arm_beside
from tests.hil.shared_machine import write_limits

POLICY = "needle-reach-l0-compressed"
DOMAIN = 100 + (os.getpid() + 25) % 100  # of this process alone
ENDS_WITHIN_S = 10.0  # a loaded machine; what does not hear a signal takes a minute, or for ever
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
MAGIC = b"\x89MCAP0\r\n"


class Started:
    """`l0-surgical` with a command, as a process."""

    def __init__(self, *arguments: object, **options: object) -> None:
        command = [
            sys.executable,
            "-m",
            "l0_surgical",
            *map(str, arguments),
            "--domain",
            str(DOMAIN),
            "--no-real-time",
        ]
        options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | options
        self.process = subprocess.Popen(command, **options)

    def end(self) -> tuple[int, str, str]:
        """Its exit code and what it said on stdout and stderr; fails where it does not end."""
        output, said = self.process.communicate(timeout=ENDS_WITHIN_S)
        return self.process.returncode, (output or b"").decode(), (said or b"").decode()


@pytest.fixture
def start() -> Iterator[Callable[..., Started]]:
    """Starts a process, which does not outlive the test."""
    with contextlib.ExitStack() as started:

        def start(*arguments: object, **options: object) -> Started:
            one = Started(*arguments, **options)
            started.callback(one.process.wait)
            started.callback(one.process.kill)
            return one

        yield start


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    return tmp_path / "run.mcap"


def control(start: Callable[..., Started], recording: Path, *options: object, **popen: object) -> Started:
    """A controller that is about to wait for its arm."""
    limits = write_limits(recording.parent)
    started = start(
        "control",
        POLICY,
        "--limits",
        limits,
        "--record",
        recording,
        "--timeout",
        60,
        "--json",
        *options,
        **popen,
    )
    wait_until(
        lambda: recording.exists() or started.process.poll() is not None,
        "the controller to open its recording",
    )
    time.sleep(0.3)
    return started


def wait_until(condition: Callable[[], object], what: str, timeout_s: float = 60.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, f"waited {timeout_s:g} s in vain for {what}"
        time.sleep(0.01)


def is_complete(recording: Path) -> bool:
    data = recording.read_bytes()
    return len(data) > len(MAGIC) and data.endswith(MAGIC)


@contextlib.contextmanager
def full_pipe() -> Iterator[int]:
    """The end for writing of a pipe whose reader takes nothing, and which has no room any more."""
    read, write = os.pipe()
    os.set_blocking(write, False)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(write, bytes(4096))
    os.set_blocking(write, True)
    try:
        yield write
    finally:
        os.close(read)
        os.close(write)


@pytest.mark.parametrize("number", SIGNALS)
def test_waiting_for_an_arm_that_is_not_there(
    start: Callable[..., Started], recording: Path, number: signal.Signals
) -> None:
    started = control(start, recording)
    started.process.send_signal(number)
    code, output, said = started.end()
    assert code == 130, said
    result = json.loads(output)
    assert (result["interrupted_by"], result["failure"], result["setpoints"]) == (number.name, None, 0)
    assert "Traceback" not in said
    assert is_complete(recording)


@pytest.mark.parametrize("answers", [True, False], ids=["homing", "hung"])
def test_while_the_arm_is_homing_or_hangs(
    start: Callable[..., Started], recording: Path, answers: bool
) -> None:
    # at a hundredth of the time homing takes two minutes
    with arm_beside("--domain", str(DOMAIN), "--speed", "0.01") as arm, DdsTransport(DOMAIN) as transport:
        started = control(start, recording)
        ear = CrtkArm(transport)

        def is_homing() -> bool:
            state = ear.poll().operating_state
            return state is not None and state.record.is_busy

        wait_until(is_homing, "the arm to begin homing")
        time.sleep(0.3)  # until the controller has heard it as well
        if not answers:
            arm.send_signal(signal.SIGSTOP)
        started.process.send_signal(signal.SIGTERM)
        try:
            code, output, said = started.end()
        finally:
            arm.send_signal(signal.SIGCONT)
    assert code == 130, said
    assert json.loads(output)["setpoints"] == 0
    assert is_complete(recording)
    states = [record for _, _, record in read_recording(recording) if isinstance(record, OperatingState)]
    assert states[-1].is_busy


def test_a_terminal_that_goes_away_ends_it_in_order(start: Callable[..., Started], recording: Path) -> None:
    terminal, its_end = pty.openpty()
    with arm_beside("--domain", str(DOMAIN)), DdsTransport(DOMAIN) as transport:
        ear = transport.subscription("/PSM1/servo_cp", PoseStamped, Qos(10_000))
        into_terminal = {"stdin": its_end, "stdout": its_end, "stderr": its_end, "start_new_session": True}
        started = control(
            start, recording, preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0), **into_terminal
        )
        os.close(its_end)
        wait_until(ear.take, "a setpoint")
        os.close(terminal)
        started.process.wait(ENDS_WITHIN_S)
        time.sleep(0.2)
        heard = [received.record for received in ear.take()]
        assert is_complete(recording)
        sent = [record for topic, _, record in read_recording(recording) if topic == "/PSM1/servo_cp"]
        assert sent[-1] == heard[-1]
        notes = [
            record.data
            for topic, _, record in read_recording(recording)
            if topic == "/PSM1/l0_surgical/state"
        ]
        assert notes[-1] == "disarmed"


def limited(size: int) -> Callable[[], None]:
    """As a full disk: no file of the process grows beyond `size`."""
    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


def test_a_disk_that_is_full_from_the_beginning_keeps_the_arm_from_being_touched(
    start: Callable[..., Started], recording: Path
) -> None:
    with arm_beside("--domain", str(DOMAIN)), DdsTransport(DOMAIN) as transport:
        ear = CrtkArm(transport)
        code, output, said = control(start, recording, preexec_fn=limited(0)).end()
        state = ear.poll().operating_state
    assert (code, output) == (1, "")
    assert (
        said.splitlines()[-1]
        == f"l0-surgical: cannot record to {recording}: File too large; nothing was begun"
    )
    assert state.record.state == "DISABLED"
    assert not recording.exists()


def test_a_disk_that_becomes_full_hides_no_result(start: Callable[..., Started], recording: Path) -> None:
    with arm_beside("--domain", str(DOMAIN)):
        started = control(start, recording, "--goals", 50, preexec_fn=limited(1_000_000))
        line = ""
        while "nothing more is recorded: File too large" not in line:
            line = started.process.stderr.readline().decode()
            assert line, "it has ended"
        started.process.send_signal(signal.SIGTERM)
        code, output, said = started.end()
    assert code == 1
    result = json.loads(output)
    assert result["interrupted_by"] == "SIGTERM"
    assert result["setpoints"] > 0
    assert (
        result["failure"]
        == f"the recording {recording} is not complete: File too large; what was written can be read"
    )
    assert said.splitlines()[-1] == f"l0-surgical: {result['failure']}"
    assert "Traceback" not in said


def test_a_reader_of_stderr_that_takes_nothing(start: Callable[..., Started], recording: Path) -> None:
    with full_pipe() as blocked:
        started = control(start, recording, stderr=blocked)
        started.process.send_signal(signal.SIGINT)
        code, output, _ = started.end()
    assert code == 130
    assert json.loads(output)["interrupted_by"] == "SIGINT"
    assert is_complete(recording)


def test_a_simulated_arm_whose_reader_takes_nothing(start: Callable[..., Started]) -> None:
    with full_pipe() as blocked, DdsTransport(DOMAIN) as transport:
        started = start("simulate-arm", stderr=blocked)
        ear = CrtkArm(transport)
        wait_until(lambda: ear.poll().operating_state is not None, "the arm")
        # it would say whom it has found
        time.sleep(1.5)
        started.process.send_signal(signal.SIGTERM)
        assert started.end()[0] == 0


def test_a_reader_of_stderr_that_has_gone_ends_nothing(
    start: Callable[..., Started], recording: Path
) -> None:
    read, write = os.pipe()
    os.close(read)
    started = start("control", POLICY, "--timeout", 1, "--json", stderr=write)
    os.close(write)
    code, output, _ = started.end()
    assert code == 1
    assert "waited 1 s in vain" in json.loads(output)["failure"]


def test_a_second_signal_ends_what_waits_for_its_reader(
    start: Callable[..., Started], recording: Path
) -> None:
    with full_pipe() as blocked:
        started = control(start, recording, stdout=blocked)
        started.process.send_signal(signal.SIGTERM)
        wait_until(lambda: is_complete(recording), "the recording to be completed", ENDS_WITHIN_S)
        time.sleep(0.5)
        started.process.send_signal(signal.SIGTERM)
        assert started.end()[0] in (130, -signal.SIGTERM)
