"""All attacks, in the groups in which the table shows them."""

from tests.attacks import commands, copies, floods, frames, lies, people, processes, telemetry
from tests.attacks.attack import Attack

GROUPS: dict[str, list[Attack]] = {
    "Baseline": [commands.BASELINE],
    "Motion commands of somebody else": commands.MOTION,
    "Somebody stops the arm": commands.STOPS,
    "The jaw": commands.JAW,
    "The arm's state and settings": commands.STATE,
    "Copies of the controller's own commands": copies.COPIES,
    "The base frame": frames.BASE_FRAME,
    "A second publisher that is silent": telemetry.SILENT,
    "A second publisher of poses": telemetry.POSES,
    "A second publisher of joints and jaw": telemetry.JOINTS_AND_JAW,
    "A second publisher of the state and errors": telemetry.STATES,
    "Other types and qualities of service": telemetry.OTHER_TYPES,
    "The arm says wrong poses": lies.POSES,
    "The arm says wrong stamps": lies.STAMPS,
    "The arm says wrong joints": lies.JOINTS,
    "The arm says a wrong jaw or state": lies.JAWS_AND_STATES,
    "People inside the arm": people.PEOPLE,
    "Failures of the arm": people.FAILURES,
    "Floods": floods.FLOODS,
    "The arm's process": processes.ARM,
    "The controller's process": processes.CONTROLLER,
    "The computer and the operator": processes.COMPUTER,
}
ATTACKS: dict[str, Attack] = {attack.name: attack for group in GROUPS.values() for attack in group}
assert len(ATTACKS) == sum(map(len, GROUPS.values())), "two attacks have the same name"


def find_attack(name: str) -> Attack:
    return ATTACKS[name]
