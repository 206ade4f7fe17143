"""The scripted expert of NeedleReach: it heads straight for the goal at three tenths of the full speed.

Source: SurRoL (Xu et al. 2021), the oracle of its NeedleReach task. It is slow: its return is about -18.8,
the optimum about -5.2.
"""

import numpy as np

UNIT = 0.01
STAND_STILL = 1.5
SPEED = 0.3


def expert_action(observation: dict[str, np.ndarray]) -> np.ndarray:
    """Returns the expert's action (5,) for one observation of the goal environment (positions in scaled
    metres)."""
    delta = (observation["desired_goal"] - observation["achieved_goal"]) / UNIT
    action = np.zeros(5, dtype=np.float32)
    if np.linalg.norm(delta) >= STAND_STILL:
        action[:3] = SPEED * delta / max(1.0, np.abs(delta).max())
    return action
