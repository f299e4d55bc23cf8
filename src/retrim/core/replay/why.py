"""Why two sides decided otherwise: from their records, with the figures of both, and the settings that bear on it."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from retrim.core.replay.settings import ASKED, BEAR_ON, HOLD_BACK, MAKE, Change, bearing
from retrim.core.replay.sides import Moment, Side

UNKNOWN = "no setting that differs and no earlier decision accounts for it: settings or code were changed since then"

# What was said on either side, and what it comes from: settings, or what happened before.
Found = tuple[list[str], list[str]]


def explain(moment: Moment, changed: Sequence[Change]) -> tuple[str, ...]:
    """Sentences that say why the decisions of a moment differ; none where they do not.

    First what was said on either side, with its figures; then the settings that bear on it, and what had come before.

    Args:
        moment: Both sides.
        changed: All settings that differ.
    """
    history, replay = moment.history, moment.replay
    if history is None or replay is None or not moment.differs:
        return ()
    parts = [part(history, replay, changed) for part in (_rules, _held_back, _runs)]
    said = [sentence for each, _ in parts for sentence in each]
    causes = [sentence for _, each in parts for sentence in each] + _before(history, replay)
    return tuple(dict.fromkeys([*said, *(causes or [UNKNOWN])]))


def _rules(history: Side, replay: Side, changed: Sequence[Change]) -> Found:
    """What each rule said that answered otherwise, or was asked on one side only."""
    left, right = _said(history), _said(replay)
    said, causes = [], []
    for rule in dict.fromkeys([*left, *right]):
        mine, other = left.get(rule), right.get(rule)
        if mine is not None and other is not None:
            if mine["fires"] != other["fires"]:
                said.append(f"{rule}: history says {_answer(mine)}; the replay says {_answer(other)}")
                causes += _sentences(bearing(changed, BEAR_ON.get(rule, ("triggers.",))))
            continue
        only = mine or other
        assert only is not None
        said.append(f"{rule} was asked in {'history' if other is None else 'the replay'} only: {_answer(only)}")
        causes += _sentences(bearing(changed, ASKED))
    return said, causes


def _held_back(history: Side, replay: Side, changed: Sequence[Change]) -> Found:
    """What followed from the rules, where the outcomes differ although every rule answered alike."""
    if history.outcome == replay.outcome or _fired(history) != _fired(replay):
        return [], []
    said = [f"history says {history.outcome}: {history.reason}", f"the replay says {replay.outcome}: {replay.reason}"]
    return said, _sentences(bearing(changed, HOLD_BACK))


def _runs(history: Side, replay: Side, changed: Sequence[Change]) -> Found:
    """How the runs ended, where both sides started one."""
    if history.state is None or replay.state is None or history.state == replay.state:
        return [], []
    said = f"the run of history was {history.state}: {history.came}; that of the replay {replay.state}: {replay.came}"
    return [said], _sentences(bearing(changed, MAKE))


def _before(history: Side, replay: Side) -> list[str]:
    """What already differed when the moment came: the version that was live, and the account."""
    found = []
    left, right = history.record.get("champion"), replay.record.get("champion")
    if left != right:
        found.append(f"by then version {left or 'none'} was live in history, version {right or 'none'} in the replay")
    mine, other = (side.record.get("account_before") for side in (history, replay))
    if mine and other and (here := f"{mine['balance']:.4g}") != (there := f"{other['balance']:.4g}"):
        found.append(f"before it the account held {here} in history and {there} in the replay")
    return found


def _said(side: Side) -> Mapping[str, dict[str, Any]]:
    return {said["rule"]: said for said in side.record.get("said", ())}


def _fired(side: Side) -> dict[str, bool]:
    return {rule: bool(said["fires"]) for rule, said in _said(side).items()}


def _answer(said: Mapping[str, Any]) -> str:
    return f"{'yes' if said['fires'] else 'no'} ({said['text']})"


def _sentences(changed: Iterable[Change]) -> list[str]:
    return [change.sentence for change in changed]
