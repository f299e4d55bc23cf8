"""Whatever comes in whatever order, each row is tested once, measured once and deposited once.

Rows come on time, late, with an event before all others, stamped before a check that they came after; labels come
later; rows and labels are corrected; checks are made at a clock that goes back and forth, two at once, and are killed
at any of their writes; landings are killed too; versions are made, go live and are rolled back.
"""

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import sqlalchemy as sa
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from retrim.adapters.database import iso
from retrim.checking.audit import audit
from retrim.checking.check import check
from retrim.decision.probe import NEEDED
from retrim.environment import Env
from retrim.files import WorkspacePaths
from retrim.lineage.workspace import Workspace
from tests.builders.desk import Desk, copy_of, make_desk
from tests.builders.proved import move
from tests.stateful.playing import play

pytestmark = pytest.mark.slow

HOUR = 1 / 24
LEAST = 24  # rows that a check needs
TABLES: dict[str, dict[str, Any]] = {
    "plain": {},
    "later": {"labels": "later"},
    "filtered": {"data": {"rows": {"where": [{"column": "noise", "at_least": -0.5}]}}},
}
SELDOM = ("plain", "later")  # there a probe is asked where it is needed, else at every check
QUICK = {"gate": {"min_rows": 24, "baselines": ["mean"]}, "gain": {"cost": 1000.0}}


class KilledError(BaseException):
    """The process is killed: nothing catches it."""


@cache
def start(table: str) -> Desk:
    """Twelve days of rows and a version of them, made once for all sequences."""
    folder = Path(tempfile.mkdtemp(prefix="retrim-stateful-")) / "workspace"
    probe = {"probe": {"when": "needed" if table in SELDOM else "every"}}
    return make_desk(folder, changes=QUICK | probe, **TABLES[table], version_at=12)


@contextmanager
def killed_at(number: int) -> Iterator[None]:
    """Kills at the write with this number, from 0: to the database, or to the landing zone."""
    left = [number]

    def count(*_: Any) -> None:
        left[0] -= 1
        if left[0] < 0:
            raise KilledError

    def counting(call: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*given: Any, **named: Any) -> Any:
            count()
            return call(*given, **named)

        return counted

    def written(connection: Any, cursor: Any, statement: str, *_: Any) -> None:
        if not statement.lstrip().upper().startswith(("SELECT", "PRAGMA")):
            count()

    plain = {"fsync": os.fsync, "replace": os.replace}
    sa.event.listen(sa.Engine, "before_cursor_execute", written)
    sa.event.listen(sa.Engine, "commit", count)
    for name, call in plain.items():
        setattr(os, name, counting(call))
    try:
        yield
    except KilledError:
        pass
    finally:
        for name, call in plain.items():
            setattr(os, name, call)
        sa.event.remove(sa.Engine, "before_cursor_execute", written)
        sa.event.remove(sa.Engine, "commit", count)


