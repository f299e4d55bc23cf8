"""Files to start from: the tutorial's table, as another program would have saved it, and a model of one's own."""

from collections.abc import Callable
from importlib.resources import files
from pathlib import Path

import numpy as np
import pandas as pd

from retrim import templates
from retrim.errors import RefusedError
from retrim.files import write_file

START = pd.Timestamp("2024-11-24", tz="UTC")


def deliveries(rows: int = 2400) -> pd.DataFrame:
    """Orders with who ordered, what, how far, and how long it took; decimal commas, "NULL" for a missing cell."""
    rng = np.random.default_rng(1)
    at = pd.Series(pd.date_range(START, periods=rows, freq="1h"))
    km, items = rng.gamma(2, 2, rows).round(1), rng.poisson(3, rows) + 1
    weather = rng.choice(["dry", "rain", "storm"], rows, p=[0.7, 0.2, 0.1])
    rush = at.dt.hour.isin([12, 13, 18, 19, 20]).to_numpy()
    minutes = (
        10 + 3 * km + items + 4 * (weather == "rain") + 9 * (weather == "storm") + 6 * rush + rng.normal(0, 2, rows)
    )
    frame = pd.DataFrame(
        {
            "order id": np.arange(rows) + 1,
            "ordered at": at.dt.strftime("%d/%m/%Y %H:%M"),
            "email": [f"guest{number}@example.org" for number in rng.integers(0, 900, rows)],
            "km": [f"{value:.1f}".replace(".", ",") for value in km],
            "items": items,
            "weather": weather,
            "minutes": [f"{value:.1f}".replace(".", ",") for value in minutes],
        }
    )
    frame.loc[rng.random(rows) < 0.01, "km"] = "NULL"
    return frame


def csv(rows: int = 2400) -> bytes:
    """100 days of food deliveries, one an hour, cells separated by semicolons."""
    return deliveries(rows).to_csv(index=False, sep=";", lineterminator="\n").encode()


def own_model() -> bytes:
    """scikit-learn's boosting behind the protocol of custom models."""
    return (files(templates) / "own_model.py").read_bytes()


EXAMPLES: dict[str, tuple[str, Callable[[], bytes]]] = {
    "deliveries": ("deliveries.csv", csv),
    "own-model": ("models/my_model.py", own_model),
}
"""By name: where the file goes, and what is in it."""


def write_example(name: str, folder: Path) -> Path:
    """Writes a file to start from below a folder.

    Raises:
        RefusedError: A file of that name is there.
    """
    place, content = EXAMPLES[name]
    path = folder / place
    if path.exists():
        raise RefusedError(f"{path} exists already; move it away, or go on with it")
    path.parent.mkdir(parents=True, exist_ok=True)
    write_file(path, content())
    return path
