"""The lives that two installations play: four tables, and on the first all that a workspace goes through."""

import json
import shutil
import socket
import sqlite3
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd

from retrim.onboarding.example import START, deliveries
from retrim.yaml_files import load_yaml
from tests.builders.churn import churn
from tests.builders.world import REPOSITORY
from tests.lives import worlds
from tests.oracle.player import Player

STAGES = ("validate", "features", "tune", "train", "backtest", "compare")
SMALL = ("tune.trials=2", "backtest.origins=1")  # a run in half a minute
READY_SECONDS = 60
WEEK = pd.Timedelta("7D")


def begin(player: Player, history: Path, *options: str) -> None:
    """A workspace for a table, with small searches; what `init` decided is kept as its settings."""
    player.do("new", str(player.workspace), folder=player.folder)
    player.do("init", "--data", str(history), *options, "--yes")
    if player.do("settings", *SMALL, keep=False) is None:  # the old side wants the word between
        player.do("settings", "set", *SMALL, keep=False)
    git(player, "commit", "-qam", "small searches")
    player.do("settings")


def git(player: Player, *words: str) -> None:
    """Runs git in the workspace."""
    subprocess.run(["git", *words], cwd=player.workspace, env=player.environment, check=True)


def check(player: Player, now: str) -> Any:
    """Scores what landed, checks, and keeps the decision with its evidence, the versions and the rows that counted."""
    player.do("predict", "--now", now)
    answer = player.do("check", "--now", now)
    player.do("why")
    player.do("versions")
    player.do("batch", "audit")
    note_stored_rows(player)
    return answer


def note_stored_rows(player: Player) -> None:
    """Keeps how many rows the store holds of each kind: what is counted, landed, released."""
    store = player.workspace / "var" / "retrim.db"
    with sqlite3.connect(f"file:{store}?mode=ro", uri=True) as database:
        names = [name for (name,) in database.execute("select name from sqlite_master where type = 'table'")]
        counts = {name: database.execute(f"select count(*) from {name}").fetchone()[0] for name in sorted(names)}
    player.note("rows of the store", 0, counts)


def week_of_deliveries(folder: Path, number: int, change: Callable[[pd.DataFrame], pd.DataFrame] | None = None) -> Path:
    """The file of a week after the history, counted from 1."""
    rows = deliveries(2400 + 168 * number).tail(168)
    file = folder / f"week-{number}{'' if change is None else '-broken'}.csv"
    (rows if change is None else change(rows)).to_csv(file, index=False, sep=";", lineterminator="\n")
    return file


def day(number: float) -> str:
    """A moment after the history of the deliveries, in days."""
    return (START + pd.Timedelta(hours=2400) + pd.Timedelta(number, "D") + pd.Timedelta("1h")).isoformat()


def whole(player: Player) -> None:
    """Deliveries: broken batches, withdrawal, rollback, export and import, backup and restore, requests."""
    history = player.folder / "deliveries.csv"
    history.write_bytes(deliveries().to_csv(index=False, sep=";", lineterminator="\n").encode())
    begin(player, history, "--target", "minutes")
    player.do("retrain", "--as-of", day(0))
    for stage in STAGES:
        note_bundle(player, stage)
    broken: dict[str, Callable[[pd.DataFrame], pd.DataFrame]] = {
        "without a column": lambda rows: rows.drop(columns="km"),
        "a word for a number": lambda rows: rows.assign(
            items=rows["items"].astype("str").where(rows.index % 9 > 0, "two")
        ),
        "a new category": lambda rows: rows.assign(weather=rows["weather"].where(rows.index % 3 > 0, "hail")),
        "twice the same rows": lambda rows: pd.concat([rows, rows.head(20)]),
    }
    for change in broken.values():
        player.do("ingest", str(week_of_deliveries(player.folder, 1, change)), "--arrived", day(7))
    for each in player.do("batch", "list", "--quarantined") or []:
        player.do("batch", "show", each["batch"])
    for number in (1, 2):
        player.do("ingest", str(week_of_deliveries(player.folder, number)), "--arrived", day(7 * number))
        check(player, day(7 * number))
    player.do("retrain", "--as-of", day(14), "--reason", "a second version")
    player.do("versions")
    predict_file(player)
    landed = player.do("batch", "list") or []
    if landed:
        player.do("batch", "withdraw", landed[-1]["batch"], "--reason", "wrong source", "--now", day(15))
    player.do("ingest", str(week_of_deliveries(player.folder, 3)), "--arrived", day(21))
    check(player, day(21))
    player.do("versions", "rollback", "--reason", "to see it", "--now", day(22))
    player.do("versions", "log")
    player.do("status", "--now", day(22))
    exchange(player)
    restore(player)
    requests(player)


