#!/usr/bin/env python3
"""A simulated Patient Side Manipulator as a ROS 2 node: all CRTK topics of a dVRK arm, backed by PyBullet.

ros2 run l0_surgical psm_sim_node --ros-args -p arm:=PSM1
"""

import sys

from rclpy.node import Node

from l0_surgical.robot.control.realtime import enter_real_time
from l0_surgical.robot.messaging.ros2 import Ros2Transport
from l0_surgical.robot.node import NodeParameter, declare_parameters, parameter_values, run_node
from l0_surgical.robot.requests import SimulatedSpeed, SimulationRequest
from l0_surgical.robot.simulated_arm.process import simulated_arm_class
from l0_surgical.robot.worker import Worker

CHECK_PERIOD_S = 1.0
PARAMETERS = (
    NodeParameter("arm", "PSM1", "The arm's ROS namespace."),
    NodeParameter("mode", "kinematic", "kinematic: setpoints are reached at once; physical: motors and lag."),
    NodeParameter("telemetry_rate", 100.0, "How often per second the arm says where it is."),
    NodeParameter("speed", 1.0, "Simulated seconds per second; 0: as fast as possible.", kind=SimulatedSpeed),
    NodeParameter("inject", False, "Listen to <arm>/simulation/inject for faults to simulate."),
    NodeParameter("real_time", True, "Ask for real-time priority and locked memory."),
)


class PsmSimNode(Node):
    """The arm runs in a thread of its own; the executor brings it the commands."""

    def __init__(self) -> None:
        super().__init__("psm_sim_node")
        declare_parameters(self, PARAMETERS)
        request = SimulationRequest(**parameter_values(self, PARAMETERS))
        arm, mode = request.arm, request.mode
        simulated_arm = simulated_arm_class()
        # the arm's thread inherits it
        for refused in enter_real_time(whole_process=True).refused if request.real_time else ():
            self.get_logger().warning(f"without {refused}")
        self._transport = Ros2Transport(self)
        self._arm = simulated_arm(
            self._transport, arm, mode, telemetry_rate=request.telemetry_rate, inject=request.inject
        )
        self._worker = Worker("simulated arm", lambda stop: self._arm.run(stop, request.speed))
        self._peers = ""
        self.create_timer(CHECK_PERIOD_S, self._check)
        self.get_logger().info(f"{arm} is simulated ({mode}), DISABLED and not homed")

    def close(self) -> None:
        """See `ros_process.ClosingNode`."""
        self._worker.stop()
        self._arm.close()
        self._transport.close()

    def _check(self) -> None:
        self._worker.check()
        if self._peers != (peers := self._arm.describe_peers()):
            self._peers = peers
            self.get_logger().info(peers)


if __name__ == "__main__":
    sys.exit(run_node(PsmSimNode))
