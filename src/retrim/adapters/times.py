"""Times in the store: what stages took, and up to when the due times of scheduled flows are done."""

from collections.abc import Mapping

import sqlalchemy as sa

from retrim.adapters.rows import Row, Rows
from retrim.adapters.schema import DUE_TIMES, STAGE_TIMES


class Times(Rows):
    """That part of the store."""

    def add_stage_times(self, run: Row, seconds: Mapping[str, float]) -> None:
        """Records what the stages of an attempt of a run took."""
        of_run = {"run": run.id, "attempt": run.attempt, "model": run.model, "mode": run.mode}
        for stage, took in seconds.items():
            self._insert(STAGE_TIMES, {**of_run, "stage": stage, "seconds": took})

    def stage_times(self, model: str, *, mode: str, stage: str) -> list[float]:
        """Seconds that a stage took in the runs of a model in a mode."""
        of_stage = (STAGE_TIMES.c.model == model) & (STAGE_TIMES.c.mode == mode) & (STAGE_TIMES.c.stage == stage)
        return [float(row.seconds) for row in self.all(sa.select(STAGE_TIMES.c.seconds).where(of_stage))]

    def done_until(self, model: str, flow: str) -> str | None:
        """Up to when all due times of a scheduled flow are done; None before its schedule first ran."""
        of_flow = (DUE_TIMES.c.model == model) & (DUE_TIMES.c.flow == flow)
        found = self.one(sa.select(DUE_TIMES.c.done_until).where(of_flow))
        return None if found is None else str(found.done_until)

    def mark_done(self, model: str, flow: str, *, until: str) -> bool:
        """Records that all due times of a scheduled flow are done up to a moment; False if that was known."""
        if self._insert(DUE_TIMES, {"model": model, "flow": flow, "done_until": until}):
            return True
        earlier = (DUE_TIMES.c.model == model) & (DUE_TIMES.c.flow == flow) & (DUE_TIMES.c.done_until < until)
        with self.begin() as connection:
            return bool(connection.execute(sa.update(DUE_TIMES).where(earlier).values(done_until=until)).rowcount)
