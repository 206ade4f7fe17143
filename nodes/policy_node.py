#!/usr/bin/env python3
"""The policy at an arm as a ROS 2 lifecycle node: configure loads, activate starts the servo loop (disarmed),
`~/arm` lets it move.

    ros2 run l0_surgical policy_node --ros-args -r __ns:=/PSM1 -p arm:=PSM1 -p autostart:=true
    ros2 service call /PSM1/policy_node/arm std_srvs/srv/Trigger
    ros2 topic pub --once /PSM1/policy_node/goal geometry_msgs/msg/PointStamped \\
        "{header: {frame_id: PSM1_base}, point: {z: -0.12}}"

All of the work is `l0_surgical.robot.service.ControlService`'s.
"""

import sys
import traceback
from collections.abc import Callable
from pathlib import Path

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from geometry_msgs.msg import PointStamped
from rcl_interfaces.msg import SetParametersResult
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.parameter import Parameter
from std_msgs.msg import Bool
from std_srvs.srv import Trigger

from l0_surgical.robot.control.limits import ServoRate, Speed
from l0_surgical.robot.messaging.ros2 import Ros2Transport
from l0_surgical.robot.node import NodeParameter, declare_parameters, parameter_values, run_node
from l0_surgical.robot.requests import ConnectionSettings
from l0_surgical.robot.service import ControlService, ServiceReport, report_texts
from l0_surgical.system.errors import BadInputError, L0SurgicalError

WATCH_PERIOD_S = 0.05
DIAGNOSTICS_PERIOD_S = 1.0
INACTIVE = "the node is not active; activate it: ros2 lifecycle set <node> configure, then activate"
PARAMETERS = (
    NodeParameter("policy", "needle-reach-l0-compressed", "A shipped policy's name or a policy file."),
    NodeParameter("arm", "PSM1", "The arm's ROS namespace."),
    NodeParameter("servo_rate", 200.0, "Setpoints sent to the arm per second, 100 to 500.", kind=ServoRate),
    NodeParameter("speed", 1.0, "Fraction of the policy's own speed, above 0 and at most 1.", kind=Speed),
    NodeParameter("limits_file", "", "A YAML file of safety limits; empty: those of the package."),
    NodeParameter("dry_run", False, "Compute and record, but send nothing to the arm."),
    NodeParameter("record", "", "A new .mcap file to record to; empty: no recording."),
    NodeParameter("real_time", True, "Ask for real-time priority and locked memory."),
    NodeParameter(
        "autostart", False, "Configure and activate at start, without waiting for a lifecycle manager."
    ),
)


