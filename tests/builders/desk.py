"""A workspace without servers for tests of the check: rows land as frames, a champion is made by the stages themselves.

The stages' own `run` functions make the bundle in a plain folder; only the search is
left out, its result is given. The registry is a shelf that knows where a bundle lies,
and keeps aliases: all that a check and a move ask of it.
"""

import inspect
import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import reduce
from hashlib import sha256
from pathlib import Path
from typing import Any

import pandas as pd
import sqlalchemy as sa

from retrim.adapters import git
from retrim.adapters.database import iso
from retrim.adapters.migrations.schema import DECISIONS
from retrim.checking.check import check
from retrim.checking.rows import used_rows
from retrim.decision.pins import Pins
from retrim.decision.stored_rows import RunDetail, VersionRow, columns_of
from retrim.environment import Env
from retrim.errors import RetrimError
from retrim.files import NO_CHAMPION, Paths, WorkspacePaths, file_digest, folder_digest, link, read_folder, write_file
from retrim.landing.as_of_view import HISTORY, NEEDS
from retrim.lineage.workspace import Workspace, ask_for_run
from retrim.reading.landed import batch_id
from retrim.release.approval import let_wait
from retrim.release.versions import keep_copies
from retrim.retraining.retrain import claim_run
from retrim.settings import Params, to_settings_file
from retrim.stages import backtest, compare, features, train
from retrim.stages._common import read_json
from retrim.stats.codec import to_json, to_parquet, to_record
from retrim.stats.plugins import SettingsSection
from retrim.table.data import assemble, mature
from retrim.table.keys import row_keys
from retrim.training.bundle import FORMAT, SETTINGS, BundleFormat, needs_of
from tests.builders.answers import PrintedCheck
from tests.builders.landed import read_landed
from tests.builders.proved import move, pass_checks
from tests.builders.shipped import whole
from tests.builders.synthetic import data_section, generate

REPOSITORY = Path(__file__).parents[2]
START = pd.Timestamp("2024-01-01", tz="UTC")
FEW: dict[str, dict[str, Any]] = {
    "split": {"judge_rows": 48, "sliding_rows": 200},
    "judge": {"block_rows": 6},
    "gate": {"min_rows": 24, "season": "1D", "baselines": ["mean"]},
    "probe": {"min_rows": 24, "when": "every"},
    "retrain": {"refit_after": False},
    "gain": {"rows_per_check": 48, "cost": 1.0, "cost_unit": "loss"},
}
FIXED = {"judge": {"draws": 100}}
"""Values that params.yaml may not turn."""
TUNED = {"hyperparameters": {"num_leaves": 7, "min_child_samples": 5, "learning_rate": 0.2}, "rounds": 30}

Make = Callable[..., "Desk"]
"""The fixture `make` of the checks: the dials of `make_desk`."""

BUNDLES: dict[str, dict[str, bytes]] = {}
"""Files of bundles made in this process: the same rows and settings of the stages give the same bytes."""


@dataclass
class Shelf:
    """Where the bundle of each version lies, and what it is called."""

    folders: dict[int, Path]
    named: dict[str, int] = field(default_factory=dict)
    beside: dict[int, dict[str, bytes]] = field(default_factory=dict)
    figures: dict[int, dict[str, float]] = field(default_factory=dict)
    tags: dict[int, dict[str, str]] = field(default_factory=dict)

    def aliases(self) -> dict[str, int]:
        return dict(self.named)

    def set_alias(self, alias: str, version: int) -> None:
        self.named[alias] = version

    def drop_alias(self, alias: str) -> None:
        self.named.pop(alias, None)

    def tag_version(self, version: int, name: str, value: str) -> None:
        self.tags.setdefault(version, {})[name] = value

    def add_to_note(self, *_: object) -> None:
        """Notes are for whoever looks at MLflow."""

    def finish(self, *_: object) -> None:
        """There are no runs here."""

    def run_of(self, version: int) -> str:
        return f"run{version}"

    def pictures(self, version: int) -> dict[str, bytes]:
        return {}

    def add_files(self, version: int, files: dict[str, bytes]) -> None:
        self.beside.setdefault(version, {}).update(files)

    def log_check(self, version: int, figures: dict[str, float], **_: Any) -> None:
        self.figures[version] = figures

    def bundle_folder(self, version: int, *, run: str | None = None) -> Path:
        if not (self.folders[version] / "verdict").is_dir():
            raise RetrimError(f"the bundle of version {version} is incomplete")
        return self.folders[version]


