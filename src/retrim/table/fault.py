"""What is asked of a batch, and what is wrong with it: column, rule, how often, and a few of the rows."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, NotRequired, TypedDict


class Expectation(TypedDict):
    """One rule of a suite, as Great Expectations writes it in JSON."""

    type: str
    kwargs: dict[str, Any]
    meta: NotRequired[dict[str, Any]]


class Suite(TypedDict):
    """The rules that each batch has to keep."""

    name: str
    expectations: list[Expectation]
    meta: NotRequired[dict[str, Any]]


EXAMPLES_KEPT = 10
"""Rows that a fault shows; `count` says how many there are."""


@dataclass(frozen=True)
class Example:
    """One row that breaks a rule. Rows are counted from 0, the header not among them."""

    row: int | None
    key: str | None
    value: str


@dataclass(frozen=True)
class Fault:
    """One rule that a batch breaks.

    Args:
        column: Column it is about; empty when it is the whole file.
        rule: What has to hold, in words, with its bound.
        count: Rows that break it, at most `EXAMPLES_KEPT` of them in `examples`; 1 for a whole file.
        examples: The first of those rows.
        releasable: Whether a person may land the batch in spite of it.
        cure: What to do.
    """

    column: str
    rule: str
    count: int
    examples: tuple[Example, ...]
    releasable: bool
    cure: str

    def shifted(self, rows: int) -> "Fault":
        """The same where `rows` rows stand before those that it names."""
        examples = (replace(each, row=None if each.row is None else each.row + rows) for each in self.examples)
        return replace(self, examples=tuple(examples))

    def __str__(self) -> str:
        where = f"{self.column}: " if self.column else ""
        first = self.examples[0] if self.examples else None
        at = "" if first is None or first.row is None else f", first in row {first.row}"
        value = f": {first.value!r}" if first is not None and first.value else ""
        return f"{where}{self.rule} (broken by {self.count}{at}{value})"


def whole_file(rule: str, *, value: str, cure: str, column: str = "") -> Fault:
    """A fault of the file as a whole; never releasable."""
    examples = (Example(None, None, value),) if value else ()
    return Fault(column, rule, 1, examples, releasable=False, cure=cure)


def of_rows(
    column: str, rule: str, found: Iterable[tuple[int, str | None, object]], *, count: int, releasable: bool, cure: str
) -> Fault:
    """A fault of `count` rows; `found` gives (row, key, value) of at least the first ones."""
    examples: list[Example] = []
    for row, key, value in found:
        if len(examples) == EXAMPLES_KEPT:
            break
        examples.append(Example(row, key, str(value)[:200]))
    return Fault(column, rule, count, tuple(examples), releasable=releasable, cure=cure)


def shown_name(name: str) -> str:
    """A column's name, in quotes where blanks around it would not be seen."""
    return name if name == name.strip() else repr(name)
