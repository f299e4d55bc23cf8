"""A canary in a server: it answers its rows, and is out at once where it fails too often or is too slow."""

from collections import deque
from collections.abc import Callable
from time import thread_time

import orjson

from retrim.decision.canary import TIMED, Canary, CanaryEnd, judge_failures, judge_seconds
from retrim.serving.request_rows import Asked
from retrim.serving.served import RowAnswer, ServedVersion

JUDGE_EVERY = 20
"""Answers between two looks at the times."""


def entities_of(asked: Asked, column: str) -> list[str | None]:
    """Whom each row of a request is about, spelled alike as text and as number; None where the row does not say."""
    rows = orjson.loads(asked[0])
    return [_as_text(row.get(column)) for row in (rows if isinstance(rows, list) else [rows])]


def _as_text(value: object) -> str | None:
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return str(value).strip() or None if isinstance(value, str | int | float) else None


class CanaryAnswers:
    """Answers the canary's rows; where it cannot, the live version's answer stands.

    Args:
        canary: Whose share.
        served: Its version.
        note: Told of each request whether the canary answered it.
    """

    def __init__(self, canary: Canary, served: ServedVersion, note: Callable[[bool], None]) -> None:
        self.canary, self.served, self._note = canary, served, note
        self.over: tuple[CanaryEnd, str] | None = None
        self._failed = self._answered = 0
        self._own: deque[float] = deque(maxlen=TIMED)
        self._live: deque[float] = deque(maxlen=TIMED)

    def answer(
        self, said: list[RowAnswer], seconds: float, asked: Asked, ask: Callable[[ServedVersion], list[RowAnswer]]
    ) -> dict[int, RowAnswer]:
        """What the canary says of its rows, by their numbers; empty where it has none of them, fails, or is over."""
        rows = [] if self.over else self._own_rows(said, asked)
        if not rows:
            return {}
        began = thread_time()
        try:
            own = ask(self.served)
        except Exception:  # noqa: BLE001  a model may fail in ways of its own; the live version has answered
            self._failed += 1
            self._note(False)
            why = judge_failures(self._failed, self._answered)
            self.over = None if why is None else ("errors", why)
            return {}
        self._own.append(thread_time() - began)
        self._live.append(seconds)
        self._answered += 1
        self._note(True)
        if self._answered % JUDGE_EVERY == 0:
            why = judge_seconds(self._own, self._live)
            self.over = None if why is None else ("slow", why)
        return {row: own[row] for row in rows}

    def _own_rows(self, said: list[RowAnswer], asked: Asked) -> list[int]:
        keys = [each.key for each in said]
        if self.canary.entity:
            entities = entities_of(asked, self.canary.entity)
            keys = [entity or key for entity, key in zip(entities, keys, strict=True)]
        return [row for row, key in enumerate(keys) if self.canary.holds(key)]
