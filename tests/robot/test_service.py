"""The controller as a service, at a simulated arm in this process."""

import dataclasses
import math
import re
import shutil
import time
from collections.abc import Callable, Iterator
from importlib import resources
from pathlib import Path

import pytest
from in_memory_transport import Broker, MemoryTransport

from l0_surgical.policy import find_policy
from l0_surgical.robot.control.clock import SystemClock
from l0_surgical.robot.control.controller import State
from l0_surgical.robot.control.records import PoseStamped, StringStamped
from l0_surgical.robot.messaging.recording import read_recording
from l0_surgical.robot.messaging.transport import EVENT, Qos
from l0_surgical.robot.requests import ConnectionSettings
from l0_surgical.robot.service import ControlService, report_texts
from l0_surgical.robot.simulated_arm import SimulatedArm
from l0_surgical.robot.worker import Worker
from l0_surgical.surgical.kinematics import SURROL_WORLD
from l0_surgical.system.errors import BadInputError, L0SurgicalError

POLICY = "needle-reach-l0-compressed"
GOAL = SURROL_WORLD.point_in_rcm((2.70, 0.05, 3.4356))
TIMEOUT_S = 30.0
# a machine that runs other tests beside this one is no robot's computer
SHARED_MACHINE = {"max_loop_gap_s": 2.0, "max_age_s": 1.0, "max_stamp_age_s": 2.0, "max_jump_m": 0.1}
SHARED_MACHINE |= {"max_tracking_error_m": 0.1, "max_tracking_error_rad": 1.0}


class CountedTransport(MemoryTransport):
    """Knows whether it was closed."""

    is_closed = False

    def close(self) -> None:
        self.is_closed = True


class Bench:
    """A simulated arm that runs in a thread, and what it needs of an operator."""

    def __init__(self, folder: Path) -> None:
        self.broker = Broker(SystemClock())
        self.transport = CountedTransport(self.broker)
        operator = MemoryTransport(self.broker)
        self._arm = SimulatedArm(MemoryTransport(self.broker), "PSM1")
        self._commands = operator.publisher("/PSM1/state_command", StringStamped, EVENT)
        self.commands_heard = operator.subscription("/PSM1/servo_cp", PoseStamped, Qos(100_000))
        self._worker = Worker("arm", self._arm.run)
        self.limits_file = folder / "limits.yaml"
        text = (
            resources.files("l0_surgical.robot.control").joinpath("limits.yaml").read_text(encoding="utf-8")
        )
        for name, value in SHARED_MACHINE.items():
            text = re.sub(f"(?m)^{name}: .*$", f"{name}: {value}", text)
        self.limits_file.write_text(text, encoding="utf-8")

    def service(self, **settings: object) -> ControlService:
        default = ConnectionSettings(POLICY, "PSM1", limits=self.limits_file, real_time=False)
        return ControlService(dataclasses.replace(default, **settings), lambda: self.transport)

    def bring_up(self) -> None:
        machine = self._arm.arm.machine
        self._commands.publish(StringStamped(1, "", "enable"))
        wait_until(lambda: machine.state == "ENABLED", "the arm to be enabled")
        self._commands.publish(StringStamped(1, "", "home"))
        # the tool's pose is known when the first homing is over
        wait_until(lambda: machine.current == "HOMED" and machine.is_cartesian_ready, "the arm to home")

    def stop_arm(self) -> None:
        self._worker.stop()

    def close(self) -> None:
        self._worker.stop()
        self._arm.close()


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path)
    yield bench
    bench.close()


