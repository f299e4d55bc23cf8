"""How many of the newest rows judge a refit, by what earlier checks have shown of it."""

from collections.abc import Sequence
from dataclasses import replace
from hashlib import sha256

import pandas as pd

from retrim.checking.history import CHECK
from retrim.decision.check_record import StoredCheck
from retrim.decision.previous_champions import COMPETING
from retrim.gate.losses import EarlierVerdict, uses
from retrim.gate.size import KEPT_BACK, Size, rows_holding, size_for
from retrim.gate.support import ShownEvidence
from retrim.landing.as_of_view import AsOfTable, read_as_of
from retrim.lineage.workspace import Workspace
from retrim.release.versions import newest_recipe
from retrim.stats.codec import to_json, to_record
from retrim.stats.windows import POSITIVES
from retrim.training.bundle import Predictor
from retrim.training.mode import Mode
from retrim.training.recipe import BASELINE, FEWEST_RECENT, Recipe, WindowLengths


def refitted(workspace: Workspace, predictor: Predictor) -> Recipe:
    """The champion's recipe as today's settings refit it: in a probe, and in a run in the mode `refit`.

    Of a baseline it is that of the newest model, which a retraining would bring back.
    """
    params, recipe = workspace.params, predictor.recipe
    if recipe.kind == BASELINE:
        recipe = newest_recipe(workspace) or recipe
    recipe = replace(recipe, loss=params.judge.loss, reweight=params.fairness.reweights)
    return replace(recipe, balance=params.train.class_balance)


def recipe_digest(workspace: Workspace, predictor: Predictor) -> str:
    """Digest of all that makes a refit what it is but its rows. Evidence counts for the one it was gathered with."""
    params = workspace.params
    facts = {
        "recipe": to_record(refitted(workspace, predictor)),
        "data": params.data.model_dump(mode="json"),
        "prepare": params.prepare.model_dump(mode="json"),
        "fairness": params.fairness.model_dump(mode="json"),
        "sliding_rows": params.split.sliding_rows,
    }
    return sha256(to_json(facts)).hexdigest()


def shown_before(
    workspace: Workspace, version: int, digest: str, *, as_of: pd.Timestamp | None = None
) -> list[ShownEvidence]:
    """What the newest checks in a row on this champion have shown of such refits, oldest first.

    Args:
        as_of: Checks up to this moment; None: all.
    """
    shown: list[ShownEvidence] = []
    for row in reversed(workspace.store.decisions(workspace.model, source=CHECK)):
        if as_of is not None and pd.Timestamp(row.as_of) > as_of:
            continue
        record = StoredCheck.of(row).earlier
        if record.champion not in (None, version):  # None: dated before an earlier one, and found nothing
            break
        if record.probe.losses is not None and record.probe.losses.of == digest:
            shown.append(record.probe.losses.evidence)
    return shown[::-1]


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
        [evidence.before(begin) for evidence in shown],
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
    mode: Mode,
    changed: pd.Timestamp | None,
    previous_champions: int,
    eased: bool,
) -> Size:
    """The newest rows that judge a run."""
    mature, params = read_as_of(workspace, as_of=as_of).mature(), workspace.params
    lengths = WindowLengths(params.split.sliding_rows).since(changed, mature.times["_event"], least=FEWEST_RECENT)
    windows = lengths.competing(params.train.windows, len(mature))
    recipes = 1 if mode == "refit" else len(params.train.recipes)
    return sized(
        workspace,
        mature.only(mature.times["_event"] > champion.used_until),
        life,
        tries=len(windows) * recipes + min(previous_champions, COMPETING),
        judged=judged,
        eased=eased,
        mature=len(mature),
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