class PolicyNode(LifecycleNode):
    """Services (`Trigger`): `~/arm`, `~/disarm`, `~/reset`; topics: `~/goal`, `~/goal_reached`,
    `/diagnostics`."""

    def __init__(self) -> None:
        super().__init__("policy_node")
        declare_parameters(self, PARAMETERS)
        self.add_on_set_parameters_callback(self._refuse_change_while_configured)
        self._service: ControlService | None = None
        self._is_finalized = False
        self._logged: set[str | None] = set()
        for name in ("arm", "disarm", "reset"):
            self.create_service(
                Trigger, f"~/{name}", lambda _, response, name=name: self._answer(name, response)
            )
        self.create_subscription(PointStamped, "~/goal", self._set_goal, 1)
        self._goal_reached = self.create_publisher(Bool, "~/goal_reached", 10)
        self._diagnostics = self.create_publisher(DiagnosticArray, "/diagnostics", 10)
        self.create_timer(WATCH_PERIOD_S, self._watch)
        self.create_timer(DIAGNOSTICS_PERIOD_S, self._publish_diagnostics)
        if self.get_parameter("autostart").value:
            self._autostart()

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Loads the policy and the limits, opens the arm's topics and the recording."""
        return self._transition(self._configure)

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Starts the servo loop, disarmed."""
        return self._transition(lambda: self._service.start())

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Disarms and stops the servo loop; the arm holds its last setpoint."""
        return self._transition(lambda: self._service.stop())

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Closes the recording and leaves the arm's topics."""
        return self._transition(self._release)

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Stops and releases whatever there is."""
        self._is_finalized = True
        return self._transition(self._release)

    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Stops and releases whatever there is, so that the node can be configured again."""
        return self._transition(self._release)

    def close(self) -> None:
        """See `ros_process.ClosingNode`."""
        if not self._is_finalized:
            self.trigger_shutdown()

    def _transition(self, work: Callable[[], None]) -> TransitionCallbackReturn:
        # rclpy swallows what a transition raises
        try:
            work()
        except L0SurgicalError as error:
            self.get_logger().error(str(error))
            return TransitionCallbackReturn.FAILURE
        except Exception:
            self.get_logger().error(traceback.format_exc())
            return TransitionCallbackReturn.ERROR
        return TransitionCallbackReturn.SUCCESS

    def _autostart(self) -> None:
        for transition in (self.trigger_configure, self.trigger_activate):
            if transition() != TransitionCallbackReturn.SUCCESS:
                raise SystemExit(L0SurgicalError.exit_code)

    def _configure(self) -> None:
        values = parameter_values(self, PARAMETERS)
        del values["autostart"]
        limits, record = (
            Path(text) if text else None for text in (values.pop("limits_file"), values.pop("record"))
        )
        self._service = ControlService(
            ConnectionSettings(**values, limits=limits, record=record), lambda: Ros2Transport(self)
        )
        for refused in self._service.real_time.refused:
            self.get_logger().warning(f"without {refused}")

    def _release(self) -> None:
        if self._service is not None:
            service, self._service = self._service, None
            self._logged.clear()
            service.close()

    def _active(self) -> ControlService:
        if self._service is None or not self._service.is_running:
            raise L0SurgicalError(INACTIVE)
        return self._service

    def _refuse_change_while_configured(self, parameters: list[Parameter]) -> SetParametersResult:
        names = {parameter.name for parameter in parameters} & {parameter.name for parameter in PARAMETERS}
        if names and self._service is not None:
            return SetParametersResult(
                successful=False,
                reason=f"{', '.join(sorted(names))}: read by configure; clean the node up first",
            )
        return SetParametersResult(successful=True)

    def _answer(self, name: str, response: Trigger.Response) -> Trigger.Response:
        try:
            service = self._active()
            getattr(service, name)()
            response.success, response.message = True, service.state.value
        except L0SurgicalError as error:
            response.success, response.message = False, str(error)
        self.get_logger().info(f"{name}: {response.message}")
        return response

    def _set_goal(self, message: PointStamped) -> None:
        try:
            service, frame = self._active(), message.header.frame_id
            expected = f"{service.settings.arm}_base"
            if frame not in ("", expected):
                raise BadInputError(f"the goal is in the frame {frame!r}; give it in {expected!r}, metres")
            service.set_goal((message.point.x, message.point.y, message.point.z))
        except L0SurgicalError as error:
            self.get_logger().error(f"goal refused: {error}")
            self._goal_reached.publish(Bool(data=False))

    def _watch(self) -> None:
        if self._service is not None and (is_reached := self._service.take_outcome()) is not None:
            self._goal_reached.publish(Bool(data=is_reached))

    def _publish_diagnostics(self) -> None:
        status = DiagnosticStatus(
            name=self.get_fully_qualified_name(), hardware_id=self.get_parameter("arm").value
        )
        if self._service is None or not self._service.is_running:
            status.level, status.message = DiagnosticStatus.STALE, "not active"
        else:
            report = self._service.report()
            self._log_news(report)
            fault = report.controller.fault
            status.level = DiagnosticStatus.WARN if report.warnings else DiagnosticStatus.OK
            status.level = DiagnosticStatus.ERROR if fault is not None else status.level
            reasons = [fault, *report.warnings] if fault is not None else report.warnings
            status.message = (
                ": ".join((report.controller.state, "; ".join(reasons)))
                if reasons
                else report.controller.state
            )
            status.values = [KeyValue(key=key, value=value) for key, value in report_texts(report)]
        message = DiagnosticArray(status=[status])
        message.header.stamp = self.get_clock().now().to_msg()
        self._diagnostics.publish(message)

    def _log_news(self, report: ServiceReport) -> None:
        """Logs who is there, warnings and a fault when they are new."""
        # one line of code for each severity: rclpy allows a call no other
        if report.peers not in self._logged:
            self.get_logger().info(report.peers)
        for warning in report.warnings:
            if warning not in self._logged:
                self.get_logger().warning(warning)
        fault = report.controller.fault
        if fault is not None and fault not in self._logged:
            self.get_logger().error(f"fault: {fault}")
        self._logged = {report.peers, *report.warnings, fault}


if __name__ == "__main__":
    sys.exit(run_node(PolicyNode))
