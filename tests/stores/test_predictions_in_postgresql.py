"""The copy of stored predictions in PostgreSQL: made by several at once, each row is there once, typed for queries."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest

from retrim.adapters import sql_table
from retrim.environment import Env
from retrim.lineage.prediction_copy import copy_predictions
from retrim.lineage.prediction_log import SCHEMA, probabilities_of
from tests.builders.desk import make_desk
from tests.builders.predicted import predicted_rows
from tests.builders.stores import PostgreSQL

pytestmark = [pytest.mark.e2e, pytest.mark.server, pytest.mark.slow]
START = pd.Timestamp("2024-01-01 22:30", tz="UTC")
ROWS, WRITERS = 2000, 3
ASKED = """
select count(*), count(distinct key), min(event_time at time zone 'UTC'), sum((probabilities::json ->> 'yes')::float)
from retrim_predictions where version = 1
"""


def test_writers_that_begin_at_once_leave_each_row_once(
    database_server: PostgreSQL, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sql_table, "AT_ONCE", 100)
    address = database_server.create("warehouse").replace("+psycopg", "")
    own = make_desk(tmp_path / "workspace").workspace
    workspace = replace(own, env=Env(predictions_table=address))
    table = predicted_rows([f"k{n}" for n in range(ROWS)], [1.0] * ROWS, event=START, at=START, batch="b")
    place = SCHEMA.get_field_index("probabilities")
    given = probabilities_of(pd.DataFrame([[0.25, 0.75]] * ROWS).to_numpy(), ("no", "yes"))
    workspace.predictions.add(1, pa.table(table).set_column(place, SCHEMA.field(place), given))
    with ThreadPoolExecutor(WRITERS) as pool:
        list(pool.map(copy_predictions, [workspace] * WRITERS))

    assert database_server.run(ASKED, database="warehouse") == "2000|2000|2024-01-01 22:30:00|1500"
    assert copy_predictions(workspace) == 0
