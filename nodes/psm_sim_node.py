#!/usr/bin/env python3
"""A simulated Patient Side Manipulator as a ROS 2 node: all CRTK topics of a dVRK arm, backed by PyBullet.

ros2 run l0_surgical psm_sim_node --ros-args -p arm:=PSM1
"""

import sys

from rclpy.node import Node

from l0_surgical.messaging.ros2 import Ros2Transport
from l0_surgical.ros_process import NodeParameter, Worker, declare_parameters, parameter_values, run_node
from l0_surgical.simulated_arm import SimulatedArm

CHECK_PERIOD_S = 0.2
PARAMETERS = (
    NodeParameter("arm", "PSM1", "The arm's ROS namespace."),
    NodeParameter("mode", "kinematic", "kinematic: setpoints are reached at once; physical: motors and lag."),
    NodeParameter("telemetry_rate", 100.0, "How often per second the arm says where it is."),
    NodeParameter("speed", 1.0, "Simulated seconds per second; 0: as fast as possible."),
    NodeParameter("inject", False, "Listen to <arm>/simulation/inject for faults to simulate."),
)


class PsmSimNode(Node):
    """The arm runs in a thread of its own; the executor brings it the commands."""

    def __init__(self) -> None:
        super().__init__("psm_sim_node")
        declare_parameters(self, PARAMETERS)
        values = parameter_values(self, PARAMETERS)
        speed = values.pop("speed")
        self._transport = Ros2Transport(self)
        simulated_arm = SimulatedArm(self._transport, values.pop("arm"), **values)
        self._worker = Worker("simulated arm", lambda stop: simulated_arm.run(stop, speed=speed))
        self.create_timer(CHECK_PERIOD_S, self._worker.check)
        self.get_logger().info(f"simulated arm {simulated_arm.name}: DISABLED and not homed")

    def close(self) -> None:
        """See `ros_process.ClosingNode`."""
        self._worker.stop()
        self._transport.close()


if __name__ == "__main__":
    sys.exit(run_node(PsmSimNode))
