"""A whole life in one process: `retrim new`, `retrim init`, then a batch and a check a week, with shipped settings.

Batches land through the inbox's own code, checks and decisions are the real ones, and a retraining runs its six stages
in this process. Left out are Prefect, DVC's caching and MLflow's server: a shelf keeps bundles and aliases, and the
fresh process of the release checks is answered for.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
from typer.testing import CliRunner

from retrim.adapters.database import iso
from retrim.checking.check import CheckOutcome, check
from retrim.checking.rows import used_rows
from retrim.cli.main import app
from retrim.decision.stored_rows import RunRow, VersionRow
from retrim.files import Paths, folder_digest, read_folder
from retrim.landing.ingest import land_batch
from retrim.lineage.workspace import Workspace, ask_for_run, open_workspace
from retrim.reading.landed import Kind
from retrim.release.versions import load_champion
from retrim.retraining.retrain import claim_run, conclude_run, defer_run, make_run_directory
from retrim.stages import backtest, compare, features, train, tune, validate
from retrim.stages._common import _arguments, read_json
from retrim.stats.metrics import row_losses
from retrim.training.bundle import needs_of
from retrim.training.recipe import fit_recipe
from tests.builders.desk import Shelf
from tests.builders.proved import pass_checks
from tests.lives.worlds import HISTORY, START, WEEK, World

STAGES = (validate, features, tune, train, backtest, compare)
TRIALS = 3  # of a search; twenty by default


@dataclass
class LifeShelf(Shelf):
    """A shelf that also takes what a run tells of itself."""

    def open_run(self, run: str, *_: Any) -> str:
        return run

    def add_to_note(self, *_: Any) -> None: ...

    def finish(self, *_: Any) -> None: ...


@dataclass(frozen=True)
class LifeCheck:
    """One check of a life.

    Args:
        number: From 1.
        outcome: The check and its record.
        promoted: The version that went live after it; None if none did.
        refused: Whether its run was refused.
        served_loss: Mean loss of the version that was live before the check, on the rows that landed with it.
        knowing_loss: The same of the champion's recipe fitted on the rows since the change that were due before them;
            None before there are 48 of them.
    """

    number: int
    outcome: CheckOutcome
    promoted: int | None
    refused: bool
    served_loss: float
    knowing_loss: float | None


@dataclass
class Life:
    """A workspace and the world in which it lives."""

    world: World
    workspace: Workspace
    shelf: LifeShelf
    checks: list[LifeCheck] = field(default_factory=list)

    def play(self, checks: int) -> list[LifeCheck]:
        """Lands a batch and makes a check, so many times more."""
        for _ in range(checks):
            self.checks.append(self._week(len(self.checks) + 1))
        return self.checks

    def now(self, number: float) -> pd.Timestamp:
        """The moment of a check: two hours after the last event of its week."""
        return START + pd.Timedelta(hours=(HISTORY + number) * WEEK + 2)

    def _week(self, number: int) -> LifeCheck:
        rows, now = self.world.week(number), self.now(number)
        self._land(rows, number)
        served, knowing = self._losses(rows)
        outcome = check(self.workspace, by="a life", now=now)
        promoted, refused = self._act(outcome, now)
        return LifeCheck(number, outcome, promoted, refused, served, knowing)

    def _land(self, rows: pd.DataFrame, number: int) -> None:
        now = self.now(number) - pd.Timedelta("1h")
        late = self.world.late_weeks
        self._land_file(rows.drop(columns="minutes") if late else rows, f"rows-{number}", now, kind="rows")
        if late:
            known = self.world.week(number - late)[["order", "minutes"]]
            self._land_file(known, f"labels-{number}", now, kind="labels")

    def _land_file(self, rows: pd.DataFrame, name: str, now: pd.Timestamp, *, kind: Kind) -> None:
        file = self.workspace.paths.root / "var" / f"{name}.csv"
        as_csv(rows, file)
        params = self.workspace.params
        how = {"workspace": self.workspace.paths, "data": params.data, "now": now, "correction": False}
        landed = land_batch(file, kind, **how, batches=params.batches, reading=params.reading)
        assert landed.outcome != "quarantined", (name, landed.faults)

    def _act(self, outcome: CheckOutcome, now: pd.Timestamp) -> tuple[int | None, bool]:
        if outcome.outcome != "retrain":
            return None, False
        state, version = self.retrain(outcome.id, now)
        return version if state == "promoted" else None, state == "refused"

    def retrain(self, decision: str, now: pd.Timestamp) -> tuple[str, int | None]:
        """Carries out a decision, as the flow `retrain` does: how it ended, and the version."""
        run = claim_run(self.workspace, decision, now=now)
        deferred = defer_run(self.workspace, run, now=now)
        if deferred is not None:
            return deferred.state, None
        folder = make_run_directory(self.workspace, run).folder
        paths = Paths(folder)
        with inside(folder):
            for stage in STAGES:
                stage.run(**_arguments(stage.run, paths))  # type: ignore[attr-defined]
        version = self._publish(run, paths, now)
        ended = conclude_run(self.workspace, run, version, run.id, now=now)
        return ended.state, version

    def _publish(self, run: RunRow, paths: Paths, now: pd.Timestamp) -> int:
        version = len(self.shelf.folders) + 1
        kept = self.workspace.paths.var / f"bundle-{version}"
        kept.mkdir(parents=True)
        paths.candidate.rename(kept / "candidate")
        self.shelf.folders[version] = kept / "candidate"
        files = read_folder(kept / "candidate")
        paths.candidate.symlink_to(kept / "candidate")
        lineage = read_json(paths.pins) | {"needs": needs_of(files)}
        verdict = read_json(kept / "candidate" / "verdict" / "verdict.json")
        self.workspace.store.add_version(
            VersionRow(
                self.workspace.model,
                version,
                run=run.id,
                tag=f"retrim/{self.workspace.model}/v{version}",
                as_of=run.as_of,
                bundle=folder_digest(kept / "candidate"),
                model_sha256="",
                made=iso(now),
                lineage=lineage,
                verdict=verdict,
            ),
            used=used_rows(paths),
        )
        pass_checks(self.workspace.store, self.workspace.model, version, at=iso(now))
        return version

    def _losses(self, rows: pd.DataFrame) -> tuple[float, float | None]:
        """What the live model and one that knows the change lose on these rows."""
        champion = load_champion(self.workspace)
        assert champion is not None
        predictor = champion.predictor
        view, loss = predictor.view, self.workspace.params.judge.loss
        frame = self.as_table(rows)
        actual = frame["minutes"].to_numpy()
        served = float(row_losses(loss, actual, predictor.predict(frame)).mean())
        if self.world.changed is None:
            return served, None
        first = (HISTORY + self.world.changed - 1) * WEEK
        last = int(rows.index[0]) - self.world.late_weeks * WEEK
        known = self.as_table(self.world.frame.iloc[first:last])
        if len(known) < 48:
            return served, None
        model = fit_recipe(predictor.recipe, view, known, threads=1)
        return served, float(row_losses(loss, actual, model.predict(view.matrix(frame))).mean())

    def as_table(self, rows: pd.DataFrame) -> pd.DataFrame:
        frame = rows.reset_index(drop=True).rename(columns={"at": "_event"})
        return frame.assign(
            at=frame["_event"],
            city=frame["city"].astype("str"),
            hour=frame["_event"].dt.hour.astype("float64"),
            weekday=frame["_event"].dt.day_of_week.astype("float64"),
            stops=frame["stops"].astype("float64"),
        )


@contextmanager
def inside(folder: Path) -> Iterator[None]:
    """The working folder of this process is `folder` for a while."""
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


def as_csv(rows: pd.DataFrame, file: Path) -> None:
    written = rows.assign(at=rows["at"].dt.strftime("%Y-%m-%d %H:%M")) if "at" in rows else rows
    written.to_csv(file, index=False)


def begin_life(folder: Path, world: World) -> Life:
    """A workspace as a newcomer makes it: `retrim new`, `retrim init`, and version 1 from the history."""
    folder.mkdir(parents=True, exist_ok=True)
    as_csv(world.history, folder / "history.csv")
    with inside(folder):
        run_command("new", "life")
    with inside(folder / "life"):
        late = ("--horizon", f"{7 * world.late_weeks}D") if world.late_weeks else ()
        run_command("init", "--data", "../history.csv", "--target", "minutes", "--yes", *late)
        run_command("settings", f"tune.trials={TRIALS}")
        workspace = open_workspace(Path.cwd())
    shelf = LifeShelf({})
    workspace.__dict__["registry"] = shelf
    life = Life(world, workspace, shelf)
    first = ask_for_run(workspace, as_of=life.now(0), by="a life", reason="first version", now=life.now(0))
    state, _ = life.retrain(first, life.now(0))
    assert state == "promoted", state
    return life


def run_command(*words: str) -> str:
    """A command of retrim, in this process; what it printed."""
    done = CliRunner().invoke(app, list(words))
    assert done.exit_code == 0, (words, done.output, done.exception)
    return done.output
