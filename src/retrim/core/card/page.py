"""What a card is made of, before it is Markdown or HTML."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Source:
    """Where figures come from.

    Args:
        name: What the card calls it, such as `verdict`.
        address: `runs:/ID/PATH` of a file of the run in MLflow, or a table of the store; no host stands in it.
        digest: SHA-256 of the file; None for rows of the store.
    """

    name: str
    address: str
    digest: str | None


@dataclass(frozen=True)
class Table:
    """A table.

    Args:
        heads: Names of the columns.
        rows: Cells as text.
        source: Name of the source of its figures.
        caption: Above it; may be empty.
    """

    heads: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    source: str
    caption: str = ""

    @property
    def wide(self) -> bool:
        """Whether it has a head at all: a list of facts has none."""
        return any(self.heads)


@dataclass(frozen=True)
class Picture:
    """A picture of the run, by its file's name."""

    name: str
    title: str


@dataclass(frozen=True)
class Section:
    """A section of the card; an empty one is left out."""

    title: str
    anchor: str
    sentences: tuple[str, ...] = ()
    tables: tuple[Table, ...] = ()
    pictures: tuple[Picture, ...] = ()

    @property
    def empty(self) -> bool:
        return not (self.sentences or self.tables or self.pictures)


@dataclass(frozen=True)
class Card:
    """A card."""

    title: str
    summary: tuple[Table, ...]
    sections: tuple[Section, ...]
    sources: tuple[Source, ...]


def facts_table(pairs: Sequence[tuple[str, Any]], source: str, caption: str = "") -> Table:
    """A list of names and values; None is left out."""
    rows = tuple((name, told(value)) for name, value in pairs if value is not None)
    return Table(("", ""), rows, source, caption)


def told(value: Any) -> str:
    """A value as a card says it: figures to four digits, times without seconds where those are 0."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, list | tuple):
        return ", ".join(map(told, value)) if value else "none"
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {told(each)}" for name, each in sorted(value.items())) if value else "none"
    text = str(value)
    return text.removesuffix("+00:00").removesuffix(":00").replace("T", " ") if _is_time(text) else text


def _is_time(text: str) -> bool:
    return len(text) == len("2024-01-01T00:00:00+00:00") and text[10] == "T" and text.endswith("+00:00")


def span(low: float, high: float) -> str:
    """An interval."""
    return f"{low:.4g} to {high:.4g}"
