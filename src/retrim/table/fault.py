"""What is asked of a batch, and what is wrong with it: column, rule, how often, and a few of the rows."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Annotated

from pydantic import JsonValue

from retrim.stats.codec import Absent, Number, from_record, key

EXAMPLES_KEPT = 10
"""Rows that a fault shows; `count` says how many there are."""


@dataclass(frozen=True)
class Arguments:
    """Those arguments of an expectation that are read here; Great Expectations knows the others."""

    column: str = ""
    column_a: Annotated[str, key("column_A")] = ""
    column_b: Annotated[str, key("column_B")] = ""
    column_list: tuple[str, ...] = ()
    min_value: Number | str | None = None
    max_value: Number | str | None = None
    strict_min: bool = False
    strict_max: bool = False
    value_set: tuple[JsonValue, ...] = ()
    type_: str = ""
    mostly: JsonValue = None
    row_condition: JsonValue = None


@dataclass(frozen=True)
class Expectation:
    """One rule of a suite, as Great Expectations writes it in JSON.

    Args:
        type: Name of the expectation in Great Expectations, such as `expect_column_values_to_not_be_null`.
    """

    type: str
    kwargs: dict[str, JsonValue]
    meta: Absent[dict[str, JsonValue]] = None

    @cached_property
    def arguments(self) -> Arguments:
        """Of `kwargs`, what is read here."""
        return from_record(Arguments, self.kwargs)

    @property
    def columns(self) -> frozenset[str]:
        """The columns that it names."""
        arguments = self.arguments
        return frozenset({arguments.column, arguments.column_a, arguments.column_b, *arguments.column_list} - {""})

    @property
    def kind(self) -> str:
        """Its type without the words that most begin with: `be_between`."""
        return self.type.removeprefix("expect_").removeprefix("column_").removeprefix("values_to_")


@dataclass(frozen=True)
class Suite:
    """The rules that each batch has to keep."""

    name: str
    meta: Absent[dict[str, JsonValue]] = None
    expectations: tuple[Expectation, ...] = ()

    def only(self, expectations: Iterable[Expectation]) -> "Suite":
        """The same with these alone."""
        return replace(self, expectations=tuple(expectations))

    def without(self, columns: Collection[str]) -> "Suite":
        """The same without what is asked of these columns alone."""
        return self.only(one for one in self.expectations if not one.columns or not one.columns <= {*columns})


@dataclass(frozen=True)
class Example:
    """A row that breaks a rule. Rows are counted from 0, without the header."""

    row: int | None
    key: str | None
    value: str


@dataclass(frozen=True)
class Fault:
    """A rule that a batch breaks.

    Args:
        column: The column that the rule is about; empty if it is about the whole file.
        rule: The rule in words, with its bound.
        count: Rows that break the rule, of which `examples` shows at most `EXAMPLES_KEPT`; 1 for a whole file.
        examples: The first of those rows.
        releasable: Whether a person may land the batch despite this fault.
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
        examples = (
            replace(example, row=None if example.row is None else example.row + rows) for example in self.examples
        )
        return replace(self, examples=tuple(examples))

    def __str__(self) -> str:
        first = self.examples[0] if self.examples else Example(None, None, "")
        where = f"{self.column}: " if self.column else ""
        if first.row is None:
            about = "the column" if self.column else "the file"
            more = f" and {self.count - 1} more" if self.count > 1 else ""
            shown = f" (found: {first.value!r}{more})" if first.value else ""
            return f'{where}{about} breaks the rule "{self.rule}"{shown}'
        rows = "1 row breaks" if self.count == 1 else f"{self.count} rows break"
        value = f", {first.value!r}" if first.value else ""
        return f'{where}{rows} the rule "{self.rule}" (first: row {first.row}{value})'


def whole_file(rule: str, *, value: str, cure: str, column: str = "") -> Fault:
    """A fault of the file as a whole; never releasable."""
    examples = (Example(None, None, value),) if value else ()
    return Fault(column, rule, 1, examples, releasable=False, cure=cure)


def of_rows(
    column: str, rule: str, cells: Iterable[tuple[int, str | None, object]], *, count: int, releasable: bool, cure: str
) -> Fault:
    """A fault of `count` rows; `found` gives (row, key, value) of at least the first ones."""
    examples: list[Example] = []
    for row, row_key, value in cells:
        if len(examples) == EXAMPLES_KEPT:
            break
        examples.append(Example(row, row_key, str(value)[:200]))
    return Fault(column, rule, count, tuple(examples), releasable=releasable, cure=cure)


def shown_name(name: str) -> str:
    """A column's name, in quotes where blanks around it would not be seen, or signs in it would act on a terminal."""
    return name if name == name.strip() and name.isprintable() else repr(name)
