"""A look at the landed table, or at a raw file: what `retrim profile` tells and the page it writes."""

import json
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from retrim.adapters.look_page import html
from retrim.core.bundle_format import VIEW
from retrim.core.look import Look, LookTable, look_at
from retrim.core.look.champion import Champion
from retrim.core.look.page import page_of
from retrim.core.prepare import StepParams
from retrim.core.rows import AS_THEY_LAND
from retrim.core.table import OURS, assemble
from retrim.core.view import FeatureView
from retrim.datasets.landed_rows import ROW, LandedRows, without_numbers
from retrim.datasets.landed_zone import open_landed
from retrim.errors import BadInputError
from retrim.files import write_file
from retrim.machine import cores
from retrim.ops.champion import champion
from retrim.ops.changed_table import refuse_changes
from retrim.ops.house import House
from retrim.ops.init.desk import Wishes
from retrim.ops.init.use import open_table
from retrim.ops.live import live
from retrim.ops.profile_raw import raw_table

SEED = 7
CELLS = 20_000_000
"""Cells of landed files that are held in memory at a time, so that a large table is read a few columns at a time."""
IMPORTANCE = "verdict/importance.json"


def profile(house: House, *, as_of: pd.Timestamp, rows: int) -> Look:
    """A look at the landed table as it was known at a moment.

    Args:
        house: The house.
        as_of: The moment.
        rows: Of the sample that pairs, correlations and labels are looked at on.

    Raises:
        BadInputError: No rows had landed by then.
        RefusedError: A landed file or the live bundle was altered.
    """
    return look_at(
        landed_table(house, as_of=as_of),
        rows=rows,
        seed=SEED,
        threads=cores(),
        champion=_champion(house),
        prepared=[_said(step) for step in house.params.prepare.steps],
        given=(),
    )


def profile_file(where: str, wishes: Wishes, *, rows: int, query: str | None = None, table: str | None = None) -> Look:
    """A look at a table that has not landed, read as `retrim init` reads it.

    Args:
        where: A file, a folder of files, or an address.
        wishes: Its target, and what else is known of it.
        rows: Of the sample.
        query: Of a database: what gives the rows.
        table: Of a database: or its table.

    Raises:
        BadInputError: It is no table, or a named column is not there.
        RefusedError: Nothing can be made of it.
    """
    made, notes = raw_table(open_table(where, query=query, table=table), wishes)
    return look_at(made, rows=rows, seed=SEED, threads=cores(), champion=None, prepared=(), given=notes)


def write_page(look: Look, to: Path) -> Path:
    """Writes the page of a look, whole; same look, same bytes.

    Raises:
        BadInputError: The place is a folder, or lies in none.
    """
    if to.is_dir() or not to.absolute().parent.is_dir():
        raise BadInputError(f"{to} is a folder, or lies in none; name a file in a folder that is there")
    write_file(to, html(page_of(look)).encode("utf-8", "backslashreplace"))
    return to


def landed_table(house: House, *, as_of: pd.Timestamp) -> LookTable:
    """The landed table as it was known at a moment; its columns are read when they are asked for.

    Raises:
        BadInputError: No rows had landed by then, or they have other columns than params.yaml.
    """
    # What landed is looked at, row by row: also what `data.rows` leaves out or puts together. The past of rows that are
    # put together is one of those, not of these.
    data = house.params.data.model_copy(update={"rows": AS_THEY_LAND})
    if house.params.data.rows.resample is not None:
        data = data.model_copy(update={"history": data.history.model_copy(update={"features": ()})})
    batches = house.landing.batches(as_of)
    files = [file for file in batches if file.kind == "rows"]
    if not sum(file.rows for file in files):
        raise BadInputError(
            f"no rows had landed by {as_of.isoformat()}; land some with `retrim ingest FILE`, or look at a file: "
            "retrim profile --data FILE --target COL"
        )
    refuse_changes(house.landing, house.params.data)
    landed, labels = open_landed(batches, data, {}, root=house.landing.root)
    past = [*data.history.entity, *(feature.of for feature in data.history.features)]
    needed = [*OURS, data.time, *([data.due] if data.due else []), data.target, *past]
    rows = landed.narrow(needed)
    rows = without_numbers(rows).assign(_place=rows[ROW])
    table = assemble(rows, labels, data, as_of=as_of)
    made = table[[data.target, *data.history.columns]]
    order = {file.batch: number for number, file in enumerate(files)}
    return LookTable(
        data=data,
        event=table["_event"],
        keys=table["_key"],
        column=_Columns(landed, list(data.columns), table["_place"], made),
        timed=house.params.reading.arrival is None,
        batches=table["_batch"].map(order).to_numpy(dtype="int64"),
        mature=int(table["_matured"].notna().sum()),
        left_out=dict.fromkeys(house.params.reading.skip, "is not kept of any file"),
        unnamed=frozenset(house.params.fairness.forbidden),
    )


class _Columns:
    """Columns of landed files in the order of the table, a few read at a time.

    Args:
        landed: The files.
        names: All columns, in the order in which they will be asked for.
        places: Row of the files that each row of the table is.
        made: Columns that no file has so: the target with labels that came later, features from the past.
    """

    def __init__(self, landed: LandedRows, names: Sequence[str], places: pd.Series, made: pd.DataFrame) -> None:
        self._landed, self._names, self._places, self._made = landed, names, places.to_numpy(), made
        self._several = max(CELLS // max(len(landed), 1), 1)
        self._read = pd.DataFrame()

    def __call__(self, name: str) -> pd.Series:
        if name in self._made:
            return self._made[name]
        if name not in self._read:
            at = self._names.index(name)
            wanted = [one for one in self._names[at:] if one not in self._made][: self._several]
            self._read = pd.DataFrame()  # the last ones go before the next come
            self._read = self._landed.narrow(wanted)
        return self._read[name].iloc[self._places].reset_index(drop=True)


def _said(step: StepParams) -> str:
    """A preparing step as it is declared."""
    whole = step.columns if isinstance(step.columns, str) else ", ".join(step.columns)
    given = ", ".join(f"{name} {value}" for name, value in step.arguments.items())
    return f"{step.step} of {whole}" + (f" ({given})" if given else "")


def _champion(house: House) -> Champion | None:
    """The live version's view; None before the first promotion, for which no registry is opened."""
    if live(house) is None:
        return None
    stored = champion(house)
    if stored is None:
        return None
    weights = json.loads(stored.files[IMPORTANCE]) if IMPORTANCE in stored.files else None
    view = FeatureView.from_record(json.loads(stored.files[VIEW]))
    return Champion(
        version=stored.version,
        levels={name: known for name in view.features if (known := view.known_levels(name)) is not None},
        weights={} if not weights else {name: float(weight) for name, weight in weights["weights"].items()},
    )
