"""The judge sees what it has to: made-up ways of an arm, each with one thing wrong."""

import math

import pytest

from l0_surgical.robot.control.limits import load_limits
from l0_surgical.robot.control.poses import Pose
from l0_surgical.robot.control.records import JointState, PoseStamped, Record
from l0_surgical.robot.messaging import crtk
from l0_surgical.surgical.kinematics import inverse_kinematics
from tests.attacks.attack import Attack, Either, Ends, Harmless, Notice
from tests.attacks.attacker import Log, moved
from tests.attacks.catalogue import ATTACKS
from tests.attacks.judge import Findings, Judge
from tests.attacks.stage import Result
from tests.attacks.verdict import escapes

LIMITS = load_limits()
HOME = PoseStamped(0, "PSM1_base", (0.0, 0.0, -0.1135), (math.sqrt(0.5), math.sqrt(0.5), 0.0, 0.0))
MS = 1_000_000
BEGIN_NS = 1_700_000_000_000_000_000


class Way:
    """An arm that is at once where it was told to be: 0.3 mm every 5 ms along x, a sample every 10 ms."""

    def __init__(self) -> None:
        self.log = Log()
        self.commands: list[PoseStamped] = []
        self.samples = [moved(HOME, stamp_ns=BEGIN_NS - 10 * MS)]
        self.frame_m = 0.0  # by which the base frame was moved along z
        self.now_ns = BEGIN_NS

    def go(self, milliseconds: int, z_m: float = 0.0) -> "Way":
        for _ in range(milliseconds // 10):
            for _ in range(2):
                self.now_ns += 5 * MS
                former = self.commands[-1] if self.commands else HOME
                self.commands.append(moved(former, 0.0003, 0.0, z_m, stamp_ns=self.now_ns))
            self.sample(moved(self.commands[-1], 0.0, 0.0, -self.frame_m))
        return self

    def sample(self, pose: PoseStamped) -> None:
        self.samples.append(moved(pose, stamp_ns=self.now_ns + 2 * MS))

    def judged(self, topic: str = "local/measured_cp", said: list[Record] | None = None) -> Findings:
        judge = Judge.__new__(Judge)
        judge.heard = {
            "servo_cp": [*self.commands, *self.log.sent.get("servo_cp", [])],
            topic: self.samples if said is None else said,
        }
        return judge.find(self.log, LIMITS, topic)


def test_a_way_within_the_limits_is_as_long_as_its_steps() -> None:
    found = Way().go(200).judged()
    assert found.step_mm == pytest.approx(0.3)
    assert found.any_step_mm == pytest.approx(0.6)
    assert found.outside_mm == found.any_outside_mm == 0


def test_a_moved_base_frame_is_a_step_of_the_next_command() -> None:
    way = Way().go(100)
    way.frame_m = 0.004
    assert way.go(100).judged().step_mm == pytest.approx(4, abs=0.02)


def test_a_creeping_base_frame_brings_the_tool_out() -> None:
    way = Way()
    for count in range(40):
        way.frame_m = 0.0015 * count
        way.go(20)
    found = way.judged()
    assert found.outside_mm == pytest.approx(
        1e3 * (LIMITS.workspace_low_m[2] + 0.1135 + 39 * 0.0015), abs=0.01
    )
    assert found.step_mm == pytest.approx(1.5, abs=0.04)


def test_a_command_that_was_on_its_way_when_the_base_frame_was_moved_is_not_the_controllers() -> None:
    """Its next one is."""
    for late_ms, step_mm in ((1, 0.3), (-9, 20.0)):
        way = Way().go(100)
        way.frame_m = 0.02
        way.go(10)
        way.log.frames = [way.commands[-1].stamp_ns + late_ms * MS]
        found = way.judged()
        assert found.step_mm == pytest.approx(step_mm, abs=0.02)
        assert found.any_step_mm > 20


def test_a_first_command_far_from_the_arm_is_a_step() -> None:
    way = Way()
    way.commands.append(moved(HOME, 0.009, stamp_ns=way.now_ns))
    assert way.go(50).judged().step_mm == pytest.approx(9)


@pytest.mark.parametrize("set_by_s", [0.03, 1, -1])
def test_stamps_of_a_clock_that_is_set_are_no_steps(set_by_s: float) -> None:
    """Nor if there was a pause before that is nearly as long."""
    way = Way().go(150)
    way.now_ns += 15 * MS
    way.go(150)
    way.log.begun_ns, way.log.clock_ns = way.now_ns, round(1e9 * set_by_s)
    way.go(300)
    way.commands[60:] = [
        moved(command, stamp_ns=command.stamp_ns + way.log.clock_ns) for command in way.commands[60:]
    ]
    assert way.judged().step_mm == pytest.approx(0.3)


def test_an_arm_that_takes_its_tool_for_another_does_not_move() -> None:
    """Its own pose jumps; by its joints the tool is where it was."""
    way = Way().go(100)
    for sample in way.samples[5:]:
        way.samples[way.samples.index(sample)] = moved(sample, 0.0, 0.0, -0.051)
    assert way.judged().step_mm > 50
    joints = [
        JointState(pose.stamp_ns, "", (), tuple(inverse_kinematics(Pose.of(pose).matrix(), 0.0).tolist()))
        for pose in [moved(HOME, stamp_ns=BEGIN_NS - 10 * MS), *way.commands[1::2]]
    ]
    assert way.judged("measured_js", joints).step_mm == pytest.approx(0.3, abs=1e-3)


def test_an_arm_that_obeys_late_is_not_moved_farther() -> None:
    """Its first sample after the arming comes 0.1 s after the first command."""
    way = Way()
    way.go(100)
    del way.samples[1:-1]
    assert way.go(50).judged().step_mm == pytest.approx(0.3)


def test_a_jump_between_two_commands_is_a_step() -> None:
    way = Way().go(50)
    way.commands.append(moved(way.commands[-1], 0.002, stamp_ns=way.now_ns))
    assert way.go(50).judged().step_mm == pytest.approx(2)


def test_what_somebody_else_moves_is_not_the_controllers() -> None:
    way = Way().go(100)
    foreign = moved(HOME, 0.0, 0.0, -0.1, stamp_ns=way.now_ns + 1)
    way.log.sent["servo_cp"], way.log.motions = [foreign], [(way.now_ns, way.now_ns + 50 * MS)]
    way.sample(foreign)
    found = way.judged()
    assert found.any_outside_mm > 50
    assert found.any_step_mm > 50
    assert found.outside_mm == 0
    assert found.step_mm == pytest.approx(0.3)


def test_of_a_copy_and_its_original_one_is_the_controllers() -> None:
    way = Way().go(100)
    way.log.sent["servo_cp"] = way.commands[3:5]
    judge = Judge.__new__(Judge)
    judge.heard = {"servo_cp": [*way.commands, *way.commands[3:5]]}
    assert judge.commands(way.log) == way.commands


@pytest.mark.parametrize(
    ("expect", "result", "kinds"),
    [
        (Notice("hold"), Result(said="somebody says hold", noticed_ms=5), set()),
        (Notice("hold"), Result(said="somebody says hold", noticed_ms=80), {"unnoticed"}),
        (Notice("hold"), Result(said="the arm is PAUSED", noticed_ms=5), {"unnoticed"}),
        (Notice("hold"), Result(goals=1, reached=1), {"unnoticed"}),
        (Harmless(""), Result(goals=1, reached=1), set()),
        (Harmless(""), Result(goals=2, reached=1), {"disturbed"}),
        (Harmless(""), Result(said="the arm is PAUSED", goals=1, reached=1), {"disturbed"}),
        (Harmless(""), Result(), {"disturbed"}),
        (Ends(""), Result(went_on_s=0.0), set()),
        (Ends(""), Result(went_on_s=0.5), {"unnoticed"}),
        (Either(""), Result(step_mm=1.3), {"step"}),
        (Either(""), Result(outside_mm=3.3), {"outside"}),
        (Either(""), Result(goals=1, reached=1, falsely_reached=1), {"false goal"}),
        (Either(""), Result(answer_ms=150), {"late answer"}),
        (Either(""), Result(trouble="no arm"), {"trouble"}),
        (Either(""), Result(step_mm=1.2, outside_mm=3.2, answer_ms=90), set()),
    ],
)
def test_the_verdict(expect: object, result: Result, kinds: set[str]) -> None:
    attack = Attack("name", "does", "reaching", print, expect)
    assert escapes(attack, result, LIMITS).keys() == kinds


def test_everything_that_an_arm_can_be_told_is_tried() -> None:
    tried = {topic for attack in ATTACKS.values() for topic in attack.opens.split()}
    assert tried >= crtk.SUBSCRIBED.keys()


def test_what_began_before_the_arming_must_be_refused() -> None:
    attack = Attack("name", "does", "before arming", print, Notice("hold"))
    assert escapes(attack, Result(said="hold", noticed_ms=900), LIMITS) == {}
    assert escapes(attack, Result(said="hold", noticed_ms=900, commands=2), LIMITS).keys() == {"unnoticed"}
