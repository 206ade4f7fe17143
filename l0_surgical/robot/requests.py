"""What the robot's programs are asked for: the flags of `control` and `simulate-arm`, the parameters of the
ROS 2 nodes."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from l0_surgical.policy import find_policy, load_policy
from l0_surgical.robot.control.goals import check_drawn_goals, check_goal
from l0_surgical.robot.control.limits import Limits, ServoRate, Speed
from l0_surgical.robot.control.policy_task import task_of
from l0_surgical.robot.messaging.crtk import check_arm_name
from l0_surgical.robot.messaging.domain import HIGHEST_DOMAIN, domain_id
from l0_surgical.robot.messaging.opening import Discovery, TransportName
from l0_surgical.surgical import ArmTask
from l0_surgical.surgical.kinematics import Vector
from l0_surgical.system.bounds import Bound, Seed, check_fields, check_value

Domain = Annotated[int, Bound(0, HIGHEST_DOMAIN)]
Duration = Annotated[float, Bound(above=0, most=10_000_000)]
SimulatedSpeed = Annotated[float, Bound(0, 100, beyond="0 is as fast as possible")]


@dataclass(frozen=True)
class ConnectionSettings:
    """What to run at which arm; the texts are those of the command line.

    Raises:
        BadInputError: a value is of another type or out of its bounds, or the arm cannot have that name.
    """

    policy: str
    """A policy file, or the name of a shipped policy."""
    arm: str = "PSM1"
    """The arm's ROS namespace."""
    servo_rate: ServoRate = 200.0
    """Setpoints per second (Hz), 100 to 500."""
    speed: Speed = 1.0
    """Fraction of the policy's own speed, above 0 and at most 1."""
    limits: Path | None = None
    """A YAML file of safety limits (default: the package's)."""
    record: Path | None = None
    """A new .mcap file for Foxglove and ros2 bag."""
    dry_run: bool = False
    """Compute and record, but send nothing."""
    real_time: bool = True
    """Ask for real-time priority and locked memory."""

    def __post_init__(self) -> None:
        check_fields(self)
        check_arm_name(self.arm)


@dataclass(frozen=True)
class ControlRequest(ConnectionSettings):
    """What to do at which arm; see also `ConnectionSettings`.

    Raises:
        BadInputError: a value is of another type or out of its bounds, or there is a goal and it is outside
        the workspace of the policy's task, or no such policy.
    """

    transport: TransportName = "dds"
    """dds needs no ROS; ros2 goes through rclpy."""
    domain: Domain | None = None
    """0 to 232 (default: ROS_DOMAIN_ID, or 0)."""
    discovery: Discovery = "localhost"
    """Whom dds finds: programs on this machine, or on the subnet."""
    interface: str | None = None
    """With subnet, the network interface that dds uses, e.g. eth0 (default: the first that fits)."""
    goals: Annotated[int, Bound(1, 1_000_000)] = 10
    """How many goals to draw from the task's distribution."""
    goal: Vector | None = None
    """Instead, this one: x y z of the jaw tip in metres, in the arm's base frame."""
    seed: Seed = 0
    """Of the goals."""
    duration: Duration | None = None
    """End after so many seconds, however many goals that are."""
    bring_up: bool = True
    """Enable and home the arm where it is not."""
    timeout: Annotated[float, Bound(above=0, most=3600)] = 15.0
    """Seconds that the arm may take to appear, to enable, to home, to be ready."""

    def __post_init__(self) -> None:
        if self.goal is not None:
            check_value("policy", self.policy, str)
            check_goal(self.goal, task_of(load_policy(find_policy(self.policy))))
        super().__post_init__()
        domain_id(self.domain)

    def judge(self, task: ArmTask, limits: Limits) -> None:
        """Raises BadInputError where the task or the limits do not allow the goals."""
        if self.goal is not None:
            check_goal(self.goal, task, limits)
        else:
            check_drawn_goals(task, limits)


@dataclass(frozen=True)
class SimulationRequest:
    """Which arm to simulate, and how; the texts are those of the command line.

    Raises:
        BadInputError: a value is of another type or out of its bounds, or the arm cannot have that name.
    """

    arm: str = "PSM1"
    """The arm's ROS namespace."""
    transport: TransportName = "dds"
    """dds needs no ROS; ros2 goes through rclpy."""
    domain: Domain | None = None
    """0 to 232 (default: ROS_DOMAIN_ID, or 0)."""
    discovery: Discovery = "localhost"
    """Whom dds finds: programs on this machine, or on the subnet."""
    interface: str | None = None
    """With subnet, the network interface that dds uses, e.g. eth0 (default: the first that fits)."""
    mode: Literal["kinematic", "physical"] = "kinematic"
    """kinematic reaches each setpoint at once, physical has motors, gravity, a tray and a needle."""
    speed: SimulatedSpeed = 1.0
    """Simulated seconds per second; 0 is as fast as possible."""
    telemetry_rate: float = 100.0
    """How often per second the arm says where it is."""
    duration: Duration | None = None
    """End after so many seconds."""
    inject: bool = False
    """Listen to /ARM/simulation/inject for faults to simulate."""
    real_time: bool = True
    """Ask for real-time priority and locked memory."""

    def __post_init__(self) -> None:
        check_fields(self)
        check_arm_name(self.arm)
        domain_id(self.domain)
