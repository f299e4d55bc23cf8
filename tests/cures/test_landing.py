"""What landing, quarantine and the profile name as the next command."""

import pandas as pd
import pytest

from retrim.adapters.signing import Keys
from retrim.files import WorkspacePaths
from retrim.landing.ingest import land_batch
from retrim.settings import load_params
from tests.builders.cured import Cure
from tests.builders.raw_tables import csv, table
from tests.builders.typed import Session
from tests.builders.world import World
from tests.release.test_attestations import attest, fields

pytestmark = pytest.mark.slow

ROWS = "ingest rows.csv --arrived 2024-01-03"


@pytest.mark.cures(
    "the arrival time {} is not after that of the last batch, {}; specify a later time, or, if the clock was fast "
    "when that batch arrived, correct its date: retrim batch redate",
    "nothing was changed; to change the dates: retrim batch redate --yes",
)
def test_after_a_clock_that_ran_ahead_redate_lets_batches_land_again(session: Session, cure: Cure) -> None:
    params = load_params(session.folder / "params.yaml")
    ahead = pd.Timestamp.now("UTC").floor("s") + pd.Timedelta("300D")
    place = WorkspacePaths(session.folder)
    land_batch(
        session.folder / "rows.csv", workspace=place, data=params.data, now=ahead, correction=False, batches=None
    )
    cure.is_asked(session.says("ingest more.csv", code=2))
    cure.is_asked(session.says("batch redate", code=0))
    cure.is_done(session.says("batch redate --yes", code=0))
    cure.is_done(session.says("ingest more.csv", code=0))


@pytest.mark.cures(
    "data.columns: {} is {}, but in batch {} it was {}. Change the role back; for a table with different times, create "
    "a workspace: retrim new DIR"
)
def test_a_role_of_a_time_is_changed_back(session: Session, cure: Cure) -> None:
    for name in ("rows", "more"):
        frame = pd.read_csv(f"{name}.csv")
        frame.assign(seen=frame["at"]).to_csv(f"{name}.csv", index=False)
    session.type("set data.columns.seen {type: time, role: forbidden}")
    session.says(ROWS, code=0)
    session.type("set data.columns.seen.role time")
    session.type("set data.columns.at.role forbidden")
    cure.is_asked(session.says("ingest more.csv", code=2))
    session.says("new ../other", code=0)
    session.type("set data.columns.seen.role forbidden")
    session.type("set data.columns.at.role time")
    cure.is_done(session.says("ingest more.csv", code=0))


@pytest.mark.cures("{}; the batch that arrived is in quarantine: retrim batch show {}")
def test_what_came_instead_of_an_overdue_batch_is_shown_and_released(session: Session, cure: Cure) -> None:
    session.says(ROWS, code=0)
    session.says("ingest heavy.csv --arrived 2024-01-04")
    cure.is_asked(session.says("status", code=0))
    assert "level" in session.says("batch show {batch}", code=0)
    session.says("batch release {batch} --reason weighed", code=0)
    cure.is_done(session.says("status", code=0))


@pytest.mark.cures(
    "{}; {} labels are overdue, land them: retrim ingest FILE --labels",
    "land labels: retrim ingest FILE --labels",
)
def test_labels_that_are_waited_for_are_landed(session: Session, cure: Cure) -> None:
    session.type("set data.labels later")
    session.says(ROWS, code=0)
    session.says("ingest unlabelled.csv --arrived 2024-01-04", code=0)
    cure.is_asked(session.says("retrain --as-of 2024-01-05", code=1))
    cure.is_asked(session.says("profile --as-of 2024-01-05", code=0))
    session.says("ingest labels.csv --labels --arrived 2024-01-05T01:00", code=0)
    cure.is_done(session.says("retrain --as-of 2024-01-06", code=1))
    cure.is_done(session.says("profile --as-of 2024-01-06", code=0))


@pytest.mark.cures("check the rows below; land corrected labels: retrim ingest FILE --labels --correction")
def test_labels_that_are_likely_wrong_are_landed_again(prepared: World, session: Session, cure: Cure) -> None:
    session.type("set data.labels later")
    rows = prepared.rows(None, prepared.day(30))
    slipped = rows.assign(outcome=rows["outcome"].mask(rows.index % 60 == 0, rows["outcome"] + 40))
    rows.drop(columns="outcome").assign(outcome=float("nan")).to_csv("all.csv", index=False)
    slipped[["number", "outcome"]].to_csv("slipped.csv", index=False)
    rows.loc[rows.index % 60 == 0, ["number", "outcome"]].to_csv("right.csv", index=False)
    session.says("ingest all.csv --arrived 2024-02-01", code=0)
    session.says("ingest slipped.csv --labels --arrived 2024-02-02", code=0)
    cure.is_asked(session.says("profile", code=0))
    session.says("ingest right.csv --labels --correction --arrived 2024-02-03", code=0)
    cure.is_done(session.says("profile", code=0))


@pytest.mark.cures(
    "! {} chunks are in quarantine, because they contain values that do not occur in the newest rows. List them with "
    "`retrim batch list --quarantined`, correct the file as `retrim batch show ID` says, and ingest it again"
)
def test_pieces_that_init_set_aside_are_corrected(session: Session, cure: Cure) -> None:
    trips = table(2400).astype({"km": "str"})
    trips.loc[5, "km"] = "far"  # no row that was looked at has a word there
    (session.folder / "trips.csv").write_bytes(csv(trips))
    session.type("set batches.piece_mb 0.015")
    session.type("sh git commit -q -a -m smaller")
    cure.is_asked(session.says("init --data trips.csv --target minutes --yes", code=0))
    session.says("batch list --quarantined", code=0)
    assert "correct the cells; leave missing values blank" in session.says("batch show {batch}", code=0)
    trips.loc[5, "km"] = None
    (session.folder / "trips.csv").write_bytes(csv(trips))
    cure.is_done(session.says("ingest trips.csv", code=0))
    assert "rows 2,400," in session.says("profile", code=0)


@pytest.mark.cures("next: retrim ingest FILE, then retrim retrain")
def test_what_init_leaves_lying_is_ingested_and_trained_on(session: Session, cure: Cure) -> None:
    cure.is_asked(session.says("init --data large.csv --target outcome --no-land --yes", code=0))
    session.says("ingest large.csv", code=0)
    said = session.says("retrain", code=3)
    cure.is_done(said)

    assert "RETRIM_PREFECT_URL" in said  # the run begins, and this session has no server


@pytest.mark.cures("{} is not a public key; use a key that `retrim versions key` prints")
def test_a_key_is_written_as_key_prints_it(session: Session, cure: Cure) -> None:
    keys = Keys(WorkspacePaths(session.folder).keys)
    (session.folder / "attestation.json").write_bytes(attest(keys, fields()))
    cure.is_asked(session.says("versions verify-attestation attestation.json --key abc", code=2))
    key = session.says("versions key", code=0).split()[0]
    cure.is_done(session.says(f"versions verify-attestation attestation.json --key {key}", code=0))