def note_bundle(player: Player, stage: str) -> None:
    """Keeps which files a stage declares as its results, and their digests in dvc.lock."""
    lock = player.workspace / "dvc.lock"
    if lock.exists():
        outs = load_yaml(lock.read_text(encoding="utf-8"))["stages"].get(stage, {}).get("outs", [])
        player.note(f"results of {stage}", 0, {each["path"].replace("/", "|"): each["md5"] for each in outs})


def predict_file(player: Player) -> None:
    """Predictions of a file, number by number."""
    rows = week_of_deliveries(player.folder, 3)
    out = player.folder / "predictions.csv"
    player.do("predict", str(rows), str(out))
    player.note("predictions of week 3", 0, pd.read_csv(out)["prediction"].tolist())


def exchange(player: Player) -> None:
    """The live version leaves in a file, and enters another workspace."""
    file = player.folder / "version.retrim"
    player.do("versions", "export", "1", "--to", str(file), keep=False)  # its bytes hold a signature
    other = player.folder / "other"
    player.do("new", str(other), folder=player.folder)
    for name in ("params.yaml", "expectations"):
        source = player.workspace / name
        (shutil.copytree if source.is_dir() else shutil.copyfile)(
            source, other / name, **({"dirs_exist_ok": True} if source.is_dir() else {})
        )
    player.do("versions", "import", str(file), "--now", day(23), folder=other)
    player.do("versions", folder=other)


def restore(player: Player) -> None:
    """A backup, and a workspace made from it that answers alike."""
    store, copy = player.folder / "store", player.folder / "restored"
    player.do("backup", str(store))
    player.do("restore", str(store), str(copy))
    player.do("versions", folder=copy)
    player.do("status", "--now", day(23), folder=copy)


def requests(player: Player) -> None:
    """The server answers rows, and refuses what is wrong in them."""
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    process = player.start("serve", "--port", str(port))
    try:
        wait_until_up(address)
        rows = deliveries(2400 + 168).tail(3)
        good = rows.drop(columns="minutes").to_dict(orient="records")
        for name, body in {
            "good": good,
            "one": good[0],
            "a word for a number": [{**good[0], "items": "two"}],
            "without a column": [{key: value for key, value in good[0].items() if key != "km"}],
            "no row": [],
        }.items():
            player.note(f"POST /predict, {name}", *answer_of(address + "/predict", body))
        player.note("GET /ready", *answer_of(address + "/ready"))
    finally:
        process.terminate()
        process.communicate()


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return int(listening.getsockname()[1])


def wait_until_up(address: str) -> None:
    """Waits until a server answers."""
    deadline = time.monotonic() + READY_SECONDS
    while True:
        try:
            urllib.request.urlopen(address + "/health", timeout=READY_SECONDS).close()
            return
        except urllib.error.HTTPError:
            return
        except OSError:
            if time.monotonic() > deadline:
                raise
        time.sleep(0.2)


