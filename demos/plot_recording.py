"""Draws a recording of `l0-surgical control --record`: the way, the distance to each goal, the speed; and
proves that no limit was broken.

python demos/plot_recording.py run.mcap run.png
"""

import argparse
from collections import defaultdict
from pathlib import Path

import matplotlib
import numpy as np

from l0_surgical.robot.control.audit import audit
from l0_surgical.robot.control.limits import load_limits
from l0_surgical.robot.control.poses import Pose
from l0_surgical.robot.messaging.recording import read_recording

matplotlib.use("Agg")
import matplotlib.pyplot as plt

STATE_COLORS = {"approaching": "#cfe3f5", "reaching": "#d8efd3", "fault": "#f5cfcf"}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("recording", type=Path)
    parser.add_argument(
        "picture", type=Path, nargs="?", help="a .png or .svg (default: beside the recording)"
    )
    parser.add_argument("--arm", default="PSM1")
    parser.add_argument(
        "--limits", type=Path, help="the limits of the run, where they were not the package's"
    )
    arguments = parser.parse_args()

    messages = list(read_recording(arguments.recording))
    limits = load_limits(arguments.limits)
    found = audit(messages, arguments.arm, limits)
    print(
        f"{found.commands} setpoints, at most {1e3 * found.fastest_m_per_s:.1f} mm/s and "
        f"{1e3 * found.longest_step_m:.3f} mm apart"
    )
    for line in (*(f"fault: {fault}" for fault in found.faults), *found.violations):
        print(line)
    print("no limit was broken" if not found.violations else f"{len(found.violations)} limits were broken")

    picture = arguments.picture or arguments.recording.with_suffix(".png")
    draw(messages, arguments.arm, limits.max_speed_m_per_s, picture)
    print(f"drawn: {picture}")


def draw(messages: list, arm: str, max_speed: float, picture: Path) -> None:
    """Three rows over time: where the jaw's tip was told to be and was, its distance from the goal, the
    setpoints' speed."""
    begin = messages[0][1]
    series = defaultdict(list)
    for topic, log_time, record in messages:
        series[topic.removeprefix(f"/{arm}/")].append(((log_time - begin) * 1e-9, record))

    figure, (way, distance, speed) = plt.subplots(3, 1, figsize=(10, 8), sharex=True, layout="constrained")
    for name, style in (("measured_cp", "-"), ("servo_cp", ":"), ("l0_surgical/dry_run_servo_cp", ":")):
        times, tips = tip_series(series[name])
        if not len(times):
            continue
        for axis, color, values in zip("xyz", ("C0", "C1", "C2"), tips.T, strict=True):
            way.plot(times, 1e3 * values, style, color=color, label=f"{axis}, {name.rpartition('/')[2]}")
    way.set_ylabel("jaw tip in the base frame (mm)")
    way.legend(ncols=2, fontsize="small")

    times, tips = tip_series(series["measured_cp"])
    goals = [(seconds, np.array(record.data)) for seconds, record in series["l0_surgical/goal"]]
    for number, (seconds, goal) in enumerate(goals):
        end = goals[number + 1][0] if number + 1 < len(goals) else np.inf
        part = (times >= seconds) & (times < end)
        distance.plot(times[part], 1e3 * np.linalg.norm(tips[part] - goal, axis=1), color="C0")
    distance.axhline(5, color="0.5", linestyle="--", label="reached: 5 mm")
    distance.set(ylabel="distance to the goal (mm)", ylim=(0, None))
    distance.legend(fontsize="small")

    commands = series["servo_cp"] or series["l0_surgical/dry_run_servo_cp"]
    stamps = np.array([record.stamp_ns for _, record in commands]) * 1e-9
    steps = np.linalg.norm(np.diff([record.position for _, record in commands], axis=0), axis=1)
    speed.plot(
        [seconds for seconds, _ in commands][1:],
        1e3 * steps / np.diff(stamps),
        linewidth=0.8,
        label="setpoints",
    )
    speed.axhline(1e3 * max_speed, color="C3", linestyle="--", label="limit")
    speed.set(ylabel="speed (mm/s)", xlabel="time (s)", ylim=(0, 1.2e3 * max_speed))
    speed.legend(fontsize="small")

    states = [(seconds, record.data.partition(":")[0]) for seconds, record in series["l0_surgical/state"]]
    for (start, state), (end, _) in zip(states, [*states[1:], (times[-1], "")], strict=True):
        for axes in (way, distance, speed):
            axes.axvspan(start, end, color=STATE_COLORS.get(state, "white"), zorder=0)
    figure.suptitle(f"{arm}: blue approaches the start pose, green is the policy's, red is a fault")
    figure.savefig(picture, dpi=120)


def tip_series(entries: list) -> tuple[np.ndarray, np.ndarray]:
    """Times (n,) in s and jaw tips (n, 3) in m of pose messages; those that are no poses (a fault's) are left
    out."""
    usable = [
        (seconds, record)
        for seconds, record in entries
        if np.isfinite(record.position).all() and any(record.orientation)
    ]
    return np.array([seconds for seconds, _ in usable]), np.array(
        [Pose.of(record).tip() for _, record in usable]
    ).reshape(-1, 3)


if __name__ == "__main__":
    main()
