"""The hardware-in-the-loop suite: the same tests at a simulated arm (which they start) and at a real one.

pytest tests/hil                                          a simulated arm over DDS
pytest tests/hil --arm PSM1 --transport ros2 --real    a real arm: asks first, a quarter of the speed
"""

import contextlib
import os
import random
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.register_assert_rewrite("bench")

from bench import Bench, Setup  # noqa: E402

REAL_SPEED = 0.25


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("hardware in the loop")
    group.addoption("--arm", help="the arm's ROS namespace (default: PSM1)")
    group.addoption("--transport", choices=("dds", "ros2"), help="default: dds")
    group.addoption(
        "--domain",
        type=int,
        help="ROS_DOMAIN_ID; by default that of the environment, and one of its own for a simulated arm",
    )
    group.addoption(
        "--discovery", choices=("localhost", "subnet"), help="whom dds finds (default: localhost)"
    )
    group.addoption("--real", action="store_true", help="the arm is real: it will move")
    group.addoption("--confirm", metavar="ARM", help="instead of typing the arm's name when asked")
    group.addoption("--limits", type=Path, help="safety limits (YAML) of a real arm")


def option(config: pytest.Config, name: str, default: object) -> object:
    """An option, or its default: where the whole suite is run, this file is loaded too late to add any."""
    value = config.getoption(name, None)
    return default if value is None else value


@pytest.fixture(scope="session")
def setup(request: pytest.FixtureRequest) -> Iterator[Setup]:
    """The arm under test; a simulated one is started here and ended afterwards, a real one only touched after
    a confirmation."""
    config = request.config
    arm, is_real = option(config, "--arm", "PSM1"), bool(option(config, "--real", False))
    transport = option(config, "--transport", "dds")
    # domains of their own keep test processes of one machine apart
    domain = option(config, "--domain", None if is_real else random.Random(os.getpid()).randrange(20, 100))
    setup = Setup(
        arm=str(arm),
        transport=str(transport),
        domain=domain,
        discovery=str(option(config, "--discovery", "localhost")),
        is_real=is_real,
        speed=REAL_SPEED if is_real else 1.0,
        limits_file=option(config, "--limits", None),
    )
    with ended_in_order():
        if is_real:
            confirm(config, setup)
            yield setup
        else:
            for package in ("gymnasium", "pybullet"):
                pytest.importorskip(package, reason="the simulated arm needs it")
            with setup.simulated_arm():
                yield setup


@contextlib.contextmanager
def ended_in_order() -> Iterator[None]:
    """SIGTERM and a closed terminal end the suite as Ctrl-C does: the controller disarms, a simulated arm
    does not outlive it."""
    former = {
        number: signal.signal(number, signal.default_int_handler)
        for number in (signal.SIGTERM, signal.SIGHUP)
    }
    try:
        yield
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)


def confirm(config: pytest.Config, setup: Setup) -> None:
    """Ends the run unless a person has said that this arm may move."""
    limits = setup.limits_file or "the package's limits"
    asked = (
        f"{setup.arm} will be enabled, homed and moved at {setup.speed:.0%} of the policy's speed, "
        f"within {limits}"
    )
    given = option(config, "--confirm", None)
    if given is None and sys.stdin is not None and sys.__stdin__.isatty():
        capture = config.pluginmanager.getplugin("capturemanager")
        with capture.global_and_fixture_disabled():
            given = input(f"\n{asked}. A hand on the emergency stop; then type the arm's name: ").strip()
    if given != setup.arm:
        pytest.exit(
            f"{asked}: not confirmed. Type the arm's name when asked, or give --confirm {setup.arm}",
            returncode=2,
        )


@pytest.fixture
def bench(setup: Setup, tmp_path: Path) -> Iterator[Bench]:
    """A controller at the arm; afterwards the recordings must show that no limit was broken."""
    bench = Bench(setup, tmp_path)
    try:
        yield bench
    finally:
        bench.close()
    bench.assert_no_limit_was_broken()
