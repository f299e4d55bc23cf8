"""Whether a retraining has to wait for rows, and until when.

Where things stand: the store's rows as the records that the decision rests on.

Which landed rows a check may still count, and which ones a version was made or judged with.

What kept retrainings from being started: how often, and a reminder while a hold lasts.

What the checks of a champion's life have shown of its refits: read from their records, for the gate.

How many of the newest rows judge: in a run, as its pins say, and in the preview of a check.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256

import numpy as np
import pandas as pd

from retrim.adapters.database import iso
from retrim.adapters.landing_zone import hash_keys
from retrim.decision.accumulated_gain import MonthSpent
from retrim.decision.alerts import AlertKind
from retrim.decision.check_record import (
    AcknowledgedKind,
    AskedRefit,
    AskedRun,
    CheckRecord,
    DecisionEvidence,
    EarlierCheck,
    HoldAnswer,
    PauseChange,
    StartedBy,
    StoredCheck,
    TableView,
)
from retrim.decision.history import UNFINISHED, Acknowledgement, CheckHistory, PastCheck, PastRun, summarise_checks
from retrim.decision.rows_counted import RowCounts, count_rows, pack
from retrim.decision.rules import RolledBack
from retrim.decision.stored_rows import DecisionRow, RunRow
from retrim.errors import BadInputError
from retrim.files import Paths
from retrim.gate.losses import EarlierVerdict, uses
from retrim.gate.size import KEPT_BACK, Size, rows_holding, size_for
from retrim.gate.support import ShownEvidence
from retrim.landing.as_of_view import AsOfTable, read_as_of, read_times_as_of
from retrim.lineage.workspace import MUTE, PAUSE, PERSON, REFIT, SETTLEMENT, Workspace, record_alert
from retrim.parquet import read_parquet
from retrim.reading.landed import BatchFile, facts_of, landed_paths, open_landed, read_column
from retrim.release.versions import ROLLBACKS, Stored, load_champion
from retrim.stats.codec import Moment, from_record, to_json, to_record
from retrim.stats.windows import POSITIVES
from retrim.table.data import DataParams, mature, overdue_labels, row_keys
from retrim.training.bundle import Predictor
from retrim.training.mode import FINAL, RunMode
from retrim.training.recipe import FEWEST_RECENT, Recipe, WindowLengths, cut_first, enough_at, rows_missing

CHECK = "check"  # source of the decisions that checks take
LOOKED_BACK = 60
"""Newest checks among which one that measured the loss, or named a batch, is looked for: two months of daily ones."""


@dataclass(frozen=True)
class RowsToWaitFor:
    """Rows that have to mature before a retraining can be judged.

    Args:
        reason: Why, in a sentence.
        until: When there will be enough; None where that cannot be said.
        missing: How many.
        known: What was known when that was said: see `what_is_known`.
    """

    reason: str
    until: Moment | None
    missing: int
    known: dict[str, str]


def what_is_known(workspace: Workspace, *, as_of: pd.Timestamp | None = None) -> dict[str, str]:
    """Digests of what a deferral rests on: batches of rows and labels that have landed, by `as_of` if given; settings.

    A run that was deferred is tried again when one of them has changed.
    """
    batches = "\n".join(f"{batch.digest} {batch.arrived.isoformat()}" for batch in workspace.landing.batches(as_of))
    settings = workspace.params.model_dump_json()
    return {"landed": sha256(batches.encode()).hexdigest(), "settings": sha256(settings.encode()).hexdigest()}


def rows_to_wait_for(workspace: Workspace, *, as_of: pd.Timestamp, by_person: bool) -> RowsToWaitFor | None:
    """What a retraining as of a date waits for, which a person asked for or a check decided; None if for nothing.

    The date is when enough of the rows that have landed will be due, or of those that come at the rate of the newest.

    Raises:
        BadInputError: No rows had landed by then.
    """
    table = read_times_as_of(workspace, as_of=as_of)
    found = load_champion(workspace)
    ripe = mature(table)
    if not len(table):
        raise BadInputError(f"no rows had landed by {iso(as_of)}; land some with `retrim ingest FILE`")
    fresh = ripe
    if found is not None:
        fresh = ripe[ripe["_event"] > (found.predictor.used_until if by_person else found.predictor.judged_until)]
    # Version 1 also needs rows to train on: as many again as those that judge, three times over.
    needed = workspace.params.gate.min_rows if found is not None else workspace.params.split.judge_rows * 4
    missing, reason = needed - len(fresh), f"{len(fresh)} mature rows that no model has seen, {needed} needed"
    if missing <= 0 and found is None:
        missing, reason = _too_few_to_train(workspace, ripe)
    if missing <= 0:
        return None
    until = enough_at(table["_event"], table["_due"], table["_matured"], missing=missing, as_of=as_of)
    when = "it is unknown when there will be enough" if until is None else f"enough by {iso(until)}"
    reason = f"{reason}; {when}, tried again when rows, labels or settings change"
    silent = overdue_labels(table, workspace.params.data, as_of=as_of)
    if silent:
        reason = f"{reason}; {silent} labels are overdue, land them: retrim ingest FILE --labels"
    return RowsToWaitFor(reason, until, missing, what_is_known(workspace, as_of=as_of))


def _too_few_to_train(workspace: Workspace, ripe: pd.DataFrame) -> tuple[int, str]:
    """Rows that are missing for a first version although there are many: a long horizon leaves few to fit on."""
    event, due, params = ripe["_event"], ripe["_due"], workspace.params
    try:
        cut_first(event, due, params.split, params.tune, params.backtest)
    except ValueError as error:
        missing = max(rows_missing(event, due, params.split, params.tune, params.backtest), 1)
        return missing, f"of {len(ripe)} mature rows, too few come before the holdout rows to train on ({error})"
    return 0, ""


def evidence_of(row: DecisionRow) -> DecisionEvidence:
    """What the store keeps of a decision, whoever took it."""
    kinds: dict[str, type[DecisionEvidence]] = {
        SETTLEMENT: HoldAnswer,
        REFIT: AskedRefit,
        PERSON: AskedRun,
        PAUSE: PauseChange,
        MUTE: AcknowledgedKind,
    }
    return from_record(kinds.get(row.source, CheckRecord), row.record)


def as_check(row: DecisionRow) -> StoredCheck:
    """A row of the store as the check that it holds."""
    return StoredCheck.of(row)


def checks_in(decisions: Iterable[DecisionRow]) -> list[StoredCheck]:
    """The checks among decisions, in their order."""
    return [as_check(row) for row in decisions if row.source == CHECK]


def checks_of(workspace: Workspace) -> list[StoredCheck]:
    """Every check of the model, oldest first."""
    return checks_in(workspace.store.decisions(workspace.model, source=CHECK))


def named_suspects(workspace: Workspace, *, now: pd.Timestamp | None = None) -> dict[str, str]:
    """What is suspicious about batches, by batch, as the newest checks named them while the loss was too high.

    Args:
        now: The newest as-of date of a check; None: any.
    """
    until = None if now is None else iso(now)
    rows = workspace.store.decisions(workspace.model, source=CHECK, newest=LOOKED_BACK, until=until)
    checks = [as_check(row).record for row in rows]
    return {
        suspect.batch: suspect.text
        for check in checks
        if check.comparison is not None and (check.comparison.above_expected or check.comparison.worse_than is not None)
        for suspect in check.suspects
    }


def newest_check(workspace: Workspace) -> StoredCheck | None:
    """The newest check; None before the first."""
    rows = workspace.store.decisions(workspace.model, source=CHECK, newest=1)
    return as_check(rows[-1]) if rows else None


def past_of_store(
    workspace: Workspace, checks: Sequence[StoredCheck], decided: Sequence[DecisionRow] | None = None
) -> CheckHistory:
    """What went before a check.

    Args:
        decided: All decisions of the model, oldest first; None: they are read.
    """
    rows = workspace.store.decisions(workspace.model) if decided is None else decided
    decisions = {row.id: row for row in rows}
    runs = [row for row in workspace.store.runs(workspace.model) if not _is_sequel(row)]
    known = what_is_known(workspace) if any(row.state == "deferred" for row in runs) else {}
    return CheckHistory(
        runs=[_run(row, decisions, known) for row in runs],
        checks=[past_check(check.earlier) for check in checks],
        asked=[pd.Timestamp(row.as_of) for row in decisions.values() if row.source == PERSON],
        settled=[
            Acknowledgement(pd.Timestamp(row.as_of), from_record(HoldAnswer, row.record).rules)
            for row in decisions.values()
            if row.source == SETTLEMENT
        ],
    )


def month_spent(workspace: Workspace, *, now: pd.Timestamp) -> MonthSpent | None:
    """What the retrainings of this calendar month cost, by the moments that they are about; None where nobody says."""
    money, budget = workspace.params.gain.money, workspace.params.triggers.budget
    if money is None or budget is None or budget.money is None:
        return None
    month = f"{now:%Y-%m}"
    return MonthSpent(month, len(runs_paid(workspace, month)), money, budget.money)


def runs_paid(workspace: Workspace, month: str) -> list[RunRow]:
    """The retrainings of a month that were paid for: not those that were deferred, nor a recipe fitted once more."""
    runs = workspace.store.runs(workspace.model)
    return [run for run in runs if run.as_of.startswith(month) and run.state != "deferred" and not _is_sequel(run)]


def new_rows(workspace: Workspace, table: pd.DataFrame) -> tuple[int, int] | None:
    """Rows that have matured since the newest refusal, and those that judged it; None where nothing was refused."""
    refused = [run for run in workspace.store.runs(workspace.model, state="refused") if run.mode != FINAL]
    version = None if not refused else workspace.store.version(workspace.model, refused[-1].made)
    if version is None:
        return None
    since = pd.Timestamp(refused[-1].answered or refused[-1].as_of)
    return int((table["_matured"] > since).sum()), version.judged.rows


def waiting_rules(
    workspace: Workspace, checks: Sequence[StoredCheck], decided: Sequence[DecisionRow] | None = None
) -> tuple[str, ...]:
    """Rules whose alarm waits for a person now: what the newest check held, if no person has answered since."""
    past = past_of_store(workspace, checks, decided)
    return summarise_checks(past, champion=None, drifted=None).held


def rolled_back(
    workspace: Workspace, decisions: Sequence[DecisionRow], table: pd.DataFrame | None
) -> RolledBack | None:
    """The rollback that made live what is live, while no person has said anything since; else None.

    Args:
        table: As assembled now; None to go by what the newest check has counted.
    """
    releases = workspace.store.releases(workspace.model)
    if not releases or releases[-1].action not in ROLLBACKS:
        return None
    newest = releases[-1]
    if any(row.source in (PERSON, SETTLEMENT) and row.as_of > newest.as_of for row in decisions):
        return None
    at = pd.Timestamp(newest.as_of)
    rows = _counted(decisions, at) if table is None else int((table["_matured"] > at).sum())
    return RolledBack(newest.version, newest.previous, at, rows, workspace.params.gate.min_rows)


def _counted(decisions: Sequence[DecisionRow], at: pd.Timestamp) -> int:
    """Rows that the newest check found matured since the rollback at this moment; 0 where none was made since."""
    kept = (as_check(row).record.rolled_back for row in reversed(decisions) if row.source == CHECK)
    return next((each.rows for each in kept if each is not None and each.at == at), 0)


def is_held(workspace: Workspace, decisions: Sequence[DecisionRow]) -> bool:
    """Whether something waits for a person, and nobody answered.

    The newest check was held, or left an alarm to one; or a rollback holds all that would start by itself.
    """
    rollback = rolled_back(workspace, decisions, None)
    if rollback is not None and rollback.holds:
        return True
    checks = [row for row in decisions if row.source == CHECK]
    if not checks:
        return False
    newest = checks[-1]
    answered = any(row.source in (PERSON, SETTLEMENT) and row.as_of >= newest.as_of for row in decisions)
    return not answered and (newest.outcome == "held" or bool(waiting_rules(workspace, [as_check(newest)], decisions)))


def held_since(workspace: Workspace) -> str:
    """Since when decisions are held that nobody has answered, in words; the newest check is held."""
    first = ""
    for row in reversed(workspace.store.decisions(workspace.model)):
        if row.source in (PERSON, SETTLEMENT) or (row.source == CHECK and row.outcome != "held"):
            break
        if row.source == CHECK:
            first = row.as_of
    return f"since {first[:16].replace('T', ' ')}"


def past_check(record: CheckRecord | EarlierCheck) -> PastCheck:
    """What later checks go by. One that looked at drift has findings, whether or not any is over its threshold."""
    return PastCheck(
        as_of=record.as_of,
        champion=record.champion,
        drifted=record.drifted if record.findings else None,
        held=record.held,
        settled=record.settled,
        balance=record.accumulated_gain.balance,
        retraining_cost=record.retraining_cost,
    )


def _is_sequel(row: RunRow) -> bool:
    """Whether a run that is over only fitted a promoted recipe once more: no rule asked for it, and none counts it."""
    return bool(row.mode == FINAL and row.state not in UNFINISHED)


def _run(row: RunRow, decisions: dict[str, DecisionRow], known: dict[str, str]) -> PastRun:
    asked = decisions.get(row.decision)
    rules = () if asked is None else from_record(StartedBy, asked.record).fired
    state = "restored" if row.detail.restored is not None else row.state
    until, changed = None, False
    if row.state == "deferred":
        until, changed = row.detail.until, row.detail.known != known
    return PastRun(
        row.id,
        pd.Timestamp(row.as_of),
        state,
        rules,
        None if until is None else pd.Timestamp(until),
        changed,
        None if row.answered is None else pd.Timestamp(row.answered),
    )


def row_counts(workspace: Workspace, table: AsOfTable, champion: Stored | None) -> RowCounts:
    """What checks have done with the rows of a table so far.

    Args:
        champion: The live version; None before the first.
    """
    used = np.zeros(len(table), dtype=bool) if champion is None else used_by(workspace, table, champion)
    return count_rows(table.members, workspace.store.counted_rows(workspace.model), used)


def view_of(data: DataParams) -> TableView:
    """What decides, beside the files, which rows are in the table and when they are mature: kept with each check."""
    return TableView(data.rows, data.label_horizon)


def used_by(workspace: Workspace, table: AsOfTable, version: Stored) -> np.ndarray:
    """The rows that a version was made or judged with, shape (rows,).

    Of an imported version nobody here knows that: then it is those that were mature when it came, and all with an
    event no later than the newest one that it was judged on.
    """
    noted = workspace.store.used_rows(workspace.model, version.version)
    if noted is not None:
        return table.members.table_rows(table.members.numbering.unpack(noted.items()))
    made = workspace.store.version(workspace.model, version.version)
    assert made is not None, version.version
    times = table.times
    used = (times["_matured"] <= pd.Timestamp(made.as_of)) | (times["_event"] <= version.predictor.judged_until)
    return np.asarray(used)


def used_rows(paths: Paths, data: DataParams) -> dict[str, bytes]:
    """The landed rows behind the rows of a run's table, by batch: a bit a row; batches of labels have none."""
    wanted = np.sort(hash_keys(read_parquet(paths.table, columns=["_key"])["_key"]))
    found = {}
    for path in landed_paths(paths.raw):
        file = facts_of(path)
        used = np.zeros(0, dtype=bool)
        if file.kind == "rows":
            hashed = hash_keys(_table_keys(file, data))
            places = np.minimum(np.searchsorted(wanted, hashed), max(len(wanted) - 1, 0))
            used = wanted[places] == hashed if len(wanted) else np.zeros(len(hashed), dtype=bool)
        found[file.batch] = pack(used)
    return found