@dataclass
class Desk:
    """A workspace, a stream of one row an hour, and a hand that lands and decides."""

    workspace: Workspace
    stream: dict[str, Any]
    shelf: Shelf = field(default_factory=lambda: Shelf({}))

    def day(self, number: float) -> pd.Timestamp:
        return (START + pd.Timedelta(number, "D")).round("us")

    def rows(self, since: float, until: float) -> pd.DataFrame:
        """Rows with an event in `[since, until)` days after the start."""
        frame = generate(**{**self.stream, "start": START, "every": "1h", "rows": max(int(until * 24), 1)})
        return frame[(frame["at"] >= self.day(since)) & (frame["at"] < self.day(until))].reset_index(drop=True)

    def land(self, frame: pd.DataFrame, at: float, *, kind: str = "rows", correction: bool = False) -> None:
        """Lands typed rows, or labels of them, at a day."""
        data, landing = self.workspace.params.data, self.workspace.landing
        digest = sha256(f"{kind} {at} {frame.to_csv()}".encode()).hexdigest()
        keyed = frame.assign(_key=row_keys(frame, data.key, batch_id(digest)))
        facts: dict[str, Any] = {"digest": digest, "arrived": self.day(at), "correction": correction, "released": ""}
        facts["data"] = data
        with landing.locked():
            if kind == "rows":
                landing.land("rows", keyed, **facts)
            else:
                landing.land("labels", keyed[["_key", data.target]].assign(label_time=self.day(at)), **facts)

    def check(self, at: float) -> PrintedCheck:
        return PrintedCheck(check(self.workspace, by="a test", now=self.day(at)))

    def pass_days(self, since: float, until: float, **added: float) -> PrintedCheck:
        """Lands the rows of those days when they are over, with so much added to columns of theirs, and checks."""
        rows = self.rows(since, until)
        self.land(rows.assign(**{name: rows[name] + by for name, by in added.items()}), until)
        return self.check(until)

    def make_version(
        self,
        at: float,
        *,
        promote: bool = True,
        decision: str | None = None,
        waits: bool = False,
        losses: Mapping[str, float] | None = None,
    ) -> int:
        """A version as of a day: promoted, refused or waiting; of a check's decision, or else a person's.

        `losses` are those of its verdict; its own is called `all`.
        """
        now = self.day(at)
        asked = decision or ask_for_run(self.workspace, as_of=now, by="a test", reason="a test", now=now)
        run = claim_run(self.workspace, asked, now=now)
        version = len(self.shelf.folders) + 1
        paths = self._bundle(now, version)
        verdict = {
            "winner": "all",
            "losses": dict(losses or {"all": 1.5}),
            "promote": promote,
            "reason": "as the test says",
            "checks": [],
        }
        verdict["rows"] = self.workspace.params.split.judge_rows
        row = {"run": run.id, "tag": f"retrim/generated/v{version}", "as_of": iso(now), "made": iso(now)}
        hashes = {
            "bundle": folder_digest(paths.candidate),
            "model_sha256": file_digest(next(paths.models.glob("*/model.txt"))),
        }
        past = self.workspace.store.releases(self.workspace.model)
        lineage = {"champion": past[-1].version if past else None}
        lineage[NEEDS] = needs_of(read_folder(paths.candidate))
        if (paths.features / "history.json").is_file():
            lineage[HISTORY] = read_json(paths.features / "history.json")
        self.workspace.store.add_version(
            VersionRow(self.workspace.model, version, **row, **hashes, lineage=lineage, verdict=verdict),
            used=used_rows(paths),
        )
        if promote:
            pass_checks(self.workspace.store, self.workspace.model, version, at=iso(now))
        if waits:
            let_wait(self.workspace, run, version, reason="as the test says", now=now)
            return version
        if promote:
            release = move(self.workspace.model, version, at=iso(now))
            expected = past[-1].version if past else None
            self.workspace.store.add_release(release, expected=expected, keys=self.workspace.keys)
            keep_copies(self.workspace)
        state = "promoted" if promote else "refused"
        self.workspace.store.end_run(
            run.id, state=state, ended=iso(now), version=version, detail=RunDetail(reason="a test")
        )
        return version

    def _bundle(self, now: pd.Timestamp, version: int) -> Paths:
        params, paths = self.workspace.params, Paths(self.workspace.paths.var / f"bundle-{version}")
        for batch in self.workspace.landing.batches(now):
            link(batch.path, paths.raw / batch.path.parent.name / batch.path.name)
        of_stages = [settings_of(stage.run, params) for stage in (features, train, backtest, compare)]
        made_of = f"{now} {everything(params.data)} {of_stages} {TUNED} {folder_digest(paths.raw)}"
        if made_of not in BUNDLES:
            self._make_bundle(now, paths)
            BUNDLES[made_of] = {
                name: content for name, content in read_folder(paths.root).items() if not name.startswith("data/raw/")
            }
        for name, content in BUNDLES[made_of].items():
            write_file(paths.root / name, content)
        write_file(paths.candidate / SETTINGS, to_settings_file(params.model_dump(mode="json")))
        self.shelf.folders[version] = paths.candidate
        return paths

    def _make_bundle(self, now: pd.Timestamp, paths: Paths) -> None:
        params = self.workspace.params
        ripe = mature(assemble(*read_landed(paths.raw, params.data), params.data, as_of=now))
        write_file(paths.table, to_parquet(ripe))
        write_file(paths.champion / NO_CHAMPION, b"{}\n")
        write_file(paths.pins, to_json(to_record(Pins(as_of=now, mode="search"))))
        write_file(paths.format, to_json(to_record(BundleFormat(FORMAT))))
        run_stage(features.run, params, paths)
        write_file(paths.tuning / "hyperparameters.json", to_json(TUNED))
        write_file(paths.tuning / "trials.json", b"[]\n")
        run_stage(train.run, params, paths)
        write_file(paths.backtest / "backtest.json", to_json({"loss": params.judge.loss, "origins": []}))
        if params.decide.threshold is not None:
            run_stage(backtest.run, params, paths)
        run_stage(compare.run, params, paths)


