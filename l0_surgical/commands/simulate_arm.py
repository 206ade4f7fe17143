"""The command `simulate-arm`."""

from collections.abc import Callable
from typing import Annotated

import tyro

from l0_surgical.commands.speaking import say
from l0_surgical.robot.requests import SimulationRequest


def command(request: Annotated[SimulationRequest, tyro.conf.arg(name="")]) -> Callable[[], int]:
    """Simulates a da Vinci arm with all its CRTK topics, until Ctrl-C.

    Args:
        request: Which arm, and how.
    """

    def run() -> int:
        from l0_surgical.robot.simulated_arm.process import simulate

        return simulate(request, say)

    return run
