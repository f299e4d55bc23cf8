"""A table that changes over many batches: what is read is what a plain list of all that ever came says.

Columns appear, disappear, widen and are renamed, key, time and target too; rows are corrected and batches withdrawn;
between, checks are made, versions made by the real stages, and made again from what they were made of.
"""

import json
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from retrim.cli.answers import find_versions
from retrim.decision.pins import Pins
from retrim.errors import BadInputError, RefusedError
from retrim.files import NO_CHAMPION, Paths, folder_digest, link, write_file
from retrim.landing.as_of_view import known_table
from retrim.landing.ingest import land_batch, release_quarantined
from retrim.landing.withdraw import withdraw
from retrim.settings import Params
from retrim.stages import compare, features, train, validate
from retrim.stats.codec import to_json, to_record
from tests.builders.answers import status_record
from tests.builders.desk import TUNED, Desk, copy_of, make_desk, run_stage
from tests.builders.run_directory import lay_settings
from tests.stateful.playing import play

pytestmark = pytest.mark.slow

SUITE = "expectations/generated.json"
BOUNDS = {"min_value": -1e6, "max_value": 1e6}
EXPECTED = [
    {"type": "expect_column_values_to_not_be_null", "kwargs": {"column": "_key"}},
    {"type": "expect_column_values_to_be_between", "kwargs": {"column": "level", **BOUNDS}},
    {"type": "expect_column_values_to_not_be_null", "kwargs": {"column": "slope"}},
]
"""Names of the first day: whatever becomes of the columns, they stay in the suite."""
KINDS = st.sampled_from(["number", "integer", "category"])
WRONG = {"number": "category", "integer": "time", "category": "number"}
PLACE = st.floats(0, 1)
ROWS = st.integers(0, 30)
"""Rows of the batch that lands after an edit; none may, before the next edit."""


@dataclass
class Column:
    """A column, whatever it is called and was declared: values of all rows are kept under it."""

    name: str
    kind: str
    role: str
    earlier: list[str] = field(default_factory=list)
    there: bool = True


@dataclass
class Came:
    """A batch as it was handed in: values by key and column."""

    arrived: pd.Timestamp
    rows: dict[str, dict[int, Any]]
    batch: str = ""
    withdrawn: pd.Timestamp | None = None


@dataclass
class Changing(Desk):
    """A desk whose versions are made by all stages from a room with raw files, and can be made again."""

    def day(self, number: float) -> pd.Timestamp:
        return super().day(number).round("s")

    def _bundle(self, now: pd.Timestamp, version: int) -> Paths:
        paths = Paths(self.workspace.paths.var / f"bundle-{version}")
        for batch in self.workspace.landing.batches(now):
            link(batch.path, paths.raw / batch.path.name)
        if version > 1:
            shutil.copytree(self.shelf.folders[self.workspace.store.releases("generated")[-1].version], paths.champion)
        else:
            write_file(paths.champion / NO_CHAMPION, b"{}\n")
        write_file(paths.pins, to_json(to_record(Pins(as_of=now, mode="refit"))))
        write_file(paths.root / "params.json", self.workspace.params.model_dump_json().encode())
        shutil.copytree(self.workspace.paths.root / "expectations", paths.root / "expectations")
        run_stages(self.workspace.params, paths)
        self.shelf.folders[version] = paths.candidate
        return paths

    def again(self, version: int) -> str:
        """The digest of a version, made once more from its raw files, champion, pins and settings."""
        made = Paths(self.shelf.folders[version].parents[1])
        paths = Paths(self.workspace.paths.var / f"again-{version}")
        shutil.rmtree(paths.root, ignore_errors=True)
        for name in ("raw", "champion"):
            shutil.copytree(made.root / "data" / name, paths.root / "data" / name)
        shutil.copyfile(made.pins, paths.pins)
        shutil.copytree(made.root / "expectations", paths.root / "expectations")
        run_stages(Params.model_validate_json((made.root / "params.json").read_bytes()), paths)
        return folder_digest(paths.candidate)


