"""Landed batches to the mature rows of the table, checked once more against the suite."""

from collections.abc import Collection, Iterator

import pandas as pd

from retrim.adapters.validation import for_tables, read_suite
from retrim.adapters.validation_pieces import PiecesSuite
from retrim.core.bundle_format import format_record
from retrim.core.canonical import to_json
from retrim.core.init.leak import LeakParams, apart
from retrim.core.init.leak_rows import DUPLICATES
from retrim.core.init.leaks import leaks_of
from retrim.core.lags import HistoryParams, past_takes
from retrim.core.reading import CalendarPart
from retrim.core.rows import left_out
from retrim.core.table import DataParams, known_rows, mature, overdue_labels, shaped, with_past
from retrim.datasets.landed import landed_files, read_labels, rows_of
from retrim.datasets.landed_rows import ROW, LandedRows, without_numbers
from retrim.datasets.pieces import PIECE, writing
from retrim.errors import BadInputError, RefusedError
from retrim.files import write_file, write_folder
from retrim.paths import Paths
from retrim.stages._room import main, read_json, read_pins

LOOKED = 200_000
"""Newest rows in which is looked for what gives the answer away."""


def run(
    data: DataParams,
    leaks: LeakParams,
    split__judge_rows: int,
    reading__calendar: dict[str, CalendarPart],
    paths: Paths,
) -> None:
    """Writes the mature rows as of the pinned date, and a report of what was there.

    Batches that a person released are exempt from the suite: the reason stands with them. All rows are in memory with
    their keys, times, labels, and what filters and features from the past take; their other columns are read, asked
    and written a piece at a time. Where rows are put together into coarser ones, that takes all of them.
    """
    as_of = pd.Timestamp(read_pins(paths)["as_of"])
    files = landed_files(paths.raw)
    labels = read_labels([file.path for file in files if file.kind == "labels"])
    landed, histories = LandedRows(rows_of(files, paths.raw)), _of_champions(paths)
    came = known_rows(landed.decisive(data, also=past_takes(data.history, *histories)), labels, data, as_of=as_of)
    released = {file.batch: file.released for file in files if file.released}
    # Not the landed rows: a key stands there once more for every correction.
    exempt = came["_batch"].isin(list(released))
    if labels is not None:
        exempt |= came["_key"].isin(labels.loc[labels["_batch"].isin(list(released)), "_key"])
    suite = PiecesSuite(for_tables(read_suite(paths.root / data.suite)))
    bound = came if not exempt.any() else came[~exempt].reset_index(drop=True)
    for piece in _pieces(bound, landed):
        suite.look(piece)
    if suite.asks_whole:
        columns = [name for name in suite.whole_columns(landed.columns) if name not in bound]
        suite.look_whole(pd.concat([bound, landed.take(bound[ROW].to_numpy(), columns)], axis=1))
    if faults := suite.faults():
        raise BadInputError(f"landed rows break {data.suite}: " + "; ".join(str(fault) for fault in faults))
    table = shaped(came if data.rows.resample is None else without_numbers(came), data, as_of=as_of)
    for history in histories:
        table = with_past(table, data, history, also=landed.columns if ROW in table else ())
    ripe = mature(table)
    if not len(ripe):
        raise RefusedError(f"no row is mature as of {as_of.isoformat()}; wait until labels are due")
    if leaks.probe:
        newest = pd.concat(list(_pieces(table.tail(LOOKED).reset_index(drop=True), landed)), ignore_index=True)
        _refuse_leaks(newest, data, leaks, split__judge_rows, reading__calendar)
    report = {
        "as_of": as_of.isoformat(),
        "landed": len(landed),
        "left_out": left_out(came, data.rows),
        "rows": len(table),
        "mature": len(ripe),
        "labels_overdue": overdue_labels(table, as_of=as_of),
        "released": released,
        "from": ripe["_event"].iloc[0].isoformat(),
        "until": ripe["_event"].iloc[-1].isoformat(),
    }
    write_file(paths.format, to_json(format_record()))
    with writing(paths.table) as add:
        for piece in _pieces(ripe, landed):
            add(piece)
    write_folder(paths.validation, {"report.json": to_json(report)})


def _refuse_leaks(
    table: pd.DataFrame, data: DataParams, leaks: LeakParams, judge_rows: int, made: Collection[str]
) -> None:
    found = leaks_of(
        table, data, label_time=table["_known"], entity=leaks.entity, judge_rows=judge_rows, made=tuple(made)
    )
    refused, _ = apart(found, leaks.allowed)
    if refused:
        said, name = "; ".join(leak.text for leak in refused), refused[0].columns[0]
        cure = "send each row once" if name == DUPLICATES else f"give {name!r} the role forbidden in data.columns"
        raise RefusedError(
            f"leak: {said}. {cure[:1].upper()}{cure[1:]}; or, if it is known before the event: leaks.allowed: "
            f"{{{name}: WHY}} in params.yaml"
        )


def _pieces(table: pd.DataFrame, landed: LandedRows) -> Iterator[pd.DataFrame]:
    """The table in pieces with all columns of its rows."""
    for start in range(0, len(table), PIECE):
        piece = table.iloc[start : start + PIECE].reset_index(drop=True)
        yield landed.beside(piece) if ROW in piece else piece  # rows that were put together did not land


def _of_champions(paths: Paths) -> list[HistoryParams]:
    """The features from the past that the champion and former ones were made with: they are scored beside the new."""
    champions = [paths.champion, *(sorted(paths.former.iterdir()) if paths.has_formers else [])]
    files = [folder / "features" / "history.json" for folder in champions]
    return [HistoryParams.model_validate(read_json(file)) for file in files if file.is_file()]


if __name__ == "__main__":
    main(run)
