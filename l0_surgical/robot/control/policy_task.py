"""Which task a policy is to do at the arm, and whether the controller can."""

from l0_surgical.policy import Policy, shipped_policies
from l0_surgical.surgical import ArmTask, arm_task, arm_tasks
from l0_surgical.system.errors import BadInputError


def task_of(policy: Policy) -> ArmTask:
    """The task that a policy was trained on.

    Raises:
        BadInputError: it is no task of an arm, the policy does not observe and act as one of that task does,
            or the task moves what the controller does not.
    """
    try:
        task = arm_task(policy.task)
        is_its = (policy.inputs, policy.outputs) == (task.inputs, task.outputs)
    except BadInputError:
        is_its = False
    if not is_its:
        raise BadInputError(
            f"this is a policy of {policy.task!r}; the controller runs "
            f"{', '.join(task.title for task in arm_tasks())} policies, e.g. {', '.join(shipped_policies())}"
        )
    if len(task.arms) > 1 or task.arm.jaw_low_rad < task.arm.jaw_high_rad:
        raise BadInputError(
            f"this is a policy of {policy.task!r}, which moves a jaw or a second arm; the controller moves "
            "one arm and holds its jaw still"
        )
    return task
