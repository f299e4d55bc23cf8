"""What the demo shows at its end: the table, the sentence with the figures, and where to look next."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from retrim.card.charts import lines_over_time, plain
from retrim.card.report import counted
from retrim.cli import render
from retrim.files import write_file
from retrim.lineage.workspace import Workspace
from retrim.reports.demo import Loss

if TYPE_CHECKING:
    from retrim_flows.demo import Beat

HEADS = ("date", "rows", "loss", "gain", "live", "decision and its reason")


@dataclass(frozen=True)
class DemoTotals:
    """Total cost in mean loss x checks: the system without and with its probes, version 1 kept, always retraining."""

    retraining_cost: float
    system: float
    system_with_probes: float
    frozen: float
    always: float


@dataclass(frozen=True)
class DemoSummary:
    """The whole of a demo: mean losses of what was live, of the first model alone and of always retraining, and costs.

    The losses are None without rows that matured; `checks` are those that probed.
    """

    loss: str
    rows: int
    system: float | None
    frozen: float | None
    always: float | None
    totals: DemoTotals | None
    retrainings: int
    promoted: int
    refused: int
    restored: int
    rolled_back: int
    checks: int
    picture: str

    @property
    def sentence(self) -> str:
        totals = self.totals
        if not self.rows or totals is None:
            return "No rows matured in the replayed time, so there is no loss to compare."
        places = _places(totals.retraining_cost)
        return (
            f"Over {self.rows:,} replayed rows, {self.loss.upper()} was {self.system:.{places}f} with "
            f"{counted(self.retrainings, 'retraining')} ({self.promoted} promoted, {self.refused} refused). "
            f"It would have been {self.frozen:.{places}f} with the first model alone, and "
            f"{self.always:.{places}f} with a retraining at every check "
            f"({counted(self.checks, 'retraining')}, measured on the probe's fits). "
            f"At {totals.retraining_cost:.{places}f} per retraining, the total cost in mean loss x checks was "
            f"{totals.system:.{places - 1}f} ({totals.system_with_probes:.{places - 1}f} with the probes). "
            f"The first model alone would have cost {totals.frozen:.{places - 1}f}, and "
            f"retraining at every check {totals.always:.{places - 1}f}."
        )


def show_demo(workspace: Workspace, beats: "Sequence[Beat]", *, as_json: bool) -> None:
    """The demo's result, as a table, a sentence and a picture, or as JSON."""
    summary = sum_up(workspace, beats, picture=_draw(workspace, beats))
    if as_json:
        render.show_json({"beats": [_beat_record(beat) for beat in beats], "summary": summary})
        return
    render.show_table(HEADS, [_line(beat) for beat in beats], brief_last=True)
    retrim = "../../.venv/bin/retrim"
    lines = (
        "\nEvidence for a line, in var/demo: retrim why DATE",
        f"\n{summary.sentence}",
        "\nChart of the loss with each decision marked: var/demo/var/loss.png",
        "\nTo explore the result from this folder:",
        "  make ui WORKSPACE=var/demo",
        "  cd var/demo",
        f"  {retrim} status",
        f"  {retrim} versions",
        f"  {retrim} versions reproduce {beats[-1].live}",
        f"  {retrim} versions reproduce {beats[-1].live} --prove",
    )
    for line in lines:
        render.say(line)


def sum_up(workspace: Workspace, beats: "Sequence[Beat]", *, picture: Path) -> DemoSummary:
    """Losses over the replayed time of the system, the frozen first model, and retraining at every check."""
    system = sum((beat.system for beat in beats), Loss())
    frozen = sum((beat.frozen for beat in beats), Loss())
    always = sum((beat.always for beat in beats), Loss())
    ended = [beat.run.state for beat in beats if beat.run is not None]
    states = [state for state in ended if state not in ("restored", "rolled back")]
    probes = sum(beat.check is not None and beat.check.record.probe.reading is not None for beat in beats)
    return DemoSummary(
        loss=workspace.params.judge.loss,
        rows=system.rows,
        system=system.mean,
        frozen=frozen.mean,
        always=always.mean,
        totals=_totals(workspace, beats, frozen=frozen, always=always, probes=probes),
        retrainings=len(states) - 1,
        promoted=states.count("promoted") + states.count("waiting") - 1,
        refused=states.count("refused"),
        restored=ended.count("restored"),
        rolled_back=ended.count("rolled back"),
        checks=probes,
        picture=str(picture),
    )


def _totals(
    workspace: Workspace, beats: "Sequence[Beat]", *, frozen: Loss, always: Loss, probes: int
) -> DemoTotals | None:
    """What each cost; None before a check."""
    last = next((beat.check.record for beat in reversed(beats) if beat.check is not None), None)
    if last is None or last.totals is None:
        return None
    usual, totals = workspace.params.gain.rows_per_check, last.totals
    # The price follows the live version, so that of the system is the mean of what it paid.
    retraining_cost = totals.retrainings_cost / totals.retrainings if totals.retrainings else last.gain.retraining_cost
    return DemoTotals(
        retraining_cost=retraining_cost,
        system=totals.without_probes,
        system_with_probes=totals.with_probes,
        frozen=frozen.total / usual,
        always=always.total / usual + retraining_cost * probes,
    )


def _draw(workspace: Workspace, beats: "Sequence[Beat]") -> Path:
    """Writes the loss at each check as a PNG, with what was decided marked."""
    checks, decisions = [], []
    for beat in beats:
        at = pd.Timestamp(beat.date, tz="UTC")
        means = {"live version": beat.system.mean, "first model alone": beat.frozen.mean}
        checks.append((at, {name: mean for name, mean in means.items() if mean is not None}))
        if beat.run is not None:
            released = beat.run.state in ("promoted", "restored", "rolled back")
            decisions.append((at, f"v{beat.live}" if released else beat.run.state))
    file = workspace.paths.var / "loss.png"
    label = f"mean {plain(workspace.params.judge.loss)} since the last check"
    write_file(file, lines_over_time(checks, title="Loss over time", label=label, events=decisions))
    return file


def _places(retraining_cost: float) -> int:
    """Decimals that tell losses apart where a retraining costs so much."""
    return 1 if retraining_cost >= 1 else 3


def _line(beat: "Beat") -> tuple[Any, ...]:
    check, run = beat.check, beat.run
    ended = "" if run is None else f"{run.state}: {run.reason}"
    if check is None:
        return beat.date, beat.rows, None, None, beat.live, f"version 1 {ended}"
    record = check.record
    places = _places(record.gain.retraining_cost)
    loss = None if record.probe.reading is None else f"{record.probe.reading.champion_loss:.{places}f}"
    gain = f"{record.gain.now.balance:.{places}f} of {record.gain.retraining_cost:.{places}f}"
    decided = f"{check.outcome}, {ended}" if ended else f"{check.outcome}: {check.reason}"
    return beat.date, beat.rows, loss, gain, beat.live, decided


def _beat_record(beat: "Beat") -> dict[str, Any]:
    means = {"system": beat.system.mean, "frozen": beat.frozen.mean, "always": beat.always.mean}
    return {"date": beat.date, "rows": beat.rows, "check": beat.check, "run": beat.run, "live": beat.live} | means