def answer_of(url: str, body: Any = None) -> tuple[int, Any]:
    """Status and answer of a request."""
    data = None if body is None else json.dumps(body, default=str).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=READY_SECONDS) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        text = error.read()
        try:
            return error.code, json.loads(text)
        except json.JSONDecodeError:
            return error.code, None


def changed(player: Player) -> None:
    """A table whose law changes at the third check: alarms, probes, a retraining that pays, its promotion."""
    world = worlds.step(1, 8)
    history = player.folder / "history.csv"
    world.history.to_csv(history, index=False)
    begin(player, history, "--target", "minutes")
    moment = world.history["at"].iloc[-1] + pd.Timedelta("2h")
    player.do("retrain", "--as-of", moment.isoformat())
    for number in range(1, 9):
        file = player.folder / f"week-{number}.csv"
        world.week(number).to_csv(file, index=False)
        now = (moment + number * WEEK).isoformat()
        player.do("ingest", str(file), "--arrived", now)
        check(player, now)


def binary(player: Player) -> None:
    """Telephone calls of a bank: two classes, categories, calls of many a day."""
    table = pd.read_csv(REPOSITORY / "data" / "samples" / "bank.csv.gz")
    history = player.folder / "bank.csv"
    table.iloc[:8000].to_csv(history, index=False)
    begin(player, history, "--target", "y", "--positive", "yes")
    now = pd.Timestamp(table["date"].iloc[7999], tz="UTC") + pd.Timedelta("2D")
    player.do("retrain", "--as-of", now.isoformat())
    for number in range(3):
        part = table.iloc[8000 + number * 1500 : 9500 + number * 1500]
        file = player.folder / f"part-{number}.csv"
        part.to_csv(file, index=False)
        now = pd.Timestamp(part["date"].iloc[-1], tz="UTC") + pd.Timedelta("2D")
        player.do("ingest", str(file), "--arrived", now.isoformat())
        check(player, now.isoformat())


def late(player: Player) -> None:
    """Customers who leave: labels come in files of their own, up to sixty days later."""
    table = churn(2400, seed=5)
    known = table["at"] + pd.Timedelta("60D")
    begins = table["at"].iloc[1500]
    history = player.folder / "churn.csv"
    old = table[table["at"] < begins].copy()
    old.loc[old["closed at"] > begins, ["closed at", "left"]] = None
    old.to_csv(history, index=False)
    begin(player, history, "--target", "left", "--label-time", "closed at", "--horizon", "60D")
    player.do("retrain", "--as-of", begins.isoformat())
    for number in range(1, 5):
        since, until = begins + (number - 1) * 2 * WEEK, begins + number * 2 * WEEK
        rows = table[(table["at"] >= since) & (table["at"] < until)]
        file, labels = player.folder / f"rows-{number}.csv", player.folder / f"labels-{number}.csv"
        rows.drop(columns=["left", "closed at"]).to_csv(file, index=False)
        closed = table[(table["closed at"] >= since) & (table["closed at"] < until) & (known >= since)]
        closed[["number", "left", "closed at"]].to_csv(labels, index=False)
        player.do("ingest", str(file), "--arrived", until.isoformat())
        player.do("ingest", "--labels", str(labels), "--arrived", until.isoformat())
        check(player, until.isoformat())


def killed(player: Player) -> None:
    """A retraining is killed in each stage; the run after that ends as if nothing had been."""
    history = player.folder / "deliveries.csv"
    history.write_bytes(deliveries().to_csv(index=False, sep=";", lineterminator="\n").encode())
    begin(player, history, "--target", "minutes")
    for stage in STAGES:
        player.kill_in_stage(stage, "retrain", "--as-of", day(0))
    player.do("retrain", "--as-of", day(0))
    player.do("versions")
    player.do("doctor")
    note_stored_rows(player)


LIVES: dict[str, Callable[[Player], None]] = {
    "whole": whole, "changed": changed, "binary": binary, "late": late, "killed": killed,
}  # fmt: skip
