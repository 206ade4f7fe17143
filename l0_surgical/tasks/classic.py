"""The facts of the classic suite: CartPole-v1, Acrobot-v1, LunarLander-v3.

LunarLander: the paper used v2, which Gymnasium has retired. v3 is used in both engines; without wind, which
is off by default, only the version number differs.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class ClassicTask:
    """A task of the suite.

    Attributes:
        gymnasium_id: the same in EnvPool.
        target: the paper's target return (Goddla 2024, Table 1).
        fields: name and unit of each entry of the observation.
        scale: an observation divided by it is of order one; the policies' normaliser.
        actions: what each action does.
        title: its name in tables and figures.
        random_return: the mean return of uniformly random actions over 1 000 episodes (reset seeds 0 to 999).
    """

    gymnasium_id: str
    target: float
    fields: tuple[tuple[str, str], ...]
    scale: tuple[float, ...]
    actions: tuple[str, ...]
    title: str
    random_return: float


CLASSIC: dict[str, ClassicTask] = {
    "cartpole": ClassicTask(
        "CartPole-v1",
        500.0,
        (("cart_position", "m"), ("cart_velocity", "m/s"), ("pole_angle", "rad"), ("pole_velocity", "rad/s")),
        (2.4, 2.0, 0.2, 2.0),
        ("push_left", "push_right"),
        "CartPole",
        22.2,
    ),
    "acrobot": ClassicTask(
        "Acrobot-v1",
        -100.0,
        (
            *(("cos_angle_1", "1"), ("sin_angle_1", "1"), ("cos_angle_2", "1"), ("sin_angle_2", "1")),
            *(("velocity_1", "rad/s"), ("velocity_2", "rad/s")),
        ),
        (1.0, 1.0, 1.0, 1.0, 4.0, 8.0),
        ("torque_minus_1", "torque_0", "torque_plus_1"),
        "Acrobot",
        -499.1,
    ),
    "lunar-lander": ClassicTask(
        "LunarLander-v3",
        200.0,
        (
            *(
                ("x", "half width of the viewport"),
                ("y", "half height of the viewport"),
                ("velocity_x", "1"),
                ("velocity_y", "1"),
            ),
            *(
                ("angle", "rad"),
                ("angular_velocity", "1"),
                ("left_leg_contact", "1"),
                ("right_leg_contact", "1"),
            ),
        ),
        (1.0,) * 8,
        ("nothing", "left_engine", "main_engine", "right_engine"),
        "LunarLander",
        -181.7,
    ),
}
