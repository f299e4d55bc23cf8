"""A canary in a server: it answers its rows, and is out at once where it fails too often or is too slow."""

from collections import deque
from collections.abc import Callable
from time import perf_counter

from retrim.decision.canary import TIMED, Canary, CanaryEnd, judge_failures, judge_seconds
from retrim.serving.served import Said, ServedVersion

JUDGE_EVERY = 50
"""Answers between two looks at the times."""


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

    def answer(self, said: list[Said], seconds: float, ask: Callable[[ServedVersion], list[Said]]) -> dict[int, Said]:
        """What the canary says of its rows, by their numbers; empty where it has none of them, fails, or is over.

        Args:
            said: What the live version says of all rows.
            seconds: That it took to say so.
            ask: Gets what a version says of all rows.
        """
        rows = [] if self.over else [row for row, each in enumerate(said) if self.canary.holds(each[0])]
        if not rows:
            return {}
        began = perf_counter()
        try:
            own = ask(self.served)
        except Exception:  # noqa: BLE001  a model may fail in ways of its own; the live version has answered
            self._failed += 1
            self._note(False)
            why = judge_failures(self._failed, self._answered)
            self.over = None if why is None else ("errors", why)
            return {}
        self._own.append(perf_counter() - began)
        self._live.append(seconds)
        self._answered += 1
        self._note(True)
        if self._answered % JUDGE_EVERY == 0:
            why = judge_seconds(self._own, self._live)
            self.over = None if why is None else ("slow", why)
        return {row: own[row] for row in rows}
