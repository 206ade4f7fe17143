"""A policy says itself which task it is for; what the controller cannot do is refused in one line."""

import dataclasses

import pytest
from example_policies import random_policy
from rig import POLICY, TASK, Rig

from l0_surgical import runtime
from l0_surgical.policy import Field, Policy
from l0_surgical.robot.control import policy_task
from l0_surgical.robot.control.motion import start_pose
from l0_surgical.robot.control.policy_task import task_of
from l0_surgical.robot.control.reaching import Reaching
from l0_surgical.surgical import ArmTask
from l0_surgical.system.errors import BadInputError

OPENING = dataclasses.replace(TASK, arms=(dataclasses.replace(TASK.arm, jaw_high_rad=0.7),))


@pytest.mark.parametrize("name", ["needle-reach", "surrol:NeedleReach", "surrol:NeedleReach-v0"])
def test_the_task_is_the_one_that_the_policy_names(name: str) -> None:
    policy = dataclasses.replace(POLICY, task=name)
    assert task_of(policy) is TASK
    assert Rig(policy=policy).controller.task is TASK


@pytest.mark.parametrize(
    "policy",
    [
        random_policy(task="needle-reach"),
        dataclasses.replace(POLICY, task="cartpole"),
        dataclasses.replace(POLICY, task="surrol:NeedlePick"),
        dataclasses.replace(POLICY, outputs=(*POLICY.outputs[:2], Field("jaw", 1, "1", -2.0, 2.0))),
    ],
    ids=["other fields", "no arm's", "an arm's that nobody knows", "other limits"],
)
def test_a_policy_of_another_task_is_refused_with_what_the_controller_runs(policy: Policy) -> None:
    with pytest.raises(BadInputError) as refused:
        task_of(policy)
    assert str(refused.value) == (
        f"this is a policy of {policy.task!r}; the controller runs NeedleReach policies, e.g. "
        "needle-reach-dense, needle-reach-l0, needle-reach-l0-compressed"
    )


@pytest.mark.parametrize(
    "task",
    [dataclasses.replace(TASK, arms=TASK.arms * 2), OPENING],
    ids=["two arms", "a jaw"],
)
def test_a_task_that_moves_more_than_one_arms_tool_is_refused(
    task: ArmTask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(policy_task, "arm_task", lambda name: task)
    with pytest.raises(BadInputError, match="moves a jaw or a second arm; the controller moves one arm"):
        task_of(POLICY)


def test_the_policy_sees_the_jaw_within_the_tasks_limits() -> None:
    """NeedleReach holds it at 0, so an offset of the arm's jaw is not seen; a task that opens it sees it."""
    for task, jaw_rad, seen in (
        (TASK, 0.1, 0.0),
        (TASK, -0.1, 0.0),
        (OPENING, 0.1, 0.1),
        (OPENING, -0.1, 0.0),
    ):
        reaching = Reaching(task, runtime.compile(POLICY), (0.06, 0.07, -0.165), Rig().controller.limits)
        reaching.step(start_pose(TASK), jaw_rad)
        assert reaching.observation[6] == seen


def test_the_controller_passes_on_what_the_arm_says_of_its_jaw() -> None:
    rig = Rig()
    rig.arm.jaw_rad = 0.1
    rig.controller.task = OPENING
    rig.reaching()
    observations = [
        record.data for topic, _, record in rig.recorder.messages if topic == "/PSM1/l0_surgical/observation"
    ]
    assert {observation[6] for observation in observations} == {0.1}