def run_stages(params: Params, paths: Paths) -> None:
    """All stages but the search, whose result is given."""
    lay_settings(paths, params.model_dump(mode="json"))
    run_stage(validate.run, params, paths)
    run_stage(features.run, params, paths)
    write_file(paths.tuning / "hyperparameters.json", to_json(TUNED))
    run_stage(train.run, params, paths)
    write_file(paths.backtest / "backtest.json", to_json({"loss": params.judge.loss, "origins": []}))
    run_stage(compare.run, params, paths)


@cache
def start() -> Desk:
    """Two weeks of rows and a version of them, made once for all sequences."""
    desk = make_desk(
        Path(tempfile.mkdtemp(prefix="retrim-changes-")) / "workspace",
        data={"suite": SUITE},
        changes={"gate": {"min_rows": 24, "baselines": ["mean"]}, "gain": {"cost": 1000.0}},
    )
    write_file(desk.workspace.paths.root / SUITE, json.dumps({"name": "generated", "expectations": EXPECTED}).encode())
    return desk


class TableChanges(RuleBasedStateMachine):
    """What has landed, beside a list of all that came."""

    @initialize(seed=st.integers(0, 2**16))
    def begin(self, seed: int) -> None:
        folder = Path(tempfile.mkdtemp(prefix="retrim-change-"))
        desk = copy_of(start(), folder / "workspace")
        self.folder, self.desk = folder, Changing(desk.workspace, desk.stream, desk.shelf)
        self.random = np.random.default_rng(seed)
        declared = self.desk.workspace.params.data.columns
        self.columns = [Column(name, column.type, column.role) for name, column in declared.items()]
        self.came: list[Came] = []
        self.day, self.next, self.names, self.since = 0.0, 0, 0, 0
        self.digests: dict[int, str] = {}
        self.declare()
        for _ in range(2):
            self.hand_in(168)
        self.make()

    # --- what a person does ---

    @rule(rows=st.integers(20, 40), batches=st.integers(1, 3))
    def land_rows(self, rows: int, batches: int) -> None:
        for _ in range(batches):
            self.hand_in(rows)
        self.compare_table(self.now)

    @rule(share=PLACE)
    def land_and_look_back(self, share: float) -> None:
        self.hand_in(24)
        self.compare_table(self.desk.day(max(share * self.day, 7)).floor("s"))

    @rule(rows=st.integers(1, 12))
    def correct(self, rows: int) -> None:
        known = sorted(self.expected(self.now), key=int)
        if known:
            self.hand_in(0, keys=sorted({known[self.random.integers(len(known))] for _ in range(rows)}, key=int))
            self.compare_table(self.now)

    @rule(kind=KINDS, rows=ROWS)
    def add(self, kind: str, rows: int) -> None:
        if len(self.there) < 12:
            self.columns.append(Column(self.new_name(), kind, "feature"))
        self.edited(rows)

    @rule(place=PLACE, rows=ROWS)
    def drop(self, place: float, rows: int) -> None:
        if len(self.of_role("feature")) > 2:
            self.pick(self.of_role("feature"), place).there = False
        self.edited(rows)

    @rule(place=PLACE, all_names=st.booleans(), rows=ROWS)
    def rename(self, place: float, all_names: bool, rows: int) -> None:  # noqa: FBT001
        column = self.pick(self.there, place)
        landed = {name for schema in self.schemas for name in schema.types}
        names = [column.name, *column.earlier]
        if not landed & set(names):  # a column that never landed has no name to be told
            names = []
        column.name = self.new_name()
        if not all_names and len(set(names) & landed) > 1:
            column.earlier = names[:1]
            self.declare()
            with pytest.raises(BadInputError, match=rf"'{column.name}'.* `?was"):
                self.hand_in(5)
        column.earlier = names
        self.edited(rows)

    @rule(place=PLACE, to_text=st.booleans(), rows=ROWS)
    def widen(self, place: float, to_text: bool, rows: int) -> None:  # noqa: FBT001
        whole = [column for column in self.of_role("feature") if column.kind == "integer"]
        if whole:
            self.pick(whole, place).kind = "category" if to_text else "number"
        self.edited(rows)

    @rule(place=PLACE)
    def change_as_nobody_may(self, place: float) -> None:
        landed = {name for schema in self.schemas for name in schema.types}
        old = [column for column in self.of_role("feature") if {column.name, *column.earlier} & landed]
        if not old:
            return
        column = self.pick(old, place)
        kind, batches = column.kind, len(self.desk.workspace.landing.batches())
        column.kind = {"number": "integer", "integer": "integer", "category": "number"}[kind]
        if column.kind != kind:
            self.declare()
            for use in (lambda: self.hand_in(5), lambda: known_table(self.desk.workspace, as_of=self.now)):
                with pytest.raises(BadInputError, match=rf"'{column.name}' landed as"):
                    use()
            assert len(self.desk.workspace.landing.batches()) == batches
            column.kind = kind
            self.declare()

    @rule(place=PLACE)
    def take_back(self, place: float) -> None:
        standing = [came for came in self.came[2:] if came.withdrawn is None]
        if standing:
            came = self.pick(standing, place)
            self.day += 0.25
            withdraw(self.desk.workspace, came.batch, by="a test", reason="drawn", now=self.now)
            came.withdrawn = self.now
            self.compare_table(self.now)
            self.compare_table(self.now - pd.Timedelta("1s"))

    @rule(rows=ROWS)
    def check(self, rows: int) -> None:
        self.edited(rows)
        self.day += 0.25
        record = self.desk.check(self.day).record
        lacks = status_record(self.desk.workspace, now=self.now)["lacks"]
        needs = self.desk.workspace.store.version("generated", record["champion"]).lineage["needs"]
        now = {name for column in self.there for name in (column.name, *column.earlier)}

        assert record["performance"]["measured"] is None or np.isfinite(record["performance"]["measured"]["loss"])
        assert set(lacks) >= {column.name for column in self.columns if not column.there} & set(needs)
        assert not {name for name in needs if name in now} & set(lacks)

    @precondition(lambda self: self.since >= 72)
    @rule()
    def retrain(self) -> None:
        self.day += 0.25
        self.make()
        needs = self.desk.workspace.store.versions("generated")[-1].lineage["needs"]

        assert set(needs) <= {column.name for column in self.there}

    @rule(place=PLACE)
    def reproduce(self, place: float) -> None:
        version = self.pick(list(self.digests), place)

        assert self.desk.again(version) == self.digests[version]

    @rule()
    def list_versions(self) -> None:
        for record in find_versions(self.desk.workspace):
            as_of = pd.Timestamp(record.as_of)
            used = [came for came in self.came if came.arrived <= as_of and came.withdrawn and as_of < came.withdrawn]

            assert sorted(record.withdrawn) == sorted(came.batch for came in used)

    def teardown(self) -> None:
        if hasattr(self, "folder"):
            shutil.rmtree(self.folder, ignore_errors=True)

    # --- what stands beside ---

    def edited(self, rows: int) -> None:
        """Writes the settings, and lets a batch of that many rows land."""
        self.declare()
        if rows:
            self.hand_in(rows)
            self.compare_table(self.now)

    @property
    def now(self) -> pd.Timestamp:
        return self.desk.day(self.day)

    @property
    def there(self) -> list[Column]:
        return [column for column in self.columns if column.there]

    @property
    def schemas(self) -> list[Any]:
        return [file.schema for file in self.desk.workspace.landing.batches()]

    def of_role(self, role: str) -> list[Column]:
        return [column for column in self.there if column.role == role]

    def pick(self, among: list[Any], place: float) -> Any:
        return among[min(int(place * len(among)), len(among) - 1)]

    def new_name(self) -> str:
        self.names += 1
        return f"c{self.names}"

    def declare(self) -> None:
        """Writes the columns into the settings, and what names them."""
        document = self.desk.workspace.params.model_dump(mode="json")
        document["data"]["columns"] = {
            column.name: {"type": column.kind, "role": column.role, "was": column.earlier} for column in self.there
        }
        document["data"]["key"] = [self.columns[1].name]
        level = self.columns[2]
        past = [{"of": level.name, "lag": 1}] if level.there else []
        document["data"]["history"]["features"] = past
        workspace = replace(self.desk.workspace, params=Params.model_validate(document))
        workspace.__dict__["registry"] = self.desk.shelf
        self.desk = Changing(workspace, self.desk.stream, self.desk.shelf)

    def hand_in(self, rows: int, keys: list[str] | None = None) -> None:
        """Lands new rows, or rows with these keys as a correction, by the way of every file."""
        day = self.day + (max(rows, 6) / 24 if keys is None else 0.25)
        fresh = [str(number) for number in range(self.next, self.next + rows)] if keys is None else keys
        values = {key: {place: self.value(place, int(key)) for place in self.places} for key in fresh}
        table = pd.DataFrame({self.columns[place].name: [values[key][place] for key in fresh] for place in self.places})
        path = self.folder / f"file-{len(self.came)}-{self.random.integers(2**40)}.csv"
        table.to_csv(path, index=False)
        params, now = self.desk.workspace.params, self.desk.day(day)
        how: dict[str, Any] = {"workspace": self.desk.workspace.paths, "data": params.data, "now": now}
        landed = land_batch(path, correction=keys is not None, batches=params.batches, **how)
        if landed.outcome == "quarantined":
            assert all(fault.releasable for fault in landed.faults), [str(fault) for fault in landed.faults]
            landed = release_quarantined(landed.batch, by="a test", reason="drawn", **how)
        assert landed.outcome == "landed"
        self.day = day
        self.came.append(Came(now, values, landed.batch))
        if keys is None:
            self.next, self.since = self.next + rows, self.since + rows

    @property
    def places(self) -> list[int]:
        return [place for place, column in enumerate(self.columns) if column.there]

    def value(self, place: int, number: int) -> Any:
        """A drawn value of a column in the row with a number: its time and its key are always the same."""
        column = self.columns[place]
        if column.role == "time":
            return (self.desk.day(0) + pd.Timedelta(number, "h")).strftime("%Y-%m-%dT%H:%M:%SZ")
        if place == 1:
            return number
        drawn = float(self.random.normal())
        by_kind: dict[str, Callable[[], Any]] = {
            "number": lambda: round(drawn, 3),
            "integer": lambda: round(4 * drawn),
            "category": lambda: "abc"[number % 3] if number % 2 else str(number % 5),
        }
        return by_kind[column.kind]()

    def expected(self, as_of: pd.Timestamp) -> dict[str, dict[int, Any]]:
        """The newest values of each key, by column; what is withdrawn now is in no table, of whatever moment."""
        found: dict[str, dict[int, Any]] = {}
        for came in self.came:
            if came.arrived <= as_of and came.withdrawn is None:
                found |= came.rows
        return found

    def compare_table(self, as_of: pd.Timestamp) -> None:
        """Holds the table as of a moment against the list."""
        expected = self.expected(as_of)
        table = known_table(self.desk.workspace, as_of=as_of).set_index("_key")

        assert sorted(table.index) == sorted(expected)
        for place in self.places:
            column = self.columns[place]
            found = table[column.name]
            for key, row in expected.items():
                value, wanted = found[key], row.get(place)
                if wanted is None:
                    assert pd.isna(value), (column, key, value)
                elif column.kind == "category":
                    assert value == str(wanted), (column, key, value, wanted)
                elif column.kind == "time":
                    assert value == pd.Timestamp(wanted)
                else:
                    assert value == float(wanted), (column, key, value, wanted)

    def make(self) -> None:
        """A version as of now, if enough rows are there to judge."""
        try:
            version = self.desk.make_version(self.day)
        except RefusedError:
            return
        self.digests[version] = folder_digest(self.desk.shelf.folders[version])
        self.since = 0


def test_what_is_read_is_what_came(minutes: float | None) -> None:
    play(TableChanges, minutes=minutes, examples=2, steps=50)
