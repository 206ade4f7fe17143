"""What can be learned: the registry of tasks. Importing it registers our Gymnasium environments and loads no
simulator."""

from l0_surgical.tasks.boundary import flatten_observation
from l0_surgical.tasks.registry import TASKS, Task, get_task, known_tasks, register_task

__all__ = ["TASKS", "Task", "flatten_observation", "get_task", "known_tasks", "register_task"]
