#!/usr/bin/env python3
"""The operator of a simulated arm: enables and homes it, arms the policy, sets goals one after another, and
ends with a count.

    ros2 run l0_surgical operator_node --ros-args -r __ns:=/PSM1 -p goals:=10

It refuses an arm that is not `psm_sim_node`'s: at a real one a person does this.
"""

import itertools
import sys
import time
from collections.abc import Callable, Generator
from typing import Annotated

import numpy as np
from geometry_msgs.msg import PointStamped
from rclpy.client import Client
from rclpy.node import Node
from std_msgs.msg import Bool
from std_srvs.srv import Trigger

from l0_surgical.policy import find_policy, load_policy
from l0_surgical.robot.control.policy_task import task_of
from l0_surgical.robot.control.records import OperatingState
from l0_surgical.robot.messaging.arm_client import CrtkArm
from l0_surgical.robot.messaging.crtk import topic_name
from l0_surgical.robot.messaging.ros2 import Ros2Transport
from l0_surgical.robot.node import NodeParameter, declare_parameters, parameter_values, run_node
from l0_surgical.surgical.kinematics import Vector
from l0_surgical.system.bounds import Bound, Seed
from l0_surgical.system.errors import L0SurgicalError

SIMULATION = "psm_sim_node"
PERIOD_S = 0.05
START_TIMEOUT_S = 60.0
REPEAT_S = 2.0
RETRY_S = 0.5
PARAMETERS = (
    NodeParameter("arm", "PSM1", "The arm's ROS namespace."),
    NodeParameter(
        "policy", "needle-reach-l0-compressed", "The policy node's, by whose task goals are drawn."
    ),
    NodeParameter(
        "goals", 10, "How many goals to set; 0: never ends.", kind=Annotated[int, Bound(0, 1_000_000)]
    ),
    NodeParameter("seed", 0, "Of the goals.", kind=Seed),
    NodeParameter(
        "goal_timeout",
        20.0,
        "After how many seconds a goal counts as missed.",
        kind=Annotated[float, Bound(above=0, most=3600)],
    ),
)

Steps = Generator[None, None, None]


class OperatorNode(Node):
    """One generator holds the whole procedure; a timer moves it on, so that nothing blocks the executor."""

    def __init__(self) -> None:
        super().__init__("operator_node")
        declare_parameters(self, PARAMETERS)
        self._values = parameter_values(self, PARAMETERS)
        self._task = task_of(load_policy(find_policy(self._values["policy"])))
        self._transport = Ros2Transport(self)
        self._simulated_arm = CrtkArm(self._transport, self._values["arm"])
        self._goal = self.create_publisher(PointStamped, "policy_node/goal", 1)
        self._arm_policy = self.create_client(Trigger, "policy_node/arm")
        self._disarm_policy = self.create_client(Trigger, "policy_node/disarm")
        self._outcomes: list[bool] = []
        self._reached = self.create_subscription(
            Bool, "policy_node/goal_reached", lambda message: self._outcomes.append(message.data), 10
        )
        steps = self._procedure()
        self.create_timer(PERIOD_S, lambda: next(steps))

    def close(self) -> None:
        """See `ros_process.ClosingNode`."""
        self._transport.close()

    def _procedure(self) -> Steps:
        yield from self._until(
            self._is_simulated, f"{SIMULATION} to publish {topic_name(self._values['arm'], 'measured_cp')}"
        )
        yield from self._command("enable", lambda state: state.state == "ENABLED")
        yield from self._command("home", lambda state: state.is_homed and not state.is_busy)
        yield from self._armed()
        # a goal that is sent before the two have met would be lost
        yield from self._until(self._is_heard, "the policy node to hear goals and to answer")
        generator, count, reached = np.random.default_rng(self._values["seed"]), self._values["goals"], 0
        for number in range(1, count + 1) if count else itertools.count(1):
            reached += yield from self._reach(self._task.draw_goal_m(generator))
            self.get_logger().info(f"goal {number}: {reached} of {number} reached")
        yield from self._call(self._disarm_policy)
        raise SystemExit(0 if reached == count else L0SurgicalError.exit_code)

    def _is_simulated(self) -> bool:
        publishers = self.get_publishers_info_by_topic(topic_name(self._values["arm"], "measured_cp"))
        names = [publisher.node_name for publisher in publishers]
        if any(name.startswith("_") for name in names):
            # ROS does not know yet whose it is, and will not if it is no ROS node's
            return False
        strangers = [name for name in names if name != SIMULATION]
        if strangers:
            raise L0SurgicalError(
                f"{self._values['arm']} is {strangers[0]}'s and not {SIMULATION}'s; arm it yourself: see "
                "docs/ros2.md"
            )
        if len(publishers) > 1:
            raise L0SurgicalError(
                f"there are {len(publishers)} simulated arms of the name {self._values['arm']}; end all but "
                "one"
            )
        return bool(publishers)

    def _is_heard(self) -> bool:
        return bool(self._goal.get_subscription_count() and self.count_publishers(self._reached.topic_name))

    def _command(self, command: str, is_done: Callable[[OperatingState], bool]) -> Steps:
        """Sends a CRTK state command until the arm's state shows it: the first may come before the arm
        listens."""
        repeat_at = 0.0

        def sent_and_done() -> bool:
            nonlocal repeat_at
            state = self._simulated_arm.poll().operating_state
            if state is not None and is_done(state.record):
                return True
            if time.monotonic() > repeat_at and not (state is not None and state.record.is_busy):
                repeat_at = time.monotonic() + REPEAT_S
                self._simulated_arm.state_command(command, time.time_ns())
            return False

        yield from self._until(sent_and_done, f"the arm to {command}")

    def _armed(self) -> Steps:
        """Asks the policy node to arm until it does: it may still be loading, or its first inputs may be
        missing."""
        deadline, reason = time.monotonic() + START_TIMEOUT_S, "no answer"
        while time.monotonic() < deadline:
            response = yield from self._call(self._arm_policy)
            if response.success:
                self.get_logger().info(f"armed: {response.message}")
                return
            reason = response.message
            yield from self._pause(RETRY_S)
        raise L0SurgicalError(f"the policy node did not arm within {START_TIMEOUT_S:g} s: {reason}")

    def _reach(self, goal: Vector) -> Generator[None, None, bool]:
        """Sets a goal (the jaw tip in the arm's base frame, m); returns whether it was reached in time."""
        message = PointStamped()
        message.header.stamp = self.get_clock().now().to_msg()
        message.header.frame_id = f"{self._values['arm']}_base"
        message.point.x, message.point.y, message.point.z = map(float, goal)
        self._outcomes.clear()
        self._goal.publish(message)
        deadline = time.monotonic() + self._values["goal_timeout"]
        while not self._outcomes and time.monotonic() < deadline:
            yield
        return bool(self._outcomes) and self._outcomes[0]

    def _call(self, client: Client) -> Generator[None, None, Trigger.Response]:
        yield from self._until(client.service_is_ready, f"the service {client.srv_name}")
        future = client.call_async(Trigger.Request())
        yield from self._until(future.done, f"an answer of {client.srv_name}")
        return future.result()

    def _until(self, condition: Callable[[], bool], what: str) -> Steps:
        deadline = time.monotonic() + START_TIMEOUT_S
        while not condition():
            if time.monotonic() > deadline:
                raise L0SurgicalError(f"waited {START_TIMEOUT_S:g} s in vain for {what}")
            yield

    def _pause(self, seconds: float) -> Steps:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            yield


if __name__ == "__main__":
    sys.exit(run_node(OperatorNode))