def wait_until(condition: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + TIMEOUT_S
    while not condition():
        assert time.monotonic() < deadline, f"waited {TIMEOUT_S} s in vain for {what}"
        time.sleep(0.01)


def outcome_of(service: ControlService) -> bool:
    deadline = time.monotonic() + TIMEOUT_S
    while (is_reached := service.take_outcome()) is None:
        assert time.monotonic() < deadline, f"no outcome within {TIMEOUT_S} s: {service.report()}"
        time.sleep(0.01)
    return is_reached


def test_from_the_start_to_a_goal_and_to_the_end(bench: Bench, tmp_path: Path) -> None:
    policy = tmp_path / "policy.safetensors"
    shutil.copy(find_policy(POLICY), policy)
    service = bench.service(policy=str(policy), record=tmp_path / "service.mcap")
    with pytest.raises(L0SurgicalError, match="does not run"):
        service.arm()
    service.start()
    wait_until(lambda: service.report().arm_state is not None, "the arm's state")
    assert service.report().arm_state == "DISABLED, not homed"
    with pytest.raises(L0SurgicalError, match="DISABLED"):
        service.arm()
    with pytest.raises(L0SurgicalError, match="arm it before"):
        service.set_goal(GOAL)
    bench.bring_up()
    wait_until(lambda: arms(service), "the arm's first valid pose")
    assert bench.commands_heard.take() == []
    with pytest.raises(BadInputError, match="goal"):
        service.set_goal((1.0, 0.0, 0.0))
    assert service.take_outcome() is None
    service.set_goal(GOAL)
    assert service.take_outcome() is None
    # the engine goes on with the weights that it has
    policy.write_bytes(b"")
    assert outcome_of(service)
    assert service.take_outcome() is None
    report = service.report()
    assert (report.controller.state, report.goals, report.goals_reached) == ("holding", 1, 1)
    assert report.controller.distance_mm < 5
    assert [f"the policy file {policy} has changed" in warning for warning in report.warnings] == [True]
    assert service.report().warnings == report.warnings
    service.close()
    sent = [received.record for received in bench.commands_heard.take()]
    assert bench.transport.is_closed
    recorded = list(read_recording(tmp_path / "service.mcap"))
    assert [record for topic, _, record in recorded if topic == "/PSM1/servo_cp"] == sent
    assert len(sent) > 200


def arms(service: ControlService) -> bool:
    try:
        service.arm()
    except L0SurgicalError:
        return False
    return True


def test_a_fault_ends_the_goal_and_outlasts_a_restart(bench: Bench) -> None:
    service = bench.service()
    service.start()
    bench.bring_up()
    wait_until(lambda: arms(service), "the arm's first valid pose")
    service.set_goal(GOAL)
    wait_until(bench.commands_heard.take, "a setpoint")
    bench.stop_arm()
    assert not outcome_of(service)
    fault = service.report().controller.fault
    assert "stopped" in fault
    service.stop()
    service.start()
    assert service.report().controller.fault == fault
    with pytest.raises(L0SurgicalError, match="reset it first"):
        service.arm()
    service.reset()
    assert service.state is State.DISARMED
    service.close()


def test_stopping_disarms_and_a_new_start_is_disarmed(bench: Bench) -> None:
    service = bench.service()
    service.start()
    bench.bring_up()
    wait_until(lambda: arms(service), "the arm's first valid pose")
    service.set_goal(GOAL)
    wait_until(bench.commands_heard.take, "a setpoint")
    service.stop()
    bench.commands_heard.take()
    assert not outcome_of(service)
    service.start()
    wait_until(lambda: service.report().loop.ticks > 20, "the loop")
    assert service.state is State.DISARMED
    assert bench.commands_heard.take() == []
    service.arm()
    assert service.state is State.READY
    service.disarm()
    assert service.state is State.DISARMED
    service.close()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"policy": "no-such-policy"}, "no-such-policy is neither a file nor a shipped policy"),
        ({"limits": Path("no-such-limits.yaml")}, "cannot read the limits"),
        ({"servo_rate": 1000.0}, "--servo-rate 1000.0: "),
        ({"servo_rate": math.nan}, "--servo-rate nan: "),
        ({"servo_rate": True}, "--servo-rate True: "),
        ({"speed": 2.0}, "--speed 2.0: "),
        ({"speed": 0}, "--speed 0: "),
        ({"dry_run": "no"}, "--dry-run 'no': "),
        ({"record": Path("no-ending")}, "ending .mcap"),
        ({"record": Path("/proc/no/folder.mcap")}, "cannot create the folder /proc/no"),
        ({"record": Path(__file__) / "x.mcap"}, "cannot create the folder"),
        ({"arm": "PSM 1"}, "the arm's name is 'PSM 1'"),
        ({"arm": "PSM\uff11"}, "the arm's name is 'PSM\uff11'"),
        ({"arm": "P" * 5000}, r"the arm's name is 'P+\.\.\.; it must be of letters"),
        ({"arm": ""}, "the arm's name is ''"),
        ({"policy": "p" * 5000}, "neither a file nor a shipped policy"),
    ],
)
def test_bad_settings_are_refused_before_anything_is_opened(
    bench: Bench, settings: dict[str, object], message: str
) -> None:
    opened: list[CountedTransport] = []

    def open_transport() -> CountedTransport:
        opened.append(CountedTransport(bench.broker))
        return opened[-1]

    with pytest.raises(BadInputError, match=message):
        ControlService(
            dataclasses.replace(ConnectionSettings(POLICY, "PSM1", real_time=False), **settings),
            open_transport,
        )
    assert opened == []


@dataclasses.dataclass(frozen=True)
class Inner:
    p99_ms: float
    reason: str | None


@dataclasses.dataclass(frozen=True)
class Outer:
    inner: Inner
    goal: tuple[float, ...]
    is_reached: bool


def test_a_report_becomes_pairs_of_texts() -> None:
    report = Outer(Inner(0.123456789, None), (0.1, -0.2), True)
    assert report_texts(report) == [
        ("inner.p99_ms", "0.123457"),
        ("inner.reason", "none"),
        ("goal", "0.1; -0.2"),
        ("is_reached", "True"),
    ]