class RowsCountOnce(RuleBasedStateMachine):
    """A desk, a clock in days, and what has landed."""

    @initialize(table=st.sampled_from(sorted(TABLES)))
    def open(self, table: str) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="retrim-stateful-"))
        self.desk = copy_of(start(table), self.folder / "workspace")
        self.clock, self.newest = 12.0, 12.0  # of now, and of what was stamped so far
        self.next, self.moments = 1000, 0
        self.landed = self.desk.rows(0, 12)
        self.open_labels = self.landed.iloc[:0]
        self.later = table == "later"

    def teardown(self) -> None:
        if hasattr(self, "folder"):
            shutil.rmtree(self.folder, ignore_errors=True)

    # --- what comes --------------------------------------------------------------------------------

    @rule(
        rows=st.integers(1, 60),
        age=st.sampled_from([0.0, 0.0, 0.0, 0.5, 2.0, 9.0]),
        stamp=st.sampled_from([0.0, 0.0, -0.3, -2.0, 0.2]),
        kill=st.none() | st.integers(0, 8),
    )
    def rows_land(self, rows: int, age: float, stamp: float, kill: int | None) -> None:
        """Rows of the last hours, or of a while ago, whose stamp may be another moment than that at which they land."""
        self.tick()
        begin = max(self.clock - age - rows * HOUR, 0.0)
        frame = self.desk.rows(0, 30).head(rows).assign(number=[float(self.next + place) for place in range(rows)])
        minute = pd.Timedelta(self.next % 59, "min")
        frame["at"] = [self.desk.day(begin + place * HOUR).floor("min") + minute for place in range(rows)]
        frame["at"] = frame["at"].astype("datetime64[us, UTC]")
        self.next += rows
        labelled = not self.later or self.next % 2 == 0
        sent = frame if labelled else frame.assign(outcome=float("nan"))
        if self.land(sent, stamp, kill=kill):
            self.landed = pd.concat([self.landed, frame], ignore_index=True)
            if not labelled:
                self.open_labels = pd.concat([self.open_labels, frame], ignore_index=True)

    @precondition(lambda self: len(self.open_labels) > 0)
    @rule(share=st.sampled_from([0.2, 0.5, 1.0]), stamp=st.sampled_from([0.0, -1.0]))
    def labels_land(self, share: float, stamp: float) -> None:
        """Labels of some rows that had none."""
        self.tick()
        some = self.open_labels.sample(frac=share, random_state=self.moments)
        if len(some) and self.land(some, stamp, kind="labels"):
            self.open_labels = self.open_labels.drop(some.index).reset_index(drop=True)

    @rule(rows=st.integers(1, 40), what=st.sampled_from(["rows", "labels"]))
    def a_correction_lands(self, rows: int, what: str) -> None:
        """Other values of rows that have landed, or of their labels; sometimes another time."""
        self.tick()
        some = self.landed.sample(min(rows, len(self.landed)), random_state=self.moments).assign(level=3.0)
        if what == "labels":
            some = some[~some["number"].isin(self.open_labels["number"])]
        elif self.moments % 3 == 0:
            some["at"] = some["at"] + pd.Timedelta("3h")
        if self.later and what == "rows":
            some["outcome"] = some["outcome"].mask(some["number"].isin(self.open_labels["number"]))
        if len(some):
            self.land(some.assign(outcome=some["outcome"] + 1), 0.0, kind=what, correction=True)

    def land(
        self,
        frame: pd.DataFrame,
        stamp: float,
        *,
        kind: str = "rows",
        correction: bool = False,
        kill: int | None = None,
    ) -> bool:
        """Lands rows; whether they are there after all, where the landing was killed."""
        at = self.clock + stamp if not correction else max(self.newest, self.clock) + 0.001
        self.newest = max(self.newest, at)
        before = {batch.batch for batch in self.desk.workspace.landing.batches()}
        if kill is None:
            self.desk.land(frame, at, kind=kind, correction=correction)
        else:
            with killed_at(kill):
                self.desk.land(frame, at, kind=kind, correction=correction)
        return {batch.batch for batch in self.desk.workspace.landing.batches()} != before

    # --- checks ------------------------------------------------------------------------------------

    @rule(ahead=st.sampled_from([0.0, 0.0, 0.1, 0.5, -1.0]))
    def a_check(self, ahead: float) -> None:
        """A check; its clock may have stepped."""
        self.tick()
        self.desk.check(self.moment(ahead))

    @rule(ahead=st.sampled_from([0.0, 0.3]), write=st.integers(0, 12))
    def a_check_is_killed(self, ahead: float, write: int) -> None:
        self.tick()
        with killed_at(write):
            self.desk.check(self.moment(ahead))

    @rule(apart=st.sampled_from([0.0, 0.2, -0.2]))
    def two_checks_at_once(self, apart: float) -> None:
        self.tick()
        other = Workspace(WorkspacePaths(self.desk.workspace.paths.root), self.desk.workspace.params, Env())
        other.__dict__["registry"] = self.desk.shelf
        jobs = ((self.desk.workspace, self.moment(0.0)), (other, self.moment(apart)))
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(lambda job: check(job[0], by="a test", now=self.desk.day(job[1])), jobs))

    @rule(step=st.sampled_from([0.25, 1.0, 3.0, -0.4]))
    def the_clock_steps(self, step: float) -> None:
        self.clock = max(self.clock + step, 12.0)

    def moment(self, ahead: float) -> float:
        """A moment so far from now, and after the first rows."""
        return max(self.clock + ahead, 12.0 + self.moments * 2 / 86400)

    def tick(self) -> None:
        """No two things happen in the same second."""
        self.moments += 1
        self.clock += 2 / 86400

    # --- versions ----------------------------------------------------------------------------------

    @precondition(lambda self: len(self.desk.shelf.folders) < 4)
    @rule(ago=st.sampled_from([0.0, 0.5, 2.0]))
    def a_version_goes_live(self, ago: float) -> None:
        """One that was made as of now, or of a while ago."""
        self.tick()
        self.desk.make_version(max(self.clock - ago, 12.0 + self.moments / 86400))

    @precondition(lambda self: len(self.desk.shelf.folders) > 1)
    @rule()
    def the_version_before_goes_live_again(self) -> None:
        self.tick()
        workspace = self.desk.workspace
        live = workspace.store.releases(workspace.model)[-1].version
        other = live - 1 or live + 1
        row = move(workspace.model, other, at=iso(self.desk.day(self.clock)), action="rollback", reason="a test")
        workspace.store.add_release(row, expected=live, keys=workspace.keys)

    # --- what must hold ----------------------------------------------------------------------------

    @invariant()
    def the_balance_holds(self) -> None:
        if not hasattr(self, "desk"):
            return
        found = audit(self.desk.workspace, now=self.desk.day(self.newest + 5))

        assert found.holds, found.as_record()

    @invariant()
    def what_is_due_has_been_counted_or_is_too_little(self) -> None:
        """After a check on all that has come, too few rows wait to be looked at; for a probe not needed, any number."""
        if not hasattr(self, "desk") or self.moments % 5:
            return
        self.tick()
        checks = self.desk.workspace.store.decisions(self.desk.workspace.model, source="check")
        last = max([pd.Timestamp(row.as_of) for row in checks], default=self.desk.day(0))
        now = max(last, self.desk.day(self.newest)) + pd.Timedelta("3h")
        check(self.desk.workspace, by="a test", now=now)
        found = audit(self.desk.workspace, now=now)

        seldom = ("deposited",) if self.desk.workspace.params.probe.when == NEEDED else ()
        waiting = [each.waiting for each in found.balances if each.kind not in seldom]

        assert max(waiting) < LEAST * 3, found.as_record()
        self.clock = max(self.clock, (now - self.desk.day(0)) / pd.Timedelta("1D"))


def test_each_row_counts_once_whatever_comes(minutes: float | None) -> None:
    play(RowsCountOnce, minutes=minutes, examples=4, steps=12)
