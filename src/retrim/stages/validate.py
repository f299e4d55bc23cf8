"""Landed batches to the mature rows of the table, checked once more against the suite."""

import pandas as pd

from retrim.adapters.validation import for_tables, read_suite, validate
from retrim.core.bundle_format import format_record
from retrim.core.canonical import to_json
from retrim.core.frames import to_parquet
from retrim.core.lags import HistoryParams
from retrim.core.rows import left_out
from retrim.core.table import DataParams, known_rows, mature, overdue_labels, shaped, with_past
from retrim.datasets.landed import landed_files, read_landed
from retrim.errors import BadInputError, RefusedError
from retrim.files import write_file, write_folder
from retrim.paths import Paths
from retrim.stages._room import main, read_json, read_pins


def run(data: DataParams, paths: Paths) -> None:
    """Writes the mature rows as of the pinned date, and a report of what was there.

    Batches that a person released are exempt from the suite: the reason stands with them.
    """
    as_of = pd.Timestamp(read_pins(paths)["as_of"])
    rows, labels = read_landed(paths.raw)
    released = {file.batch: file.released for file in landed_files(paths.raw) if file.released}
    came = known_rows(rows, labels, data, as_of=as_of)
    # Not the landed rows: a key stands there once more for every correction.
    exempt = came["_batch"].isin(list(released))
    if labels is not None:
        exempt |= came["_key"].isin(labels.loc[labels["_batch"].isin(list(released)), "_key"])
    faults = validate(came[~exempt], for_tables(read_suite(paths.root / data.suite)))
    if faults:
        raise BadInputError(f"landed rows break {data.suite}: " + "; ".join(str(fault) for fault in faults))
    table = shaped(came, data, as_of=as_of)
    for history in _of_champions(paths):
        table = with_past(table, data, history)
    ripe = mature(table)
    if not len(ripe):
        raise RefusedError(f"no row is mature as of {as_of.isoformat()}; wait until labels are due")
    report = {
        "as_of": as_of.isoformat(),
        "landed": len(rows),
        "left_out": left_out(came, data.rows),
        "rows": len(table),
        "mature": len(ripe),
        "labels_overdue": overdue_labels(table, as_of=as_of),
        "released": released,
        "from": ripe["_event"].iloc[0].isoformat(),
        "until": ripe["_event"].iloc[-1].isoformat(),
    }
    write_file(paths.format, to_json(format_record()))
    write_file(paths.table, to_parquet(ripe))
    write_folder(paths.validation, {"report.json": to_json(report)})


def _of_champions(paths: Paths) -> list[HistoryParams]:
    """The features from the past that the champion and former ones were made with: they are scored beside the new."""
    champions = [paths.champion, *(sorted(paths.former.iterdir()) if paths.has_formers else [])]
    files = [folder / "features" / "history.json" for folder in champions]
    return [HistoryParams.model_validate(read_json(file)) for file in files if file.is_file()]


if __name__ == "__main__":
    main(run)
