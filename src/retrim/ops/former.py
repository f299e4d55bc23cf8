"""Former champions of this house: scored at each check, and promoted again when a check decides so."""

from dataclasses import replace
from typing import Any

import pandas as pd

from retrim.adapters.store import Row
from retrim.core.bundle import Predictor
from retrim.core.former import Formers, judge_formers
from retrim.core.metrics import row_losses
from retrim.core.table import mature
from retrim.errors import RefusedError
from retrim.ops.champion import stored
from retrim.ops.group_checks import forbidden_in, group_checks
from retrim.ops.house import House
from retrim.ops.release import live, make_live


def score_formers(house: House, table: pd.DataFrame, champion: Predictor, version: int) -> Formers | None:
    """Former champions on the newest mature rows that neither they nor the live version have seen.

    Each is loaded from its stored bundle, whose hash is checked; one that was altered, or
    whose features the table no longer has, is left out, and so is one that uses a column that is forbidden by now.
    """
    params = house.params
    releases = house.store.releases(house.model)
    numbers = list(dict.fromkeys(row.version for row in reversed(releases) if row.version != version))
    if not params.former.most or not numbers:
        return None
    ripe = mature(table)
    judged = ripe[ripe["_event"] > champion.judged_until].iloc[-params.split.judge_rows :]
    losses, formers = {}, {}
    for number in numbers[: params.former.most]:
        try:
            former = stored(house, number).predictor
        except RefusedError:
            continue
        if forbidden_in(house, list(former.view.features)):
            continue
        if set(former.view.features) <= set(judged.columns) and former.judged_until <= champion.judged_until:
            formers[number] = former
            losses[number] = row_losses(params.judge.loss, former.view.actual(judged), former.predict(judged))
    own = row_losses(params.judge.loss, champion.view.actual(judged), champion.predict(judged))
    found = judge_formers(losses, own, params.gate, draws=params.judge.draws, block_rows=params.judge.block_rows)
    if found is None:
        return None
    return replace(found, verdict=found.verdict.with_checks(group_checks(house, formers[found.best], judged)))


def led_before(previous: Row | None, champion: int, version: int) -> bool:
    """Whether a former champion had less loss than the same live version at the check before."""
    if previous is None or previous.record["champion"] != champion or not previous.record.get("formers"):
        return False
    found = previous.record["formers"]
    return bool(found["losses"].get(str(version), float("inf")) < found["champion_loss"])


def checks_since_release(house: House, past: list[Row]) -> int | None:
    """Checks since something went live, the one that is made now counted; None before anything did."""
    now_live = live(house)
    return None if now_live is None else 1 + sum(row.as_of > now_live.since for row in past)


def restore(house: House, decision: str, *, now: pd.Timestamp) -> dict[str, Any]:
    """Carries out a decision to restore: the former champion goes live if what it was judged against still is."""
    row = house.store.decision(decision)
    assert row is not None, decision
    version, against = int(row.record["formers"]["best"]), row.record["champion"]
    now_live = live(house)
    if now_live is not None and now_live.version == version:
        return {"state": "restored", "version": version, "reason": row.reason, "run": None}
    if now_live is None or now_live.version != against:
        shown = "none" if now_live is None else now_live.version
        raise RefusedError(f"version {version} was judged against {against}, and by now {shown} is live; check again")
    make_live(house, version, action="restore", expected=against, reason=row.reason, now=now)
    return {"state": "restored", "version": version, "reason": row.reason, "run": None}
