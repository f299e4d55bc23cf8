"""The tables that plug-ins enter by name: metrics, models, drift tests, trigger rules."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from retrim.errors import UnknownNameError

T = TypeVar("T")


@dataclass(frozen=True)
class Entry(Generic[T]):
    """One plug-in and the facts it was registered with."""

    name: str
    value: T
    facts: dict[str, Any]


@dataclass(frozen=True)
class Registry(Generic[T]):
    """A table of plug-ins of one kind.

    Args:
        kind: What an entry is called in errors, such as "drift test".
    """

    kind: str
    _entries: dict[str, Entry[T]] = field(default_factory=dict)

    def register(self, name: str, **facts: Any) -> Callable[[T], T]:
        """Decorator that enters a plug-in under `name`; a name is taken once."""

        def enter(value: T) -> T:
            if name in self._entries:
                raise ValueError(f"{self.kind} {name!r} is registered twice")
            self._entries[name] = Entry(name, value, facts)
            return value

        return enter

    def entry(self, name: str) -> Entry[T]:
        """The entry called `name`.

        Raises:
            UnknownNameError: No such entry; the message lists those there are.
        """
        if name not in self._entries:
            raise UnknownNameError(self.kind, name, self._entries)
        return self._entries[name]

    def __getitem__(self, name: str) -> T:
        return self.entry(name).value

    def __contains__(self, name: object) -> bool:
        return name in self._entries

    def __iter__(self) -> Iterator[Entry[T]]:
        return iter([self._entries[name] for name in sorted(self._entries)])
