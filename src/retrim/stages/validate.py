"""Landed batches to the mature rows of the table, checked once more against the suite."""

from collections.abc import Collection, Iterator, Sequence

import pandas as pd

from retrim.adapters.great_expectations import ChunkedSuite, fit_suite, for_tables, read_suite
from retrim.errors import BadInputError, RefusedError
from retrim.files import Paths, write_file, write_folder
from retrim.profile.first_model import SEED
from retrim.profile.leaks import DUPLICATES, LeakParams
from retrim.profile.too_good import find_leaks
from retrim.reading.frames import PIECE, writing
from retrim.reading.landed import BatchFile, landed_files, schemas_of
from retrim.reading.landed_rows import ROW, LandedRows, open_landed
from retrim.stages._common import main, read_pins
from retrim.stats.codec import to_json, to_record
from retrim.table.data import (
    OURS,
    ColumnType,
    DataParams,
    known_rows,
    mature,
    overdue_labels,
    shaped,
    with_past,
)
from retrim.table.fault import Expectation, Fault
from retrim.table.granularity import left_out
from retrim.table.lags import HistoryParams, past_takes
from retrim.table.reading import CalendarPart
from retrim.table.schema import ColumnNames, lacking
from retrim.training.bundle import FORMAT, HISTORY, READ, SETTINGS, BundleFormat, needs_of

LOOKED = 200_000
"""Newest rows in which is looked for what gives the answer away."""


def run(
    data: DataParams,
    leaks: LeakParams,
    split__judge_rows: int,
    reading__calendar: dict[str, CalendarPart],
    paths: Paths,
    cores: int,
) -> None:
    """Writes the mature rows as of the pinned date, and a report of what was there.

    Batches that a person released are exempt from the suite: the reason stands with them. All rows are in memory with
    their keys, times, labels, and what filters and features from the past take; their other columns are read, asked
    and written a piece at a time.
    """
    pins = read_pins(paths)
    as_of = pins.as_of
    files = landed_files(paths.raw)
    histories, needs = _of_champions(paths)
    landed, labels = open_landed(files, data, needs, root=paths.raw)
    known = known_rows(landed.decisive(data, also=past_takes(data.history, *histories)), labels, data, as_of=as_of)
    released = {file.batch: file.released for file in files if file.released}
    # Not the landed rows: a key stands there once more for every correction.
    exempt = known["_batch"].isin(list(released))
    if labels is not None:
        exempt |= known["_key"].isin(labels.loc[labels["_batch"].isin(list(released)), "_key"])
    bound = known if not exempt.any() else known[~exempt].reset_index(drop=True)
    not_asked = _ask_suite(bound, landed, files, data, paths)
    table = shaped(known, data)
    for history in histories:
        table = with_past(table, data, history, also=landed.columns, renamed=landed.renamed)
    mature_rows = mature(table)
    if not len(mature_rows):
        raise RefusedError(f"no row is mature as of {as_of.isoformat()}; wait until labels are due")
    if leaks.probe:
        newest = pd.concat(list(_pieces(table.tail(LOOKED).reset_index(drop=True), landed)), ignore_index=True)
        _refuse_leaks(newest, data, leaks, split__judge_rows, reading__calendar, cores)
    report = {
        "as_of": as_of.isoformat(),
        "landed": len(landed),
        "left_out": left_out(known, data.rows),
        "rows": len(table),
        "mature": len(mature_rows),
        "labels_overdue": overdue_labels(table, data, as_of=as_of),
        "released": released,
        "from": mature_rows["_event"].iloc[0].isoformat(),
        "until": mature_rows["_event"].iloc[-1].isoformat(),
        **({"not_asked": list(not_asked)} if not_asked else {}),
    }
    write_file(paths.format, to_json(to_record(BundleFormat(FORMAT))))
    write_file(paths.candidate / SETTINGS, paths.settings.read_bytes())
    with writing(paths.table) as add:
        for piece in _pieces(mature_rows, landed):
            add(piece)
    write_folder(paths.validation, {"report.json": to_json(report)})


