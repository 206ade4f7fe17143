"""Pictures of NeedleReach without a display, by PyBullet's software renderer.

The shapes to look at live in a client of their own, so that the physics neither loads them nor depends on
whether anyone looks.
"""

from collections.abc import Sequence

import numpy as np
import pybullet

from l0_surgical.tasks.needle_reach.simulation import JOINTS, load_bodies, motor_positions

WIDTH, HEIGHT = 480, 360
OVERSAMPLING = 2
CENTRE = (2.70, 0.02, 3.53)
CAMERA = {
    "cameraTargetPosition": (0, 0, 0),
    "distance": 1.24,
    "yaw": 118.0,
    "pitch": -24.0,
    "roll": 0.0,
    "upAxisIndex": 2,
}
FIELD_OF_VIEW_DEG = 33.0
LIGHT = {"lightDirection": (0.6, -0.6, 2.0), "lightDistance": 4.0, "lightColor": (1.0, 0.98, 0.95)}
SHADING = {"shadow": 1, "lightAmbientCoeff": 0.45, "lightDiffuseCoeff": 0.58, "lightSpecularCoeff": 0.20}
GOAL_RADIUS, GOAL_COLOUR = 0.014, (0.15, 0.80, 0.45, 1.0)


class Picture:
    """A camera close to the instrument's tip; owns a PyBullet client, which `close` ends."""

    def __init__(self) -> None:
        """Loads the shapes (a tenth of a second), shifted so that `CENTRE` is the origin: the renderer casts
        shadows only near there."""
        self._client = pybullet.connect(pybullet.DIRECT)
        self._arm, tray, self._needle = load_bodies(self._client, (0, 0, 0), 0.0)
        for body in (self._arm, tray):
            position, orientation = pybullet.getBasePositionAndOrientation(body, physicsClientId=self._client)
            self._place(body, position, orientation)
        ball = pybullet.createVisualShape(
            pybullet.GEOM_SPHERE, radius=GOAL_RADIUS, rgbaColor=GOAL_COLOUR, physicsClientId=self._client
        )
        self._goal = pybullet.createMultiBody(0, -1, ball, physicsClientId=self._client)

    def draw(
        self,
        joints: Sequence[float],
        needle_pose: tuple[Sequence[float], Sequence[float]],
        goal: Sequence[float],
    ) -> np.ndarray:
        """Returns a picture (360, 480, 3), uint8.

        Args:
            joints: the eight joint positions, rad and real metres.
            needle_pose: its position (scaled m) and quaternion (xyzw).
            goal: where to draw the goal's marker (scaled m).
        """
        positions = motor_positions(joints)
        for joint, value in zip(JOINTS, positions, strict=True):
            pybullet.resetJointState(self._arm, joint, value, physicsClientId=self._client)
        self._place(self._needle, *needle_pose)
        self._place(self._goal, goal, (0, 0, 0, 1))
        _, _, pixels, _, _ = pybullet.getCameraImage(
            OVERSAMPLING * WIDTH,
            OVERSAMPLING * HEIGHT,
            viewMatrix=pybullet.computeViewMatrixFromYawPitchRoll(**CAMERA),
            projectionMatrix=pybullet.computeProjectionMatrixFOV(FIELD_OF_VIEW_DEG, WIDTH / HEIGHT, 0.1, 6.0),
            **LIGHT,
            **SHADING,
            renderer=pybullet.ER_TINY_RENDERER,
            physicsClientId=self._client,
        )
        image = np.reshape(pixels, (HEIGHT, OVERSAMPLING, WIDTH, OVERSAMPLING, 4))[..., :3]
        return image.mean(axis=(1, 3)).round().astype(np.uint8)

    def close(self) -> None:
        """Ends the client; harmless when it has ended already."""
        if self._client >= 0:
            pybullet.disconnect(physicsClientId=self._client)
            self._client = -1

    def _place(self, body: int, position: Sequence[float], orientation: Sequence[float]) -> None:
        pybullet.resetBasePositionAndOrientation(
            body, np.subtract(position, CENTRE), orientation, physicsClientId=self._client
        )
