"""The whole loop: store, MLflow and Prefect on PostgreSQL; landing zone, models, cache and predictions on S3.

Nothing but addresses differs from the default, SQLite and folders.
"""

import json
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from retrim.adapters import prefect_server
from retrim.adapters.database import dump_postgresql
from tests.builders.stores import S3, PostgreSQL, on_path
from tests.builders.world import World, make_world

pytestmark = [pytest.mark.e2e(minutes=3), pytest.mark.server, pytest.mark.slow]
FIRST, NEXT = 25, 31


@pytest.fixture(scope="module")
def addresses(database_server: PostgreSQL, bucket_server: S3) -> Mapping[str, str]:
    return {
        "RETRIM_STORE_URL": database_server.create("loop"),
        "RETRIM_MLFLOW_URL": database_server.create("loop_mlflow"),
        "RETRIM_MLFLOW_ARTIFACTS": "s3://models/bundles",
        "RETRIM_PREDICTIONS": "s3://predictions/of",
        "RETRIM_LANDING": "s3://landing/zone",
        **bucket_server.environment,
    }


@pytest.fixture(scope="module")
def world(
    tmp_path_factory: pytest.TempPathFactory, database_server: PostgreSQL, addresses: Mapping[str, str]
) -> Iterator[World]:
    """Version 1, and rows that came since, with DVC's remote on S3."""
    folder = tmp_path_factory.mktemp("loop")
    database_server.create("prefect")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in addresses.items():
            patch.setenv(name, value)
        patch.setenv("PREFECT_API_DATABASE_CONNECTION_URL", database_server.address("prefect", driver="asyncpg"))
        with prefect_server.own(folder / "prefect", pages=False) as running:
            assert running.api.login is not None
            patch.setenv(prefect_server.LOGIN_VARIABLE, running.api.login)
            world = make_world(folder, server=running.api.url)
            world.run("dvc", "remote", "add", "--default", "s3", "s3://cache/dvc")
            world.run("git", "-c", "user.name=test", "-c", "user.email=test@localhost", "commit", "-qam", "a remote")
            world.land(world.day(FIRST))
            world.retrim("retrain", "--as-of", world.day(FIRST))
            world.land(world.day(NEXT), since=world.day(FIRST))
            yield world


def test_a_version_is_made_and_its_bundle_lies_in_the_bucket(world: World, bucket_server: S3) -> None:
    (version,) = world.ask("versions")

    assert version["version"] == world.ask("status")["champion"]["version"] == 1
    assert list((bucket_server.folder / "models" / "bundles").rglob("verdict.json"))


def test_its_records_and_those_of_mlflow_and_prefect_lie_in_postgresql(
    world: World, database_server: PostgreSQL
) -> None:
    assert world.ask("versions")[0]["version"] == 1
    assert database_server.run("select count(*) from versions", database="loop") == "1"
    assert database_server.run("select count(*) from model_versions", database="loop_mlflow") == "1"
    assert int(database_server.run("select count(*) from flow_run", database="prefect")) > 0
    assert not list(world.root.glob("var/*.db"))


def test_a_check_decides_and_is_stored(world: World, database_server: PostgreSQL) -> None:
    checked = world.ask("check", "--now", world.day(NEXT), code=(0, 1))

    assert checked["check"]["champion"] == 1
    assert int(database_server.run("select count(*) from decisions", database="loop")) >= 2


def test_what_has_landed_lies_in_the_bucket(world: World, bucket_server: S3) -> None:
    laid = (bucket_server.folder / "landing" / "zone" / world.workspace.model).rglob("rows-*.parquet")

    assert {path.name[:21] for path in laid} == {f"rows-{batch.batch}" for batch in world.workspace.landing.batches()}
    assert world.ask("check", "--audit", "--now", world.day(NEXT))


def test_a_fresh_clone_reads_what_has_landed_from_the_bucket_alone(world: World, tmp_path: Path) -> None:
    world.run("git", "clone", "-q", str(world.root), str(tmp_path / "clone"))
    clone = replace(world, root=tmp_path / "clone")
    listed = clone.ask("batch", "show")

    assert [batch["batch"] for batch in listed] == [batch["batch"] for batch in world.ask("batch", "show")]
    assert clone.ask("check", "--now", world.day(NEXT), code=(0, 1))["check"]["champion"] == 1


