"""What a replay shows: both sides a line, why they differ, and the sentence with the figures."""

from typing import Any

from retrim import screens
from retrim.core.replay.sides import Moment, Side
from retrim.ops.replay_report import Replayed

COLUMNS = ("as of", "history: loss", "account", "live", "decision", "replay: loss", "account", "live", "decision")


def show(done: Replayed) -> None:
    """The table, the differences, the sentence, and where to look next."""
    pairs = list(zip(done.moments, done.losses, strict=True))
    screens.show_table(COLUMNS, [_line(moment, means) for moment, means in pairs])
    for change in done.replay.changed:
        screens.OUT.print(f"  {change.sentence}", highlight=False, markup=False)
    for moment in done.moments:
        if moment.differs:
            screens.OUT.print(f"\n{_heading(moment)}", highlight=False, markup=False)
            for sentence in done.why(moment):
                screens.OUT.print(f"  {screens.harmless(sentence)}", highlight=False, markup=False)
    screens.OUT.print()
    screens.OUT.print(done.summary.sentence, highlight=False, markup=False)
    folder = done.replay.there.workspace.root.relative_to(done.replay.here.workspace.root)
    screens.OUT.print(f"the evidence of a line: cd {folder}; retrim why DATE", highlight=False, soft_wrap=True)


def _heading(moment: Moment) -> str:
    assert moment.history is not None
    assert moment.replay is not None
    return f"{screens.moment(moment.at)}: {moment.history.word} in history, {moment.replay.word} in the replay"


def _line(moment: Moment, means: tuple[float, float] | None) -> tuple[Any, ...]:
    mine, other = means if means is not None else (None, None)
    mark = " <" if moment.differs else ""
    left, right = _cells(moment.history, mine), _cells(moment.replay, other)
    return (screens.moment(moment.at), *left, *right[:-1], f"{right[-1]}{mark}")


def _cells(side: Side | None, loss: float | None) -> tuple[str, str, str, str]:
    if side is None:
        return "", "", "", ""
    account, price = side.record.get("account"), side.record.get("price")
    paid = "" if account is None else f"{account['balance']:.3g} of {price:.3g}"
    word = f"a person: {side.word}" if side.by_person else side.word
    return "" if loss is None else f"{loss:.4g}", paid, "" if side.live is None else str(side.live), word
