"""Great Expectations on a frame that we loaded: a suite of plain JSON in, faults out.

A suite binds types, keys and physical bounds: what describes a distribution is refused, or the quarantine would eat the
drift. An expectation that names a column by an earlier name is asked of the column as it is called now.
"""

import json
import logging
import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Lock
from typing import Annotated, Any

import pandas as pd

from retrim.errors import BadInputError, RetrimError, UnknownNameError
from retrim.files import uncollected
from retrim.stats.codec import from_record, key
from retrim.table.fault import EXAMPLES_KEPT, Arguments, Example, Expectation, Fault, Suite, of_rows
from retrim.table.schema import ColumnNames

DISTRIBUTION = (
    "mean", "median", "stdev", "quantile", "sum", "kl_divergence", "most_common", "distinct_values", "z_scores",
    "unique_value_count", "proportion_of_unique", "proportion_of_non_null",
)  # fmt: skip
CURE = "correct the rows at their source, or land the batch anyway: retrim batch release ID --reason WHY"
ONE_SUITE = Lock()
"""Great Expectations keeps what it is at for the whole process, so threads take turns."""
NUMBER = "number"
FORM = '{"name": ..., "expectations": [{"type": ..., "kwargs": {...}, "meta": {...}}, ...]}'
BY_ROW = frozenset(
    f"expect_column_{kind}"
    for kind in (
        "values_to_be_between",
        "values_to_be_in_set",
        "values_to_be_null",
        "values_to_be_of_type",
        "values_to_match_regex",
        "values_to_not_be_in_set",
        "values_to_not_be_null",
        "values_to_not_match_regex",
        "value_lengths_to_be_between",
        "value_lengths_to_equal",
        "pair_values_a_to_be_greater_than_b",
        "pair_values_to_be_equal",
    )
)
"""Expectations that hold for a table when they hold for each of its rows."""


def read_suite(path: Path) -> Suite:
    """The suite in a JSON file, each expectation known to Great Expectations with its arguments.

    Raises:
        BadInputError: The file does not exist, is not a suite, or has an expectation that is unknown,
            has wrong arguments, is not binding, or describes a distribution.
    """
    try:
        written: Any = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BadInputError(f"suite {path} cannot be read as JSON ({error}); use the format {FORM}") from error
    listed = written.get("expectations") if isinstance(written, dict) and "name" in written else None
    if not isinstance(listed, list):
        raise BadInputError(f"suite {path} has no name or no list of expectations; use the format {FORM}")
    for number, expectation in enumerate(listed, start=1):
        _check(f"{path.name}, expectation {number}", expectation)
    return from_record(Suite, written)


def for_columns(suite: Suite, columns: Collection[str]) -> Suite:
    """The part of `suite` that is about these columns and no other."""
    return suite.only(one for one in suite.expectations if one.columns and one.columns <= set(columns))


def for_tables(suite: Suite) -> Suite:
    """The part of `suite` that holds for many batches put together: not what counts the rows or columns of one."""
    return suite.only(one for one in suite.expectations if one.columns)


def validate(frame: pd.DataFrame, suite: Suite, *, key_column: str = "_key") -> tuple[Fault, ...]:
    """What `frame` breaks of `suite`, in the order of the suite: a fault an expectation, with the first of its rows.

    Raises:
        BadInputError: An expectation could not be computed, as of a column that is not there.
    """
    return tuple(answers(frame, suite, key_column=key_column).values())


def answers(frame: pd.DataFrame, suite: Suite, *, key_column: str = "_key") -> dict[int, Fault]:
    """As `validate`, by the number of the expectation in the suite, from 0."""
    frame = frame.reset_index(drop=True)
    return {
        number: _fault(frame, suite.expectations[number], broken, key_column)
        for number, broken in _broken(frame, suite).items()
    }


