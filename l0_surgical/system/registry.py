"""A table of what has a name: filled by the library and, in the same way, by a user's module."""

from collections.abc import Iterator
from typing import Generic, TypeVar

from l0_surgical.system.errors import BadInputError

T = TypeVar("T")


class Registry(Generic[T]):
    """Entries by name, in the order in which they came.

    Args:
        kind: what an entry is, in messages, e.g. "algorithm".
        how: how a user adds one, e.g. "register_algorithm".
    """

    def __init__(self, kind: str, how: str) -> None:
        self.kind, self._how = kind, how
        self._entries: dict[str, T] = {}

    def add(self, name: str, entry: T) -> None:
        """Adds an entry.

        Raises:
            BadInputError: the name is taken, or is none that a command line could hold.
        """
        if not name or name != name.strip() or name.startswith("-") or any(c.isspace() for c in name):
            raise BadInputError(
                f"{name!r} is no name for a {self.kind}; choose one without spaces or a leading dash"
            )
        if name in self._entries:
            raise BadInputError(f"there is a {self.kind} {name!r} already; choose another name")
        self._entries[name] = entry

    def __getitem__(self, name: str) -> T:
        """Returns the entry of that name.

        Raises:
            BadInputError: there is none; lists the known ones and how to add one.
        """
        if name not in self._entries:
            raise BadInputError(f"unknown {self.kind} {name!r}; {self.known()}")
        return self._entries[name]

    def known(self) -> str:
        """The names, and how to add one, as the end of a message."""
        *most, last = self._entries
        names = [", ".join(most), last] if most else [last]
        own = f"--import a module that calls {self._how} (docs/extending.md)"
        return f"choose {' or '.join(names)}, or {own}"

    def __contains__(self, name: object) -> bool:
        return name in self._entries

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)
