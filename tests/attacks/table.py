"""The table of outcomes that a run writes into docs/safety.md."""

from dataclasses import dataclass

from tests.attacks.attack import Attack
from tests.attacks.stage import Result


@dataclass(frozen=True)
class Outcome:
    attack: Attack
    result: Result
    escapes: dict[str, str]


def write_table(*arguments: object) -> None:
    raise NotImplementedError
