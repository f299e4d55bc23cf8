"""The table of docs/tutorial/own-table.md: 100 days of food deliveries, one an hour, as another program saved them."""

import numpy as np
import pandas as pd

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
    """The file, cells separated by semicolons."""
    return deliveries(rows).to_csv(index=False, sep=";", lineterminator="\n").encode()
