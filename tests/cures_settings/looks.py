"""What a look at a table finds, where it says what to set."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from retrim.profile.findings import findings
from retrim.profile.table import ProfiledTable
from retrim.profile.whole import profile_table
from tests.cures_settings.case import GONE, Asked, Case
from tests.cures_settings.functions import rows_of


def looked(**columns: Callable[[pd.DataFrame], Any]) -> Callable[[Asked], str]:
    """A look at rows with some columns set otherwise."""

    def ask(asked: Asked) -> str:
        rows = rows_of(asked, 2000).assign(**columns)
        table = ProfiledTable(
            data=asked.params.data,
            event=rows["at"],
            keys=rows["number"].astype("str"),
            column=lambda name: rows[name],
            timed=True,
            batches=np.arange(len(rows)) // 100,
            mature=len(rows),
            left_out={},
            unnamed=frozenset(),
        )
        look = profile_table(table, rows=20_000, seed=7, threads=1, champion=None, prepared=(), given=())
        return "; ".join(str(note) for note in findings(look))

    return ask


MAIL = {"type": "category", "role": "feature"}
LOOKS = (
    Case("set data.columns.{}.role to forbidden", {}, ({"data.columns.noise.role": "forbidden"},),
         looked(noise=lambda rows: 1.0)),
    Case("{}, or add it to reading.skip, so that no record contains it; this page shows none of its values",
         {"data.columns.mail": MAIL},
         ({"data.columns.mail.role": "forbidden"}, {"reading.skip": ["mail"], "data.columns.mail": GONE}),
         looked(mail=lambda rows: [f"person{number}@example.org" for number in range(len(rows))])),
)  # fmt: skip