def _table_keys(file: BatchFile, data: DataParams) -> pd.Series:
    """The key of the table's row that each row of a landed file is in."""
    grain = data.rows.resample
    if grain is None:
        return read_column([file.path], "_key")
    rows, _ = open_landed([file], data, {}, root=file.path.parent)
    landed = rows.narrow(list(dict.fromkeys([*grain.by, data.time])))
    keys = row_keys(landed.assign(**{data.time: landed[data.time].dt.floor(grain.every)}), data.row_key, "")
    return keys.fillna("")


LOOKED_BACK = 50  # checks: a version may live through thousands
REMINDED = 10  # checks on hold between two reminders


@dataclass(frozen=True)
class StopCounts:
    """How often each guard stopped a run since the live version was released, in at most the newest 50 checks.

    Args:
        checks: Checks that are counted.
        since: As-of date of the first of them.
        guards: Number of stopped runs, by guard.
        refused: Runs that the gate refused.
    """

    checks: int
    since: Moment
    guards: dict[str, int]
    refused: int


def stopped_since(workspace: Workspace, checks: Sequence[StoredCheck]) -> StopCounts | None:
    """How often each guard stopped a run; None before the first check."""
    if not checks:
        return None
    releases = [row for row in workspace.store.releases(workspace.model) if row.as_of <= checks[-1].as_of]
    since = releases[-1].as_of if releases else ""
    newest = [row for row in checks if row.as_of > since][-LOOKED_BACK:]
    if not newest:
        return None
    started = {row.id for row in newest}
    refused = workspace.store.runs(workspace.model, state="refused")
    return StopCounts(
        checks=len(newest),
        since=newest[0].record.as_of,
        guards=dict(Counter(stop for check in newest if (stop := check.record.stopped) is not None)),
        refused=sum(run.decision in started for run in refused),
    )


