"""The instrument that the simulated arm holds: a large needle driver for Classic arms, and the four discs by
which it is driven.

Source of the numbers: dVRK 2.4, share/kinematic/PSM.json, share/tool/LARGE_NEEDLE_DRIVER_400006.json,
share/pid/sawControllersPID-PSM.json.
"""

import numpy as np

NAME = "LARGE_NEEDLE_DRIVER:400006"
SHOWN_NAME = f"{NAME}[..]"
"""As the dVRK says it on tool_type: of any version."""
LOWER = np.array((-1.588, -0.925025, 0.0, -4.53786, -1.39626, -1.39626, -0.698132))
UPPER = np.array((1.588, 0.925025, 0.24, 4.53786, 1.39626, 1.39626, 1.39626))
"""Of the joints and the jaw (7,), rad and m."""
JOINTS_WITHOUT_TOOL = ("yaw", "pitch", "insertion", "disc_1", "disc_2", "disc_3", "disc_4")

_JOINTS_FROM_DISCS = np.array(
    (
        (-1.5632, 0.0, 0.0, 0.0),
        (0.0, 1.0186, 0.0, 0.0),
        (0.0, -0.8306, 0.6089, 0.6089),
        (0.0, 0.0, -1.2177, 1.2177),
    )
)
_DISCS_FROM_JOINTS = np.linalg.inv(_JOINTS_FROM_DISCS)
# beyond these the arm's PID takes the motors for out of control: yaw, pitch, insertion, discs
_MAX_TRACKING_ERROR = np.array((0.5, 0.5, 0.05, 0.6, 0.6, 0.6, 0.6))


def actuators(joints: np.ndarray) -> np.ndarray:
    """Yaw, pitch, insertion and the four discs' angles (7,) for roll, wrist and jaw as in `joints` (7,)."""
    return np.concatenate((joints[:3], _DISCS_FROM_JOINTS @ joints[3:]))


def is_out_of_control(setpoint: np.ndarray, measured: np.ndarray) -> bool:
    """Whether joints and jaw (7,) are further from where they should be than the PID bears."""
    return bool((np.abs(actuators(setpoint - measured)) > _MAX_TRACKING_ERROR).any())
