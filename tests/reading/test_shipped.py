"""Shipped tables read as they are declared, and come in pieces that lose nothing."""

from pathlib import Path

import pandas as pd
import pytest

from retrim.reading.shipped import DATASETS, Shipped, batches
from retrim.reading.table import read_content
from retrim.settings import load_params
from retrim.table.data import DataParams
from retrim.yaml_files import load_yaml
from tests.builders.landed import read_table

ROOT = Path(__file__).resolve().parents[2]
EACH = pytest.mark.parametrize("shipped", DATASETS.values(), ids=list(DATASETS))
ROWS = {"bank": 45_211, "bike": 17_379, "rodents": 31_845}  # as their publishers count them


def declared(shipped: Shipped) -> DataParams:
    return DataParams.model_validate(load_yaml((ROOT / shipped.data).read_text(encoding="utf-8"))["data"])


@EACH
class TestEveryShippedTable:
    def test_reads_without_a_fault(self, shipped: Shipped) -> None:
        data = declared(shipped)
        reading = read_table(ROOT / shipped.sample, data, labels=False)

        assert reading.faults == ()
        assert reading.frame is not None
        assert len(reading.frame) == ROWS[data.model]

    @pytest.mark.slow
    def test_its_pieces_are_the_whole_in_order_of_time(self, shipped: Shipped) -> None:
        data = declared(shipped)
        whole = read_table(ROOT / shipped.sample, data, labels=False).frame
        pieces = list(shipped.pieces(ROOT, start=6, every="90D"))
        read = [read_content(piece.content, data, labels=False).frame for piece in pieces]

        pd.testing.assert_frame_equal(pd.concat([one for one in read if one is not None], ignore_index=True), whole)

    @pytest.mark.slow
    def test_no_piece_holds_a_row_from_after_it_came(self, shipped: Shipped) -> None:
        data = declared(shipped)
        for piece in shipped.pieces(ROOT, start=6, every="90D"):
            frame = read_content(piece.content, data, labels=False).frame

            assert frame is not None
            assert frame[data.time].max() < piece.arrives

    def test_its_settings_are_whole_and_name_its_suite(self, shipped: Shipped) -> None:
        params = load_params(ROOT / shipped.data)

        assert (ROOT / params.data.suite).is_file()
        assert DATASETS[params.data.model] is shipped

    def test_nothing_that_leaks_is_in_it(self, shipped: Shipped) -> None:
        assert {"casual", "registered", "duration", "season", "yr"}.isdisjoint(shipped.text(ROOT).columns)


def test_a_row_on_an_edge_belongs_to_the_later_span() -> None:
    days = ["2024-01-01", "2024-01-08", "2024-01-14T23:00", "2024-01-15", "2024-02-01"]
    events = pd.Series(pd.to_datetime(days, utc=True, format="ISO8601"))
    cut = batches(pd.DataFrame({"x": range(5)}), events, start=pd.Timestamp("2024-01-08", tz="UTC"), every="7D")

    assert [(f"{end:%m-%d}", rows["x"].tolist()) for end, rows in cut] == [
        ("01-08", [0]),
        ("01-15", [1, 2]),
        ("01-22", [3]),
        ("02-05", [4]),
    ]
