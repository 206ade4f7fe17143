"""The CRTK client for Python (crtk_python_client) at an arm: brings it up, moves it every way it can, and
prints what came of it as JSON.

python tests/robot/simulated_arm/crtk_client.py PSM1, in a shell with ROS 2 sourced.
"""

import json
import sys
import time

import crtk
import numpy

FEATURES = {
    "": "operating_state measured_js measured_cp measured_cv setpoint_js setpoint_cp hold free servo_jp "
    "servo_jr servo_jf servo_cp move_jp move_jr move_cp",
    "local": "measured_cp setpoint_cp",
    "body": "measured_cf jacobian servo_cf",
    "spatial": "measured_cf jacobian servo_cf",
    "jaw": "measured_js setpoint_js servo_jp servo_jf move_jp",
}


class Device:
    """What the client knows of one namespace; it adds its methods to this object."""

    def __init__(self, ral: crtk.ral, features: str) -> None:
        self.utils = crtk.utils(self, ral)
        for feature in features.split():
            getattr(self.utils, f"add_{feature}")()


def main(name: str) -> None:
    ral = crtk.ral("crtk_client", name)
    arm = Device(ral, FEATURES[""])
    local, body, spatial, jaw = (
        Device(ral.create_child(child), FEATURES[child]) for child in ("local", "body", "spatial", "jaw")
    )
    ral.spin()
    ral.check_connections(5.0)
    results = {"enabled": arm.enable(5)}
    begun = ral.now()
    results["homed"] = arm.home(10)
    # the arm says that it is homed as soon as it begins to home
    time.sleep(0.3)
    results |= {"homing_is_over": arm.wait_for_busy(False, begun, 10), "homed_again": arm.home(10)}
    # the newest setpoint_js may be from before the end of homing, of a tool that is not engaged
    while len(arm.setpoint_jp(wait_timeout=5.0)[0]) != 6:
        time.sleep(0.01)
    time.sleep(0.1)
    results["moves_of_no_length"] = [arm.move_jp(arm.setpoint_jp()[0]).wait(timeout=5) for _ in range(5)]
    results["moved_jr"] = arm.move_jr(numpy.array([0.1, 0, 0.01, 0, 0, 0])).wait(timeout=10)
    time.sleep(0.1)
    results["joints"] = arm.measured_jp()[0].tolist()
    goal = arm.setpoint_cp()[0]
    goal.p[0] += 0.02
    results["moved_cp"] = arm.move_cp(goal).wait(timeout=10)
    for _ in range(100):
        goal.p[0] -= 0.0002
        arm.servo_cp(goal)
        time.sleep(0.005)
    jaw_at = numpy.array([0.5])
    jaw.move_jp(jaw_at)
    time.sleep(1.0)
    results |= {"x": arm.measured_cp()[0].p[0], "local_x": local.measured_cp()[0].p[0], "goal_x": goal.p[0]}
    results |= {"jaw": jaw.measured_jp()[0].tolist(), "force": body.measured_cf()[0].tolist()}
    results |= {"jacobians": [device.jacobian()[0].shape for device in (body, spatial)]}
    results |= {"unhomed": arm.unhome(5), "disabled": arm.disable(5), "enabled_again": arm.enable(5)}
    sys.stdout.write(json.dumps(results))
    sys.stdout.flush()
    ral.shutdown()


if __name__ == "__main__":
    main(sys.argv[1])