def rows_that_break(frame: pd.DataFrame, suite: Suite) -> dict[int, list[int]]:
    """Places of the rows that break each expectation, by its number in the suite; those that hold are left out."""
    return {number: broken.rows or [] for number, broken in _broken(frame.reset_index(drop=True), suite).items()}


@dataclass(frozen=True)
class _Broken:
    """What Great Expectations says of an expectation that does not hold: places of its rows, or what it saw."""

    rows: Annotated[list[int] | None, key("unexpected_index_list")] = None
    seen: Annotated[object, key("observed_value")] = None


def _broken(frame: pd.DataFrame, suite: Suite) -> dict[int, _Broken]:
    """The expectations that do not hold, by their number in the suite."""
    if not suite.expectations:
        return {}
    with ONE_SUITE:
        results = _results(frame, suite)
    answered = list(zip(results, suite.expectations, strict=True))
    # A bound cannot be computed on a column of another type; the type's own fault says it better.
    mistyped = {one.arguments.column for result, one in answered if "of_type" in one.type and not result.success}
    broken = {}
    for number, (result, expectation) in enumerate(answered):
        message = _exception(result.exception_info)
        if message is None and not result.success:
            broken[number] = from_record(_Broken, result.result)
        elif message is not None and expectation.arguments.column not in mistyped & set(frame.columns):
            raise BadInputError(
                f"suite {suite.name}: {expectation.type} {expectation.kwargs} cannot be computed ({message}); correct "
                f"or remove this expectation. The columns are: {', '.join(frame.columns)}"
            )
    return broken


def _results(frame: pd.DataFrame, suite: Suite) -> list[Any]:
    """What Great Expectations finds for each expectation, in the order of the suite.

    It is given the columns that an expectation is about and no other, since it copies all that it is given for each
    expectation that passes over blank cells.
    """
    gx = _load()
    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = {"globally": False}
    asset = context.data_sources.add_pandas("pandas").add_dataframe_asset("rows")
    definition = asset.add_batch_definition_whole_dataframe("all")
    together: dict[tuple[str, ...], list[dict[str, Any]]] = {}
    for number, one in enumerate(suite.expectations):
        numbered = {"type": one.type, "kwargs": one.kwargs, "meta": {NUMBER: number}}
        together.setdefault(_looked_at(one, frame.columns), []).append(numbered)
    result_of: dict[int, Any] = {}
    for columns, expectations in together.items():
        batch = definition.get_batch({"dataframe": frame[list(columns)] if columns else frame})
        outcome = batch.validate(
            gx.ExpectationSuite(name=suite.name, expectations=expectations),
            result_format={"result_format": "COMPLETE", "include_unexpected_rows": False},
        )
        result_of |= {result.expectation_config.meta[NUMBER]: result for result in outcome.results}
    if len(result_of) != len(suite.expectations):
        expected = len(suite.expectations)
        raise BadInputError(
            f"suite {suite.name}: {expected} expectations gave {len(result_of)} results; try each expectation "
            "separately, and correct or remove the one without a result"
        )
    return [result_of[number] for number in sorted(result_of)]


def _looked_at(expectation: Expectation, columns: Collection[str]) -> tuple[str, ...]:
    """The columns that computing an expectation takes; none where it may take any."""
    if not expectation.columns <= set(columns) or expectation.arguments.row_condition is not None:
        return ()
    return tuple(name for name in columns if name in expectation.columns)


def in_words(expectation: Expectation) -> str:
    """An expectation as a rule with its bound: "is between 0 and 100 (percent)"."""
    kwargs = {name: value for name, value in expectation.kwargs.items() if not name.startswith("column")}
    low, high = expectation.arguments.min_value, expectation.arguments.max_value
    match expectation.kind:
        case "be_between" if high is None:
            words = f"is at least {low}"
        case "be_between" if low is None:
            words = f"is at most {high}"
        case "be_between":
            words = f"is between {low} and {high}"
        case "be_in_set":
            words = f"is one of {', '.join(map(str, expectation.arguments.value_set))}"
        case "be_unique":
            words = "is unique"
        case "not_be_null":
            words = "is not blank"
        case "be_of_type":
            words = f"is stored as {expectation.arguments.type_}"
        case _:
            given = ", ".join(f"{name} {value}" for name, value in sorted(kwargs.items()))
            words = f"{expectation.kind.replace('_', ' ')}{f' ({given})' if given else ''}"
    unit = (expectation.meta or {}).get("unit")
    return f"{words} ({unit})" if unit else words


