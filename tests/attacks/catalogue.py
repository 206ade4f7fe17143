"""All attacks, in the groups in which the table shows them."""

from tests.attacks import commands
from tests.attacks.attack import Attack

GROUPS: dict[str, list[Attack]] = {
    "Commands of somebody else": commands.FOREIGN,
    "Copies of the controller's own commands": commands.COPIES,
}
ATTACKS: dict[str, Attack] = {attack.name: attack for group in GROUPS.values() for attack in group}


def find_attack(name: str) -> Attack:
    return ATTACKS[name]
