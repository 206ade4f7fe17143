"""Which surgical tasks there are."""

from l0_surgical.surgical.needle_reach import NEEDLE_REACH
from l0_surgical.surgical.task import ArmTask
from l0_surgical.system.errors import BadInputError

_TASKS = {task.name: task for task in (NEEDLE_REACH,)}
_SURROL = "surrol:"


def arm_tasks() -> list[ArmTask]:
    """Returns all of them."""
    return list(_TASKS.values())


def arm_task(name: str) -> ArmTask:
    """Returns the task of that name, our own or SurRoL's: needle-reach, surrol:NeedleReach.

    Raises:
        BadInputError: no such task; the message lists the known ones.
    """
    versionless = name.partition("-v")[0]
    for task in arm_tasks():
        if name == task.name or versionless == _SURROL + task.title:
            return task
    known = ", ".join(f"{task.name} ({_SURROL}{task.title})" for task in arm_tasks())
    raise BadInputError(f"{name!r} is no task of a surgical arm; known are {known}")
