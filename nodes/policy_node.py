#!/usr/bin/env python3
"""The policy at an arm as a ROS 2 lifecycle node: configure loads, activate starts the servo loop (disarmed), `~/arm` lets it move.

    ros2 run l0_surgical policy_node --ros-args -r __ns:=/PSM1 -p arm:=PSM1 -p autostart:=true
    ros2 service call /PSM1/policy_node/arm std_srvs/srv/Trigger
    ros2 topic pub --once /PSM1/policy_node/goal geometry_msgs/msg/PointStamped "{header: {frame_id: PSM1_base}, point: {z: -0.12}}"

The controller belongs to the servo loop's thread; services and goals are handed to it between two ticks.
"""

import sys
import traceback
from collections.abc import Callable
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from geometry_msgs.msg import PointStamped
from rcl_interfaces.msg import SetParametersResult
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.parameter import Parameter
from std_msgs.msg import Bool
from std_srvs.srv import Trigger

from l0_surgical.control.controller import Controller
from l0_surgical.control.limits import load_limits
from l0_surgical.control.servo_loop import ServoLoop
from l0_surgical.errors import BadInputError, L0SurgicalError
from l0_surgical.messaging.arm_client import CrtkArm
from l0_surgical.messaging.recording import Recording
from l0_surgical.messaging.ros2 import Ros2Transport
from l0_surgical.policy_file import find_policy, load_policy
from l0_surgical.ros_process import Calls, NodeParameter, Worker, declare_parameters, parameter_values, run_node, status_texts

WATCH_PERIOD_S = 0.05
DIAGNOSTICS_PERIOD_S = 1.0
PARAMETERS = (
    NodeParameter("policy", "needle-reach-l0-compressed", "A shipped policy's name or a policy file."),
    NodeParameter("arm", "PSM1", "The arm's ROS namespace."),
    NodeParameter("servo_rate", 200.0, "Setpoints sent to the arm per second, 100 to 500."),
    NodeParameter("limits_file", "", "A YAML file of safety limits; empty: those of the package."),
    NodeParameter("dry_run", False, "Compute and record, but send nothing to the arm."),
    NodeParameter("record", "", "A new .mcap file to record to; empty: no recording."),
    NodeParameter("autostart", False, "Configure and activate at start, without waiting for a lifecycle manager."),
)


class PolicyNode(LifecycleNode):
    """Services (`Trigger`): `~/arm`, `~/disarm`, `~/reset`; topics: `~/goal`, `~/goal_reached`, `/diagnostics`."""

    def __init__(self) -> None:
        super().__init__("policy_node")
        declare_parameters(self, PARAMETERS)
        self.add_on_set_parameters_callback(self._refuse_change_while_configured)
        self._calls = Calls()
        self._values: dict[str, Any] = {}
        self._transport: Ros2Transport | None = None
        self._recording: Recording | None = None
        self._controller: Controller | None = None
        self._worker: Worker | None = None
        self._was_reached = False
        self._is_finalized = False
        for name in ("arm", "disarm", "reset"):
            self.create_service(Trigger, f"~/{name}", lambda _, response, name=name: self._answer(name, response))
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
        return self._transition(self._start)

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Disarms and stops the servo loop; the arm holds its last setpoint."""
        return self._transition(self._stop)

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
        self._values = parameter_values(self, PARAMETERS)
        try:
            policy = load_policy(find_policy(self._values["policy"]))
            limits = load_limits(self._values["limits_file"] or None)
            self._transport = Ros2Transport(self)
            arm = CrtkArm(self._transport, self._values["arm"])
            if self._values["record"]:
                self._recording = Recording(self._values["record"], self._transport)
            self._controller = Controller(
                policy, arm, limits, servo_rate=self._values["servo_rate"], dry_run=self._values["dry_run"], recording=self._recording
            )
        except L0SurgicalError:
            self._release()
            raise

    def _start(self) -> None:
        controller = self._controller
        loop = ServoLoop(lambda: self._tick(controller), self._values["servo_rate"])
        self._worker = Worker("servo loop", loop.run)

    def _tick(self, controller: Controller) -> None:
        self._calls.run_waiting()
        controller.tick()

    def _stop(self) -> None:
        if self._worker is None:
            return
        worker, self._worker = self._worker, None
        if worker.is_running:
            self._calls.call(self._controller.disarm)
        worker.stop()

    def _release(self) -> None:
        self._stop()
        self._controller = None
        if self._recording is not None:
            recording, self._recording = self._recording, None
            recording.close()
        if self._transport is not None:
            self._transport.close()
            self._transport = None

    def _refuse_change_while_configured(self, parameters: list[Parameter]) -> SetParametersResult:
        names = {parameter.name for parameter in parameters} & {parameter.name for parameter in PARAMETERS}
        if names and self._controller is not None:
            return SetParametersResult(successful=False, reason=f"{', '.join(sorted(names))}: read by configure; clean the node up first")
        return SetParametersResult(successful=True)

    def _answer(self, name: str, response: Trigger.Response) -> Trigger.Response:
        try:
            self._ask(lambda controller: getattr(controller, name)())
            response.success, response.message = True, self._ask(Controller.status).state
        except L0SurgicalError as error:
            response.success, response.message = False, str(error)
        return response

    def _ask(self, question: Callable[[Controller], Any]) -> Any:
        """Asks the controller in the servo loop's thread; raises L0SurgicalError where there is none, or what the question raises."""
        if self._worker is None or self._controller is None:
            raise L0SurgicalError("the node is not active; activate it: ros2 lifecycle set <node> configure, then activate")
        controller = self._controller
        return self._calls.call(lambda: question(controller))

    def _set_goal(self, message: PointStamped) -> None:
        frame, expected = message.header.frame_id, f"{self._values.get('arm', '')}_base"
        try:
            if frame not in ("", expected):
                raise BadInputError(f"the goal is in the frame {frame!r}; give it in {expected!r}, metres")
            goal = (message.point.x, message.point.y, message.point.z)
            self._ask(lambda controller: controller.set_goal(goal))
        except L0SurgicalError as error:
            self.get_logger().error(f"goal refused: {error}")
            self._goal_reached.publish(Bool(data=False))
        self._was_reached = False

    def _watch(self) -> None:
        if self._worker is None:
            return
        self._worker.check()
        is_reached = self._ask(Controller.status).is_reached
        if is_reached and not self._was_reached:
            self._goal_reached.publish(Bool(data=True))
        self._was_reached = is_reached

    def _publish_diagnostics(self) -> None:
        report = DiagnosticStatus(name=self.get_fully_qualified_name(), hardware_id=self.get_parameter("arm").value)
        if self._worker is None:
            report.level, report.message = DiagnosticStatus.STALE, "not active"
        else:
            status = self._ask(Controller.status)
            is_fault = status.fault is not None
            report.level = DiagnosticStatus.ERROR if is_fault else DiagnosticStatus.OK
            report.message = f"{status.state}: {status.fault}" if is_fault else status.state
            report.values = [KeyValue(key=key, value=value) for key, value in status_texts(status)]
        message = DiagnosticArray(status=[report])
        message.header.stamp = self.get_clock().now().to_msg()
        self._diagnostics.publish(message)


if __name__ == "__main__":
    sys.exit(run_node(PolicyNode))
