"""A canary in a server: it answers its rows, and is out at once where it fails too often or is too slow."""

from collections import deque
from collections.abc import Mapping, Sequence
from time import thread_time
from typing import Any

from prometheus_client import Counter

from retrim.decision.canary import TIMED, Canary, CanaryEnd, judge_failures, judge_seconds
from retrim.serving.served import RowAnswer, ServedVersion

JUDGE_EVERY = 20
"""Answers between two looks at the times."""


def _as_text(value: object) -> str | None:
    """An entity, spelled alike as text and as number; None where a row does not say it."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return str(value).strip() or None if isinstance(value, str | int | float) else None


class CanaryAnswers:
    """Answers the canary's rows; where it cannot, the live version's answer stands.

    Requests are counted by their fate: answered or failed.
    """

    def __init__(self, canary: Canary, served: ServedVersion, counter: Counter) -> None:
        self.canary, self.served, self._counter = canary, served, counter
        self.over: tuple[CanaryEnd, str] | None = None
        self._failed = self._answered = 0
        self._own: deque[float] = deque(maxlen=TIMED)
        self._live: deque[float] = deque(maxlen=TIMED)

    def answer(
        self, rows: Sequence[Mapping[str, Any]], live: Sequence[RowAnswer], seconds: float, request: str
    ) -> dict[int, RowAnswer]:
        """What the canary says of its rows, by their numbers, ascending; none where it fails, or is over.

        Args:
            live: What the live version said of all rows.
            seconds: Of processor time that it took.
        """
        chosen = [] if self.over else [row for row, answer in enumerate(live) if self._holds(rows[row], answer.key)]
        if not chosen:
            return {}
        began = thread_time()
        try:
            answers = self.served.answer(rows, request)
        except Exception:  # noqa: BLE001  a model may fail in ways of its own; the live version has answered
            self._failed += 1
            self._counter.labels("failed").inc()
            why = judge_failures(self._failed, self._answered)
            self.over = None if why is None else ("errors", why)
            return {}
        self._own.append(thread_time() - began)
        self._live.append(seconds)
        self._answered += 1
        self._counter.labels("answered").inc()
        if self._answered % JUDGE_EVERY == 0:
            why = judge_seconds(self._own, self._live)
            self.over = None if why is None else ("slow", why)
        return {row: answers[row] for row in chosen}

    def _holds(self, row: Mapping[str, Any], key: str) -> bool:
        entity = self.canary.entity
        return self.canary.holds((_as_text(row.get(entity)) if entity else None) or key)