def remind_of_hold(workspace: Workspace, record: CheckRecord, reason: str, *, now: pd.Timestamp) -> None:
    """Tells a person of a hold when it begins, and again at every tenth check that it stops."""
    if record.stopped != "hold":
        return
    count = 0
    for row in reversed(workspace.store.decisions(workspace.model, source=CHECK)):
        if as_check(row).record.stopped != "hold":
            break
        count += 1
    if count % REMINDED == 1:
        record_alert(workspace, AlertKind.ON_HOLD, f"check {count} on hold after refusals: {reason}", now=now)


def refitted(workspace: Workspace, predictor: Predictor) -> Recipe:
    """The champion's recipe as today's settings refit it: in a probe, and in a run in the mode `refit`."""
    params = workspace.params
    recipe = replace(predictor.recipe, loss=params.judge.loss, reweight=params.fairness.reweights)
    return replace(recipe, balance=params.train.balance)


def recipe_digest(workspace: Workspace, predictor: Predictor) -> str:
    """Digest of all that makes a refit what it is but its rows. Evidence counts for the one it was gathered with."""
    params = workspace.params
    made = {
        "recipe": to_record(refitted(workspace, predictor)),
        "data": params.data.model_dump(mode="json"),
        "prepare": params.prepare.model_dump(mode="json"),
        "fairness": params.fairness.model_dump(mode="json"),
        "sliding_rows": params.split.sliding_rows,
    }
    return sha256(to_json(made)).hexdigest()