def _ask_suite(
    bound: pd.DataFrame, landed: LandedRows, files: Sequence[BatchFile], data: DataParams, paths: Paths
) -> tuple[str, ...]:
    """Asks the suite of these rows, and gives what it is not asked any more.

    Rows of a batch that landed without a column are not asked about it.

    Raises:
        BadInputError: They break it.
    """
    schemas = schemas_of(file for file in files if file.kind == "rows")
    names = ColumnNames((file.schema for file in files), data)
    known = {name for file in files for name in file.schema.types}
    suite = for_tables(read_suite(paths.root / data.suite)).without(data.warned)
    ours = [str(name) for name in bound if str(name).startswith("_")]  # what only the champion reads is not the table's
    suite, notes = fit_suite(suite, data.suite, columns=[*OURS, *ours, *data.columns], landed=known, names=names)
    without = lacking(schemas, data.columns, names)
    together: dict[frozenset[str], list[Expectation]] = {}
    for one in suite.expectations:
        batches = frozenset[str]().union(*(without.get(name, ()) for name in one.columns))
        together.setdefault(batches, []).append(one)
    faults: list[Fault] = []
    for batches, expectations in together.items():
        rows = bound if not batches else bound[~bound["_batch"].isin(batches)].reset_index(drop=True)
        faults += _faults(rows, landed, ChunkedSuite(suite.only(expectations)))
    if faults:
        raise BadInputError(
            f"landed rows break the rules of {data.suite}; correct the rows or the suite: "
            + "; ".join(map(str, faults))
        )
    return notes


def _faults(rows: pd.DataFrame, landed: LandedRows, suite: ChunkedSuite) -> tuple[Fault, ...]:
    for piece in _pieces(rows, landed):
        suite.look(piece)
    if suite.asks_whole:
        columns = [name for name in suite.whole_columns(landed.columns) if name not in rows]
        suite.look_whole(pd.concat([rows, landed.take(rows[ROW].to_numpy(), columns)], axis=1))
    return suite.faults()


def _refuse_leaks(
    table: pd.DataFrame, data: DataParams, leaks: LeakParams, judge_rows: int, made: Collection[str], cores: int
) -> None:
    refused = find_leaks(
        table,
        data,
        entity=data.entity,
        judge_rows=judge_rows,
        calendar=tuple(made),
        allowed=leaks.allowed,
        seed=SEED,
        threads=cores,
    ).refused
    if not refused:
        return
    texts = "; ".join(leak.text for leak in refused)
    names = list(dict.fromkeys(name for leak in refused for name in leak.columns))
    if names == [DUPLICATES]:
        cure = "send each row once"
    else:
        columns = ", ".join(repr(name) for name in names if name != DUPLICATES)
        cure = f"set the role of {columns} to forbidden in data.columns"
    raise RefusedError(
        f"leak: {texts}. {cure[:1].upper()}{cure[1:]}; or, if the value is known before the event, set leaks.allowed: "
        f"{{{refused[0].columns[0]}: WHY}} in params.yaml"
    )


def _pieces(table: pd.DataFrame, landed: LandedRows) -> Iterator[pd.DataFrame]:
    """The table in pieces with all columns of its rows."""
    for start in range(0, len(table), PIECE):
        piece = table.iloc[start : start + PIECE].reset_index(drop=True)
        yield landed.beside(piece)


def _of_champions(paths: Paths) -> tuple[list[HistoryParams], dict[str, ColumnType]]:
    """What the champion and previous ones take, as they are scored beside the new: features from the past, and columns.

    A column that is gone is there for them, missing in the rows that came without it.
    """
    champions = [paths.champion] if paths.has_champion else []
    champions += sorted(paths.previous.iterdir()) if paths.has_previous_champions else []
    histories: list[HistoryParams] = []
    needs: dict[str, ColumnType] = {}
    for folder in champions:
        files = {name: (folder / name).read_bytes() for name in READ if (folder / name).is_file()}
        histories += [HistoryParams.model_validate_json(files[HISTORY])] if HISTORY in files else []
        needs = needs_of(files) | needs
    return histories, needs


if __name__ == "__main__":
    main(run)
