"""What is said of files that are handed in."""

from collections.abc import Callable
from hashlib import sha256

import pandas as pd

from retrim.adapters.landing_zone import Landing
from retrim.batches.verdict import History, look_at
from retrim.errors import BadInputError
from retrim.landing.inbox import large_file, take_in
from retrim.landing.ingest import examine, land_batch
from retrim.reading.landed import batch_id
from tests.batches.test_batches import DATA, HOUR, PAST, WEEK
from tests.batches.test_batches import NOW as NEXT
from tests.builders.desk import with_params
from tests.cures_settings.case import GONE, Asked, Case
from tests.cures_settings.functions import NUMBER

NOW = pd.Timestamp("2024-11-01", tz="UTC")
HEADER = "at,number,level,slope,noise,group,outcome"


def lines(*rows: str, header: str = HEADER) -> bytes:
    return "\n".join([header, *rows, ""]).encode()


def offered(content: bytes, *, before: bytes | None = None) -> Callable[[Asked], None]:
    """A file, and where one landed before it, as a correction of that."""

    def ask(asked: Asked) -> None:
        params, landing = asked.params, Landing(asked.folder / "landing")
        how, correction = (params.data, params.reading), before is not None
        if before is not None:
            frame, _ = examine(before, "rows", landing=landing, how=how, now=NOW, correction=False)
            assert frame is not None
            digest = sha256(before).hexdigest()
            assert batch_id(digest)
            with landing.locked():
                landing.land_rows(frame, digest=digest, arrived=NOW, correction=False, released="", data=params.data)
        _, faults = examine(content, "rows", landing=landing, how=how, now=NOW, correction=correction)
        if faults:
            raise BadInputError("; ".join(f"{fault}: {fault.cure}" for fault in faults))

    return ask


def looked_at(batch: pd.DataFrame) -> Callable[[Asked], None]:
    """A batch after twelve weeks of usual ones."""

    def ask(asked: Asked) -> None:
        ends = [week["at"].max() for week in PAST]
        history = History(pd.concat(PAST), ends, [HOUR] * len(PAST), [len(week) for week in PAST])
        verdict = look_at(batch, history, DATA, asked.params.batches, arrives=ends[-1] + WEEK * HOUR + HOUR)
        if verdict.kind != "ok":
            raise BadInputError("; ".join(f"{each.text}: such pass with {each.setting}" for each in verdict.concerns))

    return ask


def corrected(asked: Asked) -> None:
    """A file of corrections, where nothing has landed."""
    workspace, file = asked.desk.workspace, asked.folder / "rows.csv"
    file.write_bytes(PLAIN)
    suite = workspace.paths.root / workspace.params.data.suite
    suite.write_text('{"name": "none", "expectations": []}', encoding="utf-8")
    land_batch(file, workspace=workspace.paths, data=workspace.params.data, now=NOW, correction=True)


def in_pieces(asked: Asked) -> None:
    """A large file, of which a part has landed in pieces of 2 kB."""
    desk = asked.desk
    suite = desk.workspace.paths.root / desk.workspace.params.data.suite
    suite.write_text('{"name": "none", "expectations": []}', encoding="utf-8")
    file = asked.folder / "rows.csv"
    desk.rows(0, 3).to_csv(file, index=False)
    for each in (with_params(desk, batches={"piece_mb": 0.002, "skip": "all"}), desk):
        large = large_file(each.workspace, file)
        landed = take_in(each.workspace, file, now=desk.day(3), labels=False, correction=False, large=large)
        assert next(landed).outcome in ("landed", "already")


def repeated(asked: Asked) -> None:
    """A large file of equal rows."""
    workspace, file = asked.desk.workspace, asked.folder / "rows.csv"
    suite = workspace.paths.root / workspace.params.data.suite
    suite.write_text('{"name": "none", "expectations": []}', encoding="utf-8")
    file.write_bytes(lines(*[ROW.format("2024-10-20T10:00:00Z")] * 1000))
    large = large_file(workspace, file)
    assert [*take_in(workspace, file, now=NOW, labels=False, correction=False, large=large)]


ROW = "{},1,0.5,0.5,0.5,a,1.5"
PLAIN = lines(ROW.format("2024-10-20T10:00:00Z"))
TWICE = lines(*(f"2024-10-27T02:30:00,{number},0.5,0.5,0.5,a,1.5,{clock}" for number, clock in ((1, "A"), (2, "B"))),
              header=f"{HEADER},clock")  # fmt: skip
ONCE = lines("2024-10-27T02:30:00,2,0.5,0.5,0.5,a,2.5,B", header=f"{HEADER},clock")
MORE = lines(ROW.format("2024-10-20T10:00:00Z") + ",7", header=f"{HEADER},more")
BERLIN = {"reading.zone": "Europe/Berlin"}
FILES = (
    Case("send the file with these columns, or declare the columns of the file in params.yaml (data.columns)",
         {"data.columns.more": NUMBER}, ({"data.columns.more": GONE},), offered(PLAIN)),
    Case("send the file with these columns, or declare the columns of the file in params.yaml (data.columns)", {},
         ({"data.columns.more": NUMBER},), offered(MORE)),
    Case("; to land the file without these columns, "
         "list them in reading.skip", {}, ({"reading.skip": ["more"]},),
         offered(MORE)),
    Case("daylight saving time skipped this time; correct the time, or set its time zone (reading.zone)", BERLIN,
         ({"reading.zone": "UTC"},), offered(lines(ROW.format("2024-03-31T02:30:00")))),
    Case("or set a column that distinguishes them (reading.repeated)",
         BERLIN | {"reading.skip": ["clock"], "data.key": ["at"]},
         ({"reading.repeated": {"at": {"column": "clock", "later": ["B"]}}},), offered(ONCE, before=TWICE)),
    Case("correct the times, or set their time zone (reading.zone); if rows are known before their event, set "
         "how long before in data.times_ahead", {},
         ({"reading.zone": "Asia/Tokyo"}, {"data.times_ahead": "12h"}),
         offered(lines(ROW.format("2024-11-01T08:00:00")))),
    Case("send the rows with their labels, or set data.labels to 'later' or 'or_never' in params.yaml", {},
         ({"data.labels": "later"}, {"data.labels": "or_never"}),
         offered(lines("2024-10-20T10:00:00Z,1,0.5,0.5,0.5,a,"))),
    Case("batches.skip: [{}]", {}, ({"batches.skip": ["celsius"]},), looked_at(NEXT.assign(celsius=4000.0))),
    Case("rows without a key cannot be corrected; set the key columns in params.yaml (data.key)", {"data.key": []},
         ({"data.key": ["number"]},), corrected),
    Case("{} landed before in different chunks (such as batch {}), because batches.piece_mb or pyarrow "
         "has changed since; undo that change", {"batches.piece_mb": 0.004, "batches.skip": "all"},
         ({"batches.piece_mb": 0.002},), in_pieces),
    Case("remove repeated rows, or raise batches.piece_mb, so that the chunks differ or the file lands as a whole",
         {"batches.piece_mb": 0.004, "data.key": []}, ({"batches.piece_mb": 1.0},), repeated),
)  # fmt: skip
