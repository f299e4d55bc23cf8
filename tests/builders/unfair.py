"""A room whose table has a column that no model may see, whose rows of one value are harmed by construction."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from retrim.stats.codec import from_parquet
from retrim.table.data import DataParams
from tests.builders.fairness import settings as fairness_settings
from tests.builders.run_directory import Room, make_run_directory, stream

VALUES = ("zzqx-one", "zzqx-two")
"""Values of the forbidden column, found nowhere else."""
GROUPS = [{"column": "sex", "cuts": [], "least_rows": 20}]


def unfair_stream(rows: int, *, measured: float = 0.0, judged: float = 0.0, seed: int = 5) -> pd.DataFrame:
    """A binary stream with the column `sex`, whose second value is harmed in one of two ways.

    Args:
        rows: How many.
        measured: `level` of its rows is recorded so much too low, though they end as well as others do.
        judged: Share of its positive rows whose label says no; `noise` tells the column, so a model can learn it.
        seed: Of the column.
    """
    made = stream(rows, task="binary")
    draw = np.random.default_rng(seed)
    second = draw.uniform(size=rows) < 0.5
    denied = second & (draw.uniform(size=rows) < judged)
    return made.assign(
        level=made["level"] - measured * second,
        noise=made["noise"] + (3.0 * second if judged else 0.0),
        outcome=made["outcome"].mask(denied, "no"),
        sex=pd.Series(np.where(second, VALUES[1], VALUES[0]), dtype="str"),
    )


@dataclass(frozen=True)
class UnfairRoom(Room):
    """A room with that column."""

    @property
    def data(self) -> DataParams:
        document = super().data.model_dump()
        document["columns"]["sex"] = {"type": "category", "role": "forbidden"}
        return DataParams.model_validate(document)

    def models(self) -> dict[str, Any]:
        """The standings in the verdict, by whose they are."""
        return {model["of"]: model for model in self.record("verdict/fairness.json")["models"]}

    def apart(self, of: str, measure: str) -> dict[str, Any]:
        """The difference in a measure between the two values."""
        found: dict[str, Any] = self.models()[of]["columns"][0]["differences"][measure]
        return found

    def failed(self) -> list[dict[str, Any]]:
        """Checks on fairness that refuse."""
        checks = self.record("verdict/verdict.json")["checks"]
        return [check for check in checks if not check["passed"] and check["name"].startswith(("fairness", "proxy"))]


def make_unfair_run_directory(
    root: Path, table: pd.DataFrame, *, champion: dict[str, bytes] | None = None, **changed: Any
) -> UnfairRoom:
    """A room as it is after validate; `changed` are values of the section fairness."""
    sections = {
        "judge": {"loss": "log_loss", "metrics": ["log_loss"]},
        "split": {"judge_rows": 400, "sliding_rows": 400},
        "train": {"windows": ["all"]},
        "backtest": {"origins": 2, "origin_rows": 300},
        "tune": {"trials": 2},
    }
    made = make_run_directory(root, table, task="binary", champion=champion, **sections)
    fairness = fairness_settings(**{"groups": GROUPS, **changed})
    return UnfairRoom(made.paths, made.task, {**made.settings, "fairness": fairness})


def holds(content: bytes, name: str) -> bool:
    """Whether a file holds a value of the column, or its name as one of a frame's."""
    if name.endswith(".parquet"):
        frame = from_parquet(content)
        text = frame.to_csv()
        return any(value in text for value in VALUES) or "sex" in frame.columns
    return any(value.encode() in content for value in VALUES)