def _fault(frame: pd.DataFrame, expectation: Expectation, broken: _Broken, key_column: str) -> Fault:
    arguments = expectation.arguments
    column, rows = arguments.column or ", ".join(arguments.column_list) or arguments.column_a, broken.rows or []
    if not rows:
        seen = Example(None, None, str(broken.seen))
        return Fault(column, in_words(expectation), 1, (seen,), releasable=True, cure=CURE)
    keys = frame.get(key_column)
    shown = [name for name in column.split(", ") if name in frame]
    examples = ((row, None if keys is None else str(keys[row]), _value(frame, row, shown)) for row in rows)
    return of_rows(column, in_words(expectation), examples, count=len(rows), releasable=True, cure=CURE)


def _value(frame: pd.DataFrame, row: int, columns: list[str]) -> str:
    cells = [frame[name].iloc[row] for name in columns]
    return ", ".join("" if pd.isna(cell) else str(cell) for cell in cells)


def _exception(info: dict[str, Any]) -> str | None:
    """The message of what went wrong inside Great Expectations: flat, or nested under a metric's id."""
    if "raised_exception" in info:
        return str(info.get("exception_message")) if info["raised_exception"] else None
    messages = [_exception(inner) for inner in info.values() if isinstance(inner, dict)]
    return next((message for message in messages if message is not None), None)


def _check(where: str, written: Any) -> None:
    try:
        expectation = from_record(Expectation, written)
    except RetrimError as error:
        raise BadInputError(f"suite {where}: {written!r} has no type or no kwargs; use the format {FORM}") from error
    extra = sorted(set(written) - {"type", "kwargs", "meta"})
    if extra:
        raise BadInputError(
            f"suite {where}: remove the keys {', '.join(extra)}. Only type, kwargs and meta are allowed, because a "
            "batch has to meet every expectation"
        )
    kind = expectation.type
    if any(word in kind for word in DISTRIBUTION):
        raise BadInputError(
            f"suite {where}: {kind} describes a distribution; remove this expectation. A suite checks types, keys and "
            "physical bounds. The drift tests (section drift in params.yaml) watch distributions"
        )
    _load()
    from great_expectations.expectations.expectation_configuration import ExpectationConfiguration
    from great_expectations.expectations.registry import list_registered_expectation_implementations

    known = list_registered_expectation_implementations()
    if kind not in known:
        # A suite with an unknown type would only log it, and go on without.
        raise UnknownNameError(f"type in {where}:", kind, known)
    try:
        ExpectationConfiguration(type=kind, kwargs=expectation.kwargs).to_domain_obj()
    except (TypeError, ValueError) as error:
        lines = " ".join(str(error).split())
        raise BadInputError(
            f"suite {where}: {kind} does not accept {expectation.kwargs} ({lines}); correct its kwargs"
        ) from error
    try:
        from_record(Arguments, expectation.kwargs)
    except RetrimError as error:
        raise BadInputError(
            f"suite {where}: {kind} has an argument in {expectation.kwargs} that is not a plain value; use numbers, "
            "text or lists instead of parameters"
        ) from error


def _load() -> Any:
    """Great Expectations, silent: no telemetry, no progress bars, no log lines of its own."""
    os.environ["GX_ANALYTICS_ENABLED"] = "false"
    logger = logging.getLogger("great_expectations")
    if not logger.handlers:  # each that is added stays for ever
        logger.addHandler(logging.NullHandler())
    logger.propagate = False  # a level would not do: one of its modules sets its own
    with uncollected():
        import great_expectations

    return great_expectations


