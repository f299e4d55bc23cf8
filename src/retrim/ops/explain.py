"""Explains a prediction: of a landed row, of a row that a person gives, or one that was stored."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from retrim.adapters.store import Row, iso
from retrim.core.explanation import Explanation, explain_row
from retrim.core.keyed import row_keys
from retrim.core.near import near_keys
from retrim.core.table import DataParams
from retrim.datasets.one_row import row_of_file, row_of_json
from retrim.errors import BadInputError, RefusedError
from retrim.ops.champion import Stored, stored
from retrim.ops.house import House
from retrim.ops.known import KnownTable, known
from retrim.ops.release import live

LONGEST = 9  # digits of a version's number: a database holds no whole number of any length
SAME = 1e-9
"""By how much a stored prediction may differ from what the version says now, as a share of it."""


@dataclass(frozen=True)
class Explained:
    """An explanation, and what was explained.

    Args:
        version: Whose prediction it is.
        key: Of the landed row; None for one that was given.
        event: When it happened; None as above.
        as_of: The moment whose knowledge the features are: when it was predicted, or now. None as above.
        stored: What was stored: a number, or one a class; None where nothing was.
        agrees: Whether the version says the same now from the same features; None where nothing was stored.
        explanation: The parts.
    """

    version: int
    key: str | None
    event: str | None
    as_of: str | None
    stored: Any
    agrees: bool | None
    explanation: Explanation

    def as_record(self) -> dict[str, Any]:
        own = {name: getattr(self, name) for name in ("version", "key", "event", "as_of", "stored", "agrees")}
        return own | self.explanation.as_record()


def explain(house: House, what: str, *, version: int | None, asked: str | None, now: pd.Timestamp) -> Explained:
    """Explains `what`.

    Args:
        house: The house.
        what: A key of a landed row; `KEY@N`, the stored prediction of version N; a row as JSON; or a file of one row.
        version: Whose prediction; by default the live version's. A stored prediction names its own.
        asked: The class to explain; None: the predicted one.
        now: Rows that have landed by then.

    Raises:
        BadInputError: There is no such row, prediction, version or class.
        RefusedError: The bundle was altered, or its model has no exact contributions.
    """
    if what.lstrip().startswith(("{", "[")):
        found = _version(house, version)
        return _given(found, row_of_json(what, *_columns(house, found)), asked)
    if _is_file(what):
        found = _version(house, version)
        return _given(found, row_of_file(Path(what), *_columns(house, found)), asked)
    table = known(house, as_of=now)
    keys = table.landed_keys()
    key, at, number = what.rpartition("@")
    if at and number.isdecimal() and len(number) <= LONGEST and _spelt(what, keys, house.params.data) is None:
        if version is not None:
            raise BadInputError(f"{what!r} names version {number}, and --version {version} another; leave one out")
        prediction = _prediction(house, key, int(number))
        then = known(house, as_of=pd.Timestamp(prediction.at))
        return _landed(stored(house, int(number)), then, prediction.key, asked, prediction, prediction.at)
    spelt = _spelt(what, keys, house.params.data)
    if spelt is None:
        raise _no_row(what, keys)
    return _landed(_version(house, version), table, spelt, asked, None, iso(now))


def _is_file(text: str) -> bool:
    try:
        return Path(text).is_file()
    except (OSError, ValueError):  # longer than a name may be, or with a zero byte in it
        return False


def _version(house: House, version: int | None) -> Stored:
    if version is not None:
        return stored(house, version)
    champion = live(house)
    if champion is None:
        raise BadInputError(
            f"no version of {house.model} is live; name one with --version N, or make one: retrim retrain"
        )
    return stored(house, champion.version)


def _columns(house: House, found: Stored) -> tuple[dict[str, Any], dict[str, Any]]:
    """The columns that a version needs, and the other columns a row may have."""
    needed = found.predictor.view.needs
    others = {name: column.type for name, column in house.params.data.columns.items() if name not in needed}
    return needed, others


def _given(found: Stored, row: pd.DataFrame, asked: str | None) -> Explained:
    return Explained(found.version, None, None, None, None, None, explain_row(found.predictor, row, asked=asked))


def _landed(
    found: Stored, table: KnownTable, key: str, asked: str | None, prediction: Row | None, as_of: str
) -> Explained:
    row = table.only(table.times["_key"] == key).read()
    if not len(row):
        raise RefusedError(f"row {key!r} had not landed by {as_of}, or data.rows leaves it out; it cannot be explained")
    said = explain_row(found.predictor, row, asked=asked)
    agrees = None
    if prediction is not None:
        agrees = bool(np.allclose(prediction.value, found.predictor.predict(row)[0], rtol=SAME, atol=1e-12))
    value = None if prediction is None else prediction.value
    return Explained(found.version, key, iso(row["_event"].iloc[0]), as_of, value, agrees, said)


def _prediction(house: House, key: str, version: int) -> Row:
    """A stored prediction, by the key as a person spells it."""
    for spelt in _spellings(key, house.params.data):
        found = house.predictions.one(house.model, key=spelt, version=version)
        if found is not None:
            return found
    made = house.predictions.all_keys(house.model, version=version)
    if not made:
        raise BadInputError(
            f"version {version} has stored no prediction; leave @{version} out and say --version {version}"
        )
    near = ", ".join(near_keys(made, key, most=3))
    raise BadInputError(
        f"version {version} has no stored prediction of {key!r}; near ones: {near}. To explain what it would say: "
        f"leave @{version} out and say --version {version}"
    )


def _no_row(what: str, keys: pd.Series) -> BadInputError:
    near = ", ".join(near_keys(keys.tolist(), what, most=3))
    return BadInputError(f"no landed row has the key {what!r}, and there is no such file; near keys: {near}")


def _spelt(what: str, keys: pd.Series, data: DataParams) -> str | None:
    """The key as the table spells it; None where no row has it."""
    return next((spelt for spelt in _spellings(what, data) if (keys == spelt).any()), None)


def _spellings(what: str, data: DataParams) -> Iterator[str]:
    """How the table may spell a key: as it was given, or with its times written out."""
    yield what
    parts = re.split(r"(?<!\\)\|", what) if len(data.row_key) > 1 else [what]
    if len(parts) != len(data.row_key):
        return
    values: dict[str, pd.Series] = {}
    for name, part in zip(data.row_key, parts, strict=True):
        if data.columns[name].type == "time":
            times = pd.to_datetime(pd.Series([part]), format="ISO8601", utc=True, errors="coerce")
            if times.isna().any():
                return
            values[name] = times
        else:
            values[name] = pd.Series([part.replace("\\|", "|").replace("\\\\", "\\")], dtype="str")
    yield str(row_keys(pd.DataFrame(values), data.row_key, "").iloc[0])
