"""The commands of the robot's side: each function's signature is its command line, its docstring the help.

A function returns the call that does the work, so that parsing ends before anything heavy is imported.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Literal

from l0_surgical.errors import L0SurgicalError
from l0_surgical.files import check_new
from l0_surgical.speaking import say

INTERRUPTED = 130


def control(
    policy: str,
    /,
    *,
    arm: str = "PSM1",
    transport: Literal["dds", "ros2"] = "dds",
    domain: int | None = None,
    discovery: Literal["localhost", "subnet"] = "localhost",
    interface: str | None = None,
    servo_rate: float = 200.0,
    speed: float = 1.0,
    goals: int = 10,
    goal: tuple[float, float, float] | None = None,
    seed: int = 0,
    duration: float | None = None,
    limits: Path | None = None,
    record: Path | None = None,
    dry_run: bool = False,
    bring_up: bool = True,
    real_time: bool = True,
    timeout: float = 15.0,
    json: bool = False,
) -> Callable[[], int]:
    """Drives an arm to goals in real time: enables and homes it, moves it slowly to the start pose, lets the policy reach each goal.

    It moves the arm. Read docs/robot.md before you run it at a real one.

    Args:
        policy: A policy file, or the name of a shipped policy.
        arm: The arm's ROS namespace.
        transport: dds needs no ROS; ros2 goes through rclpy.
        domain: 0 to 232 (default: ROS_DOMAIN_ID, or 0).
        discovery: Whom dds finds: programs on this machine, or on the subnet.
        interface: With subnet, the network interface that dds uses, e.g. eth0 (default: the first that fits).
        servo_rate: Setpoints per second, 100 to 500.
        speed: Fraction of the policy's own speed, above 0 and at most 1.
        goals: How many goals to draw from the task's distribution.
        goal: Instead, this one: x y z of the jaw tip in metres, in the arm's base frame.
        seed: Of the goals.
        duration: End after so many seconds, however many goals that are.
        limits: A YAML file of safety limits (default: the package's).
        record: A new .mcap file for Foxglove and ros2 bag.
        dry_run: Compute and record, but send nothing.
        bring_up: Enable and home the arm where it is not.
        real_time: Ask for real-time priority and locked memory.
        timeout: Seconds that the arm may take to appear, to enable, to home, to be ready.
        json: Print one JSON object on stdout.
    """

    def run() -> int:
        from l0_surgical.robot import ControlRequest, Operation
        from l0_surgical.terminal import StatusLine, control_table, print_result

        request = ControlRequest(
            policy=policy,
            arm=arm,
            servo_rate=servo_rate,
            speed=speed,
            limits=limits,
            record=record,
            dry_run=dry_run,
            real_time=real_time,
            transport=transport,
            domain=domain,
            discovery=discovery,
            interface=interface,
            goals=goals,
            goal=goal,
            seed=seed,
            duration=duration,
            bring_up=bring_up,
            timeout=timeout,
        )
        operation = Operation(request, say)
        with StatusLine(operation.describe):
            result = operation.run()
        print_result(result, json, control_table)
        if result["failure"] is not None:
            raise L0SurgicalError(result["failure"])
        return 0 if result["interrupted_by"] is None else INTERRUPTED

    return run


def simulate_arm(
    *,
    arm: str = "PSM1",
    transport: Literal["dds", "ros2"] = "dds",
    domain: int | None = None,
    discovery: Literal["localhost", "subnet"] = "localhost",
    interface: str | None = None,
    mode: Literal["kinematic", "physical"] = "kinematic",
    speed: float = 1.0,
    telemetry_rate: float = 100.0,
    duration: float | None = None,
    inject: bool = False,
    real_time: bool = True,
) -> Callable[[], int]:
    """Simulates a da Vinci arm with all its CRTK topics, until Ctrl-C.

    Args:
        arm: The arm's ROS namespace.
        transport: dds needs no ROS; ros2 goes through rclpy.
        domain: 0 to 232 (default: ROS_DOMAIN_ID, or 0).
        discovery: Whom dds finds: programs on this machine, or on the subnet.
        interface: With subnet, the network interface that dds uses, e.g. eth0 (default: the first that fits).
        mode: kinematic reaches each setpoint at once, physical has motors, gravity, a tray and a needle.
        speed: Simulated seconds per second; 0 is as fast as possible.
        telemetry_rate: How often per second the arm says where it is.
        duration: End after so many seconds.
        inject: Listen to /ARM/simulation/inject for faults to simulate.
        real_time: Ask for real-time priority and locked memory.
    """

    def run() -> int:
        from l0_surgical.simulation import SimulationRequest, simulate

        who = (arm, transport, domain, discovery, interface)
        return simulate(SimulationRequest(*who, mode, speed, telemetry_rate, duration, inject, real_time), say)

    return run


def inspect(policy: str, /, *, json: bool = False) -> Callable[[], None]:
    """Shows what is in a policy file.

    Args:
        policy: A policy file, or the name of a shipped policy.
        json: Print one JSON object on stdout.
    """

    def run() -> None:
        from l0_surgical.inspection import describe
        from l0_surgical.policy_file import find_policy, load_policy
        from l0_surgical.terminal import inspection_table, print_result

        print_result(describe(load_policy(find_policy(policy))), json, inspection_table)

    return run


def export(policy: str, /, *, format: Literal["onnx", "c"], out: Path, overwrite: bool = False, json: bool = False) -> Callable[[], None]:
    """Writes a policy for other programs: an ONNX model, or C99 without dependencies.

    Args:
        policy: A policy file, or the name of a shipped policy.
        format: onnx, or c for a .c and .h pair.
        out: The .onnx or .c file, a new one.
        overwrite: Replace the file (and the .h) if it is there.
        json: Print one JSON object on stdout.
    """

    def run() -> None:
        from l0_surgical.policy_file import find_policy, load_policy
        from l0_surgical.runtime.c_export import export_c
        from l0_surgical.runtime.onnx_export import export_onnx
        from l0_surgical.terminal import export_table, print_result

        check_new(out, *[out.with_suffix(".h")] * (format == "c"), overwrite=overwrite)
        write = export_onnx if format == "onnx" else export_c
        error = write(load_policy(find_policy(policy)), out)
        print_result({"file": str(out), "max_abs_error": error}, json, export_table)

    return run


def benchmark(
    policy: str, /, *, reference: str | None = None, rounds: int = 40, explain: bool = False, json: bool = False
) -> Callable[[], None]:
    """Times a policy in every engine that is installed, in turn, one thread each; and the memory of each in a process of its own.

    Args:
        policy: A policy file, or the name of a shipped policy.
        reference: Another policy to time in the same run, e.g. the dense one.
        rounds: Turns of each engine.
        explain: Also time the forms that each layer of our engine may take.
        json: Print one JSON object on stdout.
    """

    def run() -> None:
        from l0_surgical import benchmarking
        from l0_surgical.terminal import ProgressBar, benchmark_table, print_result

        with ProgressBar() as bar:
            report = benchmarking.benchmark(policy, reference=reference, rounds=rounds, explain=explain, progress=bar)
        print_result(report, json, benchmark_table)

    return run