def fit_suite(
    suite: Suite, path: str, *, columns: Collection[str], landed: Collection[str], names: ColumnNames
) -> tuple[Suite, tuple[str, ...]]:
    """The suite for a table with `columns`, and a sentence for each column that makes it ask less than it says."""
    expectations, gone = [], dict[str, int]()
    for one in suite.expectations:
        now = {name: name if name in columns else names.current(name) for name in one.columns}
        lost = sorted(name for name, present in now.items() if present is None and name in landed)
        if lost:
            gone |= {name: gone.get(name, 0) + 1 for name in lost}
        else:
            expectations.append(_called(one, {name: present or name for name, present in now.items()}))
    notes = (
        f"{path}: expectations of {name!r} ({count}) are not checked, because that column no longer exists; remove them"
        for name, count in gone.items()
    )
    return suite.only(expectations), tuple(notes)


def _called(expectation: Expectation, now: Mapping[str, str]) -> Expectation:
    """The expectation with its columns as they are called now."""
    arguments = expectation.arguments
    named = {"column": arguments.column, "column_A": arguments.column_a, "column_B": arguments.column_b}
    kwargs = expectation.kwargs | {name: now[column] for name, column in named.items() if column}
    if arguments.column_list:
        kwargs["column_list"] = [now[name] for name in arguments.column_list]
    return replace(expectation, kwargs=kwargs)


def by_row(expectation: Expectation) -> bool:
    """Whether an expectation may be asked of each piece; one with `mostly` is about a share of all rows."""
    return expectation.type.lower() in BY_ROW and expectation.arguments.mostly in (None, 1)


class ChunkedSuite:
    """A suite, asked of pieces: `look` at each in turn, `look_whole` at what no piece can answer."""

    def __init__(self, suite: Suite) -> None:
        self.suite = suite
        self._faults: dict[int, Fault] = {}
        self._rows = 0
        self._by_row = [number for number, one in enumerate(suite.expectations) if by_row(one)]
        self._whole = [number for number in range(len(suite.expectations)) if number not in self._by_row]

    @property
    def asks_whole(self) -> bool:
        """Whether it has expectations that no piece can answer."""
        return bool(self._whole)

    def whole_columns(self, columns: Sequence[str]) -> list[str]:
        """Those of `columns` that they need: all, where one of them has a condition on its rows."""
        expectations = [self.suite.expectations[number] for number in self._whole]
        if any(one.arguments.row_condition is not None for one in expectations):
            return list(columns)
        needed = {name for one in expectations for name in one.columns}
        return [name for name in columns if name in needed]

    def look(self, piece: pd.DataFrame) -> None:
        """Asks a piece what can be asked of it: the rows after those of the pieces before."""
        for number, fault in self._asked(piece, self._by_row).items():
            examples = tuple(_later(example, self._rows) for example in fault.examples)
            before = self._faults.get(number)
            if before is None:
                self._faults[number] = replace(fault, examples=examples)
            elif before.examples[0].row is not None:
                first_examples = (*before.examples, *examples)[:EXAMPLES_KEPT]
                self._faults[number] = replace(before, count=before.count + fault.count, examples=first_examples)
        self._rows += len(piece)

    def look_whole(self, table: pd.DataFrame) -> None:
        """Asks the rest of the whole table; it may have those columns alone that the rest is about."""
        self._faults |= self._asked(table, self._whole)

    def faults(self) -> tuple[Fault, ...]:
        return tuple(self._faults[number] for number in sorted(self._faults))

    def _asked(self, rows: pd.DataFrame, numbers: Sequence[int]) -> dict[int, Fault]:
        part = self.suite.only(self.suite.expectations[number] for number in numbers)
        return {numbers[number]: fault for number, fault in answers(rows, part).items()}


def _later(example: Example, rows: int) -> Example:
    return example if example.row is None else replace(example, row=example.row + rows)