def shown_before(
    workspace: Workspace, version: int, digest: str, *, as_of: pd.Timestamp | None = None
) -> list[ShownEvidence]:
    """What the newest checks in a row on this champion have shown of such refits, oldest first.

    Args:
        as_of: Checks up to this moment; None: all.
    """
    found: list[ShownEvidence] = []
    for row in reversed(workspace.store.decisions(workspace.model, source=CHECK)):
        if as_of is not None and pd.Timestamp(row.as_of) > as_of:
            continue
        record = as_check(row).earlier
        if record.champion not in (None, version):  # None: dated before an earlier one, and found nothing
            break
        if record.shown is not None and record.shown.of == digest:
            found.append(record.shown.evidence)
    return found[::-1]


def sized(
    workspace: Workspace,
    unseen: AsOfTable,
    shown: Sequence[ShownEvidence],
    *,
    tries: int,
    judged: Sequence[EarlierVerdict],
    eased: bool,
    mature: int,
) -> Size:
    """The newest rows that judge a refit."""
    params = workspace.params
    most = params.split.judge_rows
    ceiling = unseen.tail(most)
    if not len(ceiling) or not shown:
        return Size(most)
    begin = ceiling.times["_event"].iloc[0]
    return size_for(
        shown,
        [each.before(begin) for each in shown],
        params.gate,
        tries=tries,
        uses=uses(judged, ceiling.times["_event"]),
        eased=eased,
        block_rows=params.judge.block_rows,
        least=_least(workspace, ceiling),
        most=most,
        there=mature // KEPT_BACK,
    )


