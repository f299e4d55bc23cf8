"""The release log in SQLite: whatever byte of whatever value is flipped, in a row or in the head, it is named."""

import sqlite3
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from retrim.decision.stored_rows import VersionRow
from retrim.errors import RefusedError
from retrim.lineage.workspace import Workspace
from retrim.release.versions import verify_log
from tests.builders.desk import make_desk
from tests.builders.proved import move, pass_checks

COLUMNS = {
    "releases": (
        "model", "sequence", "version", "previous", "action", "actor", "reason", "as_of", "at", "follows", "signer",
        "signature",
    ),
    "release_heads": ("model", "sequence", "digest", "signer", "signature"),
}  # fmt: skip
AT = "2024-01-01T00:00:00+00:00"


def house_with(folder: Path, moves: int) -> Workspace:
    workspace = make_desk(folder / "workspace").workspace
    store, model = workspace.store, workspace.model
    for version in range(1, moves + 1):
        row = {"model": model, "version": version, "run": f"run-{version}", "tag": "", "as_of": AT, "made": AT}
        more = {"bundle": "", "model_sha256": "", "lineage": {}, "verdict": {"promote": True}}
        store.add_version(VersionRow(**row, **more))
        pass_checks(store, model, version, at=AT)
        store.add_release(
            move(model, version, at=AT, reason="größer"), expected=version - 1 or None, keys=workspace.keys
        )
    return workspace


@pytest.fixture(scope="module", params=[1, 5])
def workspace(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A log of one move, and of five."""
    return house_with(tmp_path_factory.mktemp("log"), request.param)


def flipped(value: Any, place: int, mask: int) -> Any:
    """A value of SQLite with one byte changed; text may be no UTF-8 any more."""
    if isinstance(value, int):
        raw = bytearray(value.to_bytes(8, "big", signed=True))
        raw[place % 8] ^= mask
        return int.from_bytes(raw, "big", signed=True)
    raw = bytearray(value)
    raw[place % len(raw)] ^= mask
    return bytes(raw)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), place=st.integers(0, 255), mask=st.integers(1, 255))
def test_a_flipped_byte_anywhere_names_its_row(
    workspace: Workspace, data: st.DataObject, place: int, mask: int
) -> None:
    verified = verify_log(workspace, kept=None).rows
    table = data.draw(st.sampled_from(sorted(COLUMNS)))
    column = data.draw(st.sampled_from(COLUMNS[table]))
    number = verified if table == "release_heads" else data.draw(st.integers(1, verified))
    database = sqlite3.connect(workspace.paths.var / "retrim.db", isolation_level=None)
    database.execute("PRAGMA foreign_keys = OFF")
    kind, raw, row = database.execute(
        f"SELECT typeof({column}), CASE typeof({column}) WHEN 'text' THEN CAST({column} AS BLOB) ELSE {column} END, "
        f"rowid FROM {table} WHERE sequence = ?",
        (number,),
    ).fetchone()
    assume(raw is not None)
    named = "its signed head" if table == "release_heads" else rf"row {number}\b"
    as_kind = "CAST(? AS TEXT)" if kind == "text" else "?"
    change = f"UPDATE {table} SET {column} = {as_kind} WHERE rowid = ?"
    try:
        database.execute(change, (flipped(raw, place, mask), row))
    except sqlite3.IntegrityError:  # it would be another row's number
        assume(False)
    try:
        with pytest.raises(RefusedError, match="was altered: " + named):
            verify_log(workspace, kept=None)
    finally:
        database.execute(change, (raw, row))
        database.close()
    assert verify_log(workspace, kept=None).rows == verified