def test_where_the_bucket_is_away_predictions_go_on_and_a_file_waits(world: World, tmp_path: Path) -> None:
    file, away = tmp_path / "waits.csv", {"RETRIM_LANDING": "http://127.0.0.1:9/zone"}
    world.rows(world.day(NEXT), world.day(NEXT + 1)).to_csv(file, index=False)

    said = world.retrim("ingest", str(file), code=3, environment=away).stderr
    world.retrim("predict", environment=away)
    assert "127.0.0.1:9/zone" in said
    assert world.ask("ingest", str(file))["outcome"] == "landed"


def test_predictions_lie_in_the_bucket_and_are_read_from_there(world: World, bucket_server: S3) -> None:
    world.retrim("predict")
    shown = world.ask("predict", "--show")

    parts = list((bucket_server.folder / "predictions").rglob("*.parquet"))
    assert parts
    assert sum(len(pd.read_parquet(part)) for part in parts) >= len(shown) > 0


def test_rows_are_read_from_a_bucket_and_predictions_written_there(world: World, bucket_server: S3) -> None:
    rows = world.rows(world.day(NEXT), world.day(NEXT + 1)).drop(columns="y", errors="ignore")
    rows.to_csv(bucket_server.folder / "batches" / "new.csv", index=False)

    asked = world.ask("predict", "s3://batches/new.csv", "s3://batches/predicted.parquet")

    assert asked["rows"] == len(rows)
    assert len(pd.read_parquet(bucket_server.folder / "batches" / "predicted.parquet")) == len(rows)


def test_all_of_it_is_restored_into_empty_databases(
    world: World, database_server: PostgreSQL, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", on_path())
    place, back = str(tmp_path / "backups"), tmp_path / "back"
    world.retrim("backup", place)
    for name, value in {
        "RETRIM_STORE_URL": database_server.create("back"),
        "RETRIM_MLFLOW_URL": database_server.create("back_mlflow"),
        "RETRIM_MLFLOW_ARTIFACTS": "",
        "RETRIM_PREDICTIONS": "",
    }.items():
        monkeypatch.setenv(name, value)

    world.retrim("backup", place, "--restore", str(back))
    restored = replace(world, root=back)
    restored.retrim("versions", "log", "--verify")
    restored.retrim("predict")

    assert restored.ask("status")["champion"]["version"] == 1
    assert restored.ask("predict", "--show")
    named = database_server.run("select source from model_versions", database="back_mlflow")
    assert str(back) in named or named.startswith("models:/")
    assert "s3://models" not in database_server.run("select artifact_uri from runs", database="back_mlflow")


def test_the_version_is_rebuilt_where_its_data_come_from_the_bucket_alone(world: World, tmp_path: Path) -> None:
    world.run("dvc", "push")
    (world.root / ".dvc" / "cache").rename(tmp_path / "cache")

    assert world.ask("versions", "reproduce", "1")["identical"]


def test_no_password_stands_in_a_database(
    world: World, database_server: PostgreSQL, bucket_server: S3, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", on_path())
    for name in ("loop", "loop_mlflow", "prefect"):
        dump = tmp_path / f"{name}.sql"
        dump_postgresql(database_server.address(name), tmp_path / name)
        subprocess.run(["pg_restore", f"--file={dump}", str(tmp_path / name)], check=True)  # its texts are packed

        assert world.workspace.model in dump.read_text(encoding="utf-8")
        assert database_server.password not in dump.read_text(encoding="utf-8")
        assert bucket_server.secret not in dump.read_text(encoding="utf-8")


def test_no_password_stands_in_what_is_shown_or_kept(
    world: World, database_server: PostgreSQL, bucket_server: S3
) -> None:
    said = json.dumps(world.ask("status", code=(0, 1)))
    places = (world.root, bucket_server.folder)
    files = [file for place in places for file in place.rglob("*") if file.is_file() and ".git" not in file.parts]

    for secret in (database_server.password, bucket_server.secret):
        assert secret not in said
        assert not [file for file in files if secret.encode() in file.read_bytes()]