def size_of_run(
    workspace: Workspace,
    champion: Predictor,
    life: Sequence[ShownEvidence],
    judged: Sequence[EarlierVerdict],
    *,
    as_of: pd.Timestamp,
    mode: RunMode,
    changed: pd.Timestamp | None,
    previous_champions: int,
    eased: bool,
) -> Size:
    """The newest rows that judge a run."""
    ripe, params = read_as_of(workspace, as_of=as_of).mature(), workspace.params
    lengths = WindowLengths(params.split.sliding_rows).since(changed, ripe.times["_event"], least=FEWEST_RECENT)
    windows = lengths.competing(params.train.windows, len(ripe))
    recipes = 1 if mode == "refit" else len(params.train.recipes)
    return sized(
        workspace,
        ripe.only(ripe.times["_event"] > champion.used_until),
        life,
        tries=len(windows) * recipes + min(previous_champions, params.previous_champions.judged),
        judged=judged,
        eased=eased,
        mature=len(ripe),
    )


def _least(workspace: Workspace, ceiling: AsOfTable) -> int:
    """Rows that judge at least: all, where limits by group were set for that many."""
    params = workspace.params
    most, least = params.split.judge_rows, params.gate.min_rows
    if params.fairness.groups and params.fairness.limits():
        return most
    if params.data.task == "binary":
        return rows_holding(POSITIVES, ceiling.times[params.data.target], least=least)
    return least
