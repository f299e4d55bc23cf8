"""Classes of the shipped tables that come and go: a species that is new, one that vanishes, a year without a yes."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from retrim.files import load_yaml
from retrim.reading.shipped import DATASETS
from retrim.table.data import DataParams
from tests.builders.run_directory import Room, make_run_directory
from tests.builders.whole import assert_whole
from tests.builders.world import REPOSITORY

NEW, GONE = pd.Timestamp("1995-09-23", tz="UTC"), pd.Timestamp("1999-06-12", tz="UTC")
"""The first catch of the species PB, and the last of DS."""
QUICK: dict[str, dict[str, Any]] = {
    "split": {"judge_rows": 200, "sliding_rows": 500},
    "judge": {"loss": "log_loss", "metrics": ["log_loss", "accuracy", "f1"]},
    "tune": {"trials": 1, "max_rounds": 10},
    "backtest": {"origins": 1, "origin_rows": 100},
}


@dataclass(frozen=True, kw_only=True)
class OfShipped(Room):
    """A room of a shipped table, described as that ships."""

    described: DataParams

    @property
    def data(self) -> DataParams:
        return self.described


def table_of(name: str) -> tuple[pd.DataFrame, DataParams]:
    """The whole table in total order, as the stage validate writes it, and its description."""
    shipped = DATASETS[name]
    document = load_yaml((REPOSITORY / shipped.data).read_text(encoding="utf-8"))
    data = DataParams.model_validate(document["data"])
    rows = pd.read_csv(REPOSITORY / shipped.sample)
    words = [column for column, kind in data.features.items() if kind == "category"] + [data.target]
    rows = rows.astype(dict.fromkeys(words, "str"))
    event = pd.to_datetime(rows[shipped.time], utc=True)
    keys = pd.Series(range(len(rows))).astype("str").str.zfill(9)
    due = event + pd.Timedelta(data.label_horizon or "0D")
    return rows.assign(_key=keys, _event=event, _due=due).sort_values(["_event", "_key"], ignore_index=True), data


def judged_on(folder: Path, rows: pd.DataFrame, data: DataParams, champion: Room | None = None) -> Room:
    before = None if champion is None else champion.bundle
    mode = "search" if champion is None else "refit"
    made = make_run_directory(folder, rows.reset_index(drop=True), mode=mode, champion=before, task=data.task, **QUICK)
    return OfShipped(**vars(made), described=data).run()


class TestRodents:
    @pytest.fixture(scope="class")
    def table(self) -> tuple[pd.DataFrame, DataParams]:
        return table_of("rodents")

    def test_a_species_that_is_new_is_judged_and_known_to_the_next_version(
        self, table: tuple[pd.DataFrame, DataParams], tmp_path: Path
    ) -> None:
        rows, data = table
        before = int((rows["_event"] < NEW).sum())
        first = judged_on(tmp_path / "1", rows.iloc[before - 900 : before + 150], data)
        second = judged_on(tmp_path / "2", rows.iloc[before - 900 : before + 500], data, champion=first)
        unseen = pd.read_parquet(first.paths.verdict / "judged.parquet")["actual"] < 0

        assert_whole(first)
        assert_whole(second)
        assert unseen.any()
        assert "PB" not in first.record("features/view.json")["classes"]
        assert "PB" in second.record("features/view.json")["classes"]

    def test_a_species_that_vanishes_is_still_a_class_and_never_comes(
        self, table: tuple[pd.DataFrame, DataParams], tmp_path: Path
    ) -> None:
        rows, data = table
        after = int((rows["_event"] <= GONE).sum())
        run_directory = judged_on(tmp_path, rows.iloc[after - 1500 : after + 250], data)
        classes = run_directory.record("features/view.json")["classes"]
        judged = pd.read_parquet(run_directory.paths.verdict / "judged.parquet")["actual"]

        assert_whole(run_directory)
        assert "DS" in classes
        assert classes.index("DS") not in set(judged)


class TestBank:
    def test_a_span_without_a_yes_is_judged(self, tmp_path: Path) -> None:
        rows, data = table_of("bank")
        window = rows.iloc[:1500]
        quiet = window.index >= 800
        run_directory = judged_on(tmp_path, window[~quiet | (window[data.target] != data.positive)], data)
        judged = pd.read_parquet(run_directory.paths.verdict / "judged.parquet")["actual"]

        assert_whole(run_directory)
        assert set(judged) == {0}