def run_stage(stage: Callable[..., None], params: Params, paths: Paths) -> None:
    """Runs a stage with the sections that its arguments name, as `retrim.stages._common` does."""
    given = {
        "paths": paths,
        "cores": 1,
        **{name: reduce(getattr, name.split("__"), params) for name in sections(stage)},
    }
    stage(**{name: given[name] for name in inspect.signature(stage).parameters})


def sections(stage: Callable[..., None]) -> list[str]:
    """The sections that the arguments of a stage name."""
    return [name for name in inspect.signature(stage).parameters if name not in ("paths", "cores")]


def settings_of(stage: Callable[..., None], params: Params) -> dict[str, Any]:
    """What params.yaml and its defaults say to a stage."""
    values = {name: reduce(getattr, name.split("__"), params) for name in sections(stage)}
    return {name: everything(value) if isinstance(value, SettingsSection) else value for name, value in values.items()}


def make_desk(
    folder: Path,
    *,
    task: str = "regression",
    labels: str = "with_rows",
    drift: dict[str, Any] | None = None,
    data: dict[str, Any] | None = None,
    changes: dict[str, dict[str, Any]] | None = None,
    version_at: float | None = None,
) -> Desk:
    """A desk in an empty folder; `drift`, `data` and `changes` dial the stream, its description and params.yaml.

    With `version_at` the rows up to that day have landed, and a version of them is live.
    """
    document = whole()
    document["data"] = data_section(task, labels=labels, horizon="1h") | (data or {})  # type: ignore[arg-type]
    if document["data"]["task"] != "regression":
        document["judge"] |= {"loss": "log_loss", "metrics": ["log_loss", "accuracy"]}
    document["train"]["windows"] = ["all"]
    for part in (FEW, FIXED, changes or {}):
        for section, values in part.items():
            document[section] |= values
    (folder / "var").mkdir(parents=True)
    (folder / "expectations").mkdir()
    (folder / "expectations" / "generated.json").write_text('{"name": "none", "expectations": []}')
    git.git(folder, "init", "-q")
    git.git(folder, *git.IDENTITY, "commit", "-q", "--allow-empty", "-m", "start")
    desk = Desk(
        Workspace(WorkspacePaths(folder), Params.model_validate(document), Env()),
        {"task": task, "seed": 3, "kind": "none", "size": 0.0, "since": START, **(drift or {})},
    )
    desk.workspace.__dict__["registry"] = desk.shelf
    if version_at is not None:
        desk.land(desk.rows(0, version_at), version_at)
        desk.make_version(version_at)
    return desk


def copy_of(desk: Desk, folder: Path) -> Desk:
    """The same desk as it is now, in an empty folder: what is made once can be spoilt by every test."""
    root = desk.workspace.paths.root
    shutil.copytree(root, folder)
    there = {version: folder / path.relative_to(root) for version, path in desk.shelf.folders.items()}
    workspace = Workspace(WorkspacePaths(folder), desk.workspace.params, Env())
    shelf = workspace.__dict__["registry"] = Shelf(there, dict(desk.shelf.named), {}, {**desk.shelf.tags})
    return Desk(workspace, desk.stream, shelf)


def add_checks(desk: Desk, count: int) -> None:
    """Adds checks, one an hour from the day after the newest on, that found what those before them did, in turns."""
    store = desk.workspace.store
    kept = store.decisions(desk.workspace.model, source="check")
    first, sequence = pd.Timestamp(kept[-1].as_of) + pd.Timedelta("1D"), store.last_sequence(desk.workspace.model)
    rows = []
    for number in range(count):
        at = first + pd.Timedelta(number, "h")
        row = columns_of(kept[number % len(kept)])
        named = {"id": f"{desk.workspace.model}-{at:%Y%m%dT%H%M%SZ}", "as_of": iso(at), "at": iso(at)}
        rows.append(
            {
                **row,
                **named,
                "sequence": sequence + 1 + number,
                "text": json.dumps({**json.loads(row["text"]), "as_of": iso(at)}),
            }
        )
    with store.begin() as connection:
        connection.execute(sa.insert(DECISIONS), rows)


def everything(section: SettingsSection) -> dict[str, Any]:
    """Every field, also those that are no settings."""
    return {name: everything(value) if isinstance(value, SettingsSection) else value for name, value in section}


def with_params(desk: Desk, **sections: dict[str, Any]) -> Desk:
    """The same desk after somebody edited params.yaml; values that are fixed stay as the desk has them."""
    document = everything(desk.workspace.params)
    for name, values in sections.items():
        document[name] |= values
    workspace = replace(desk.workspace, params=Params.model_validate(document))
    workspace.__dict__["registry"] = desk.shelf
    return Desk(workspace, desk.stream, desk.shelf)
