"""Options of the attack suite.

pytest tests/attacks                                              at the simulated arm
pytest tests/attacks --arm-command "CMD {domain} {arm}"           at an arm that this command starts
pytest tests/attacks --all-attacks --package-limits --write-table docs/safety.md
"""

from pathlib import Path

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("attacks")
    group.addoption(
        "--arm-command",
        help="starts the arm under attack in place of the simulated one, and says 'is up'; {domain} and "
        "{arm} are filled in",
    )
    group.addoption("--arm-label", help="kind and version of that arm, for the table")
    group.addoption("--all-attacks", action="store_true", help="the variants of attacks, too")
    group.addoption("--scenes", type=int, help="how many scenes are played at a time (default: 3)")
    group.addoption(
        "--package-limits",
        action="store_true",
        help="the package's limits as they are: on a computer that does nothing else",
    )
    group.addoption(
        "--write-table", type=Path, help="writes the table of outcomes between the marks of this file"
    )
