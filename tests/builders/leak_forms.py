"""Tables with a leak of every form, and honest ones that look like it: with noise, with missing cells, with drift."""

from collections.abc import Callable

import numpy as np
import pandas as pd

from retrim.table.data import DataParams

ROWS = 3000
Form = Callable[["Made"], tuple[dict[str, np.ndarray], np.ndarray]]
"""Makes columns and the target of them."""
STATES = ("plain", "noise", "missing", "drift", "all")


class Made:
    """What a table is made of, in one of the `STATES`: each method does nothing where its state is not asked for."""

    def __init__(self, state: str, *, rows: int = ROWS, seed: int = 7) -> None:
        self.rng, self.state, self.rows = np.random.default_rng(seed), state, rows
        self.time = np.linspace(0, 1, rows)

    def has(self, state: str) -> bool:
        return self.state in (state, "all")

    def noise(self, values: np.ndarray, share: float = 0.05) -> np.ndarray:
        """With noise of a share of its spread: of values that do not drift."""
        return values + self.rng.normal(0, share * values.std(), len(values)) if self.has("noise") else values

    def flipped(self, classes: np.ndarray, share: float = 0.01) -> np.ndarray:
        """With another row's class in some rows."""
        other = self.rng.permutation(classes)
        return np.where(self.rng.random(len(classes)) < share, other, classes) if self.has("noise") else classes

    def gaps(self, values: np.ndarray) -> np.ndarray:
        """With missing cells that spread: none at first, six in ten at last."""
        gone = self.rng.random(len(values)) < 0.6 * self.time
        text = values.dtype.kind in "OUT"
        return pd.Series(values).mask(gone, None if text else np.nan).to_numpy() if self.has("missing") else values

    def drift(self) -> np.ndarray:
        """A factor that grows, with steps in it."""
        return 1 + self.time + (self.time > 0.6) if self.has("drift") else np.ones(self.rows)


def ratio(made: Made) -> tuple[dict[str, np.ndarray], np.ndarray]:
    volume, seconds = made.rng.gamma(3, 50, made.rows), made.rng.gamma(4, 20, made.rows)
    flow = made.noise(volume / seconds) * made.drift()
    return {"volume": made.gaps(volume), "seconds": made.gaps(seconds)}, flow


def product(made: Made) -> tuple[dict[str, np.ndarray], np.ndarray]:
    price, items = made.rng.gamma(3, 5, made.rows), made.rng.poisson(4, made.rows).astype("float64")
    return {"price": made.gaps(price), "items": made.gaps(items)}, made.noise(price * items) * made.drift()


def signed_product(made: Made) -> tuple[dict[str, np.ndarray], np.ndarray]:
    slope, run = made.rng.normal(size=(2, made.rows))
    return {"slope": made.gaps(slope), "run": made.gaps(run)}, made.noise(slope * run) * made.drift()


def total(made: Made) -> tuple[dict[str, np.ndarray], np.ndarray]:
    drift = made.drift()
    casual, registered = made.rng.poisson(20, made.rows), made.rng.poisson(90, made.rows)
    columns = {"casual": made.gaps(casual * drift), "registered": made.gaps(registered * drift)}
    return columns, made.noise(casual + registered) * drift


def difference(made: Made) -> tuple[dict[str, np.ndarray], np.ndarray]:
    begins = np.cumsum(made.rng.gamma(2, 10, made.rows)) * made.drift()
    lasts = made.rng.gamma(2, 5, made.rows)
    return {"begins": made.gaps(begins), "ends": made.gaps(begins + lasts)}, made.noise(lasts)


def after_event(made: Made) -> tuple[dict[str, np.ndarray], np.ndarray]:
    minutes = made.rng.gamma(3, 10, made.rows)
    return {"measured": made.gaps(made.noise(minutes) * 60 * made.drift())}, minutes * made.drift()


NUMBERS = {f.__name__: f for f in (ratio, product, signed_product, total, difference, after_event)}


def level_of_class(made: Made) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Forty levels of three classes, of which some die out and others come."""
    number = made.rng.integers(0, 30, made.rows) + (made.time * 10 if made.has("drift") else 0)
    level = number.astype("int64")
    kind = np.array(["paid", "late", "lost"])[level % 3]
    return {"code": made.gaps(np.array([f"c{one}" for one in level], dtype=object))}, made.flipped(kind)


def many_levels(made: Made) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Six hundred levels of a few rows each."""
    level = made.rng.integers(0, 600, made.rows)
    kind = np.where((level * 7919) % 10 < 4, "yes", "no")
    return {"code": made.gaps(np.array([f"c{one}" for one in level], dtype=object))}, made.flipped(kind)


def above_ratio(made: Made) -> tuple[dict[str, np.ndarray], np.ndarray]:
    debt, income = made.rng.gamma(3, 50, made.rows) * made.drift(), made.rng.gamma(4, 20, made.rows)
    kind = np.where(debt / income > 2 * made.drift(), "yes", "no")
    return {"debt": made.gaps(debt), "income": made.gaps(income)}, made.flipped(kind)


def goals(made: Made) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Counted after the final whistle; both sides' strengths drift."""
    home, away = made.rng.poisson(1.6 * made.drift()), made.rng.poisson(1.2 * made.drift())
    kind = np.where(home > away, "yes", "no")
    shots = {"home_shots": home * 3.0 + made.rng.poisson(5, made.rows), "away_shots": away * 3.0}
    return {"home_goals": made.gaps(home * 1.0), "away_goals": made.gaps(away * 1.0), **shots}, made.flipped(kind)


def collected(made: Made) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Two columns that a collector fills once a loan is lost, beside what is known."""
    lost = made.rng.random(made.rows) < 0.25
    fees = np.where(lost, made.rng.gamma(2, 10, made.rows) * made.drift(), 0.0)
    kind = made.flipped(np.where(lost, "yes", "no"))
    return {"fees": made.gaps(fees), "recovered": made.gaps(fees * made.rng.uniform(3, 5, made.rows))}, kind


CLASSES = {f.__name__: f for f in (level_of_class, many_levels, above_ratio, goals, collected)}


def steps(made: Made) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """A slow series and its last two values."""
    level = np.cumsum(made.rng.normal(size=made.rows + 2)) + 0.3 * made.rng.normal(size=made.rows + 2)
    return {"last": made.gaps(level[1:-1]), "last but one": made.gaps(level[:-2])}, level[2:]


def smooth(made: Made) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """A series whose slope wanders: two last values nearly tell the next."""
    level = np.cumsum(np.cumsum(made.rng.normal(size=made.rows + 2)))
    return {"last": made.gaps(level[1:-1]), "last but one": made.gaps(level[:-2])}, level[2:]


def counters(made: Made) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Three counters that grow with time."""
    grown = np.cumsum(made.rng.gamma(1, 1, (made.rows, 3)), axis=0) * made.drift()[:, None]
    return {"first": made.gaps(grown[:, 0]), "second": made.gaps(grown[:, 1])}, grown[:, 2]


def strong(made: Made) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Two columns that tell nine tenths of the variance."""
    a, b = made.rng.normal(size=(2, made.rows))
    return {"a": made.gaps(a), "b": made.gaps(b)}, (a * b + a + 0.45 * made.rng.normal(size=made.rows)) * made.drift()


def season(made: Made) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Hours of the day, and hardly more."""
    hour = np.arange(made.rows) % 24
    wave = (30 + 10 * np.sin(hour / 24 * 2 * np.pi)) * made.drift()
    return {"hour": hour.astype("float64")}, wave + 2 * made.rng.normal(size=made.rows)


def outliers(made: Made) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """One row far out, in the target and beside it."""
    rows = made.rng.normal(size=(2, made.rows))
    rows[:, made.rows // 2] = 1e9
    return {"a": made.gaps(rows[0])}, rows[1]


def sticky(made: Made) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """A state that lasts, and the state before."""
    state = np.where(np.cumsum(made.rng.random(made.rows + 1) < 0.01) % 2, "yes", "no").astype(object)
    return {"before": made.gaps(state[:-1])}, state[1:]


def likely(made: Made) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Levels that tell most of a class."""
    level = made.rng.integers(0, 30, made.rows)
    kind = np.where(made.rng.random(made.rows) < np.where(level % 3 == 0, 0.85, 0.1), "yes", "no")
    score = made.rng.normal(size=made.rows) + 0.6 * (kind == "yes") * made.drift()
    return {"code": made.gaps(np.array([f"c{one}" for one in level], dtype=object)), "score": score}, kind


def one_of_many(made: Made) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """A size that tells one of four classes from the others."""
    kind = made.rng.integers(0, 4, made.rows)
    size = np.where(kind == 0, 5.0, 0.0) * made.drift() + made.rng.normal(size=made.rows)
    return {"size": made.gaps(size)}, np.array(["ant", "bee", "cow", "dog"], dtype=object)[kind]


HONEST = {f.__name__: f for f in (steps, smooth, counters, strong, season, outliers, sticky, likely, one_of_many)}


def declared(columns: dict[str, np.ndarray], target: np.ndarray) -> DataParams:
    """What a table of these features is."""
    kinds = ["regression", "binary", "multiclass"]
    task = kinds[0] if pd.api.types.is_numeric_dtype(pd.Series(target)) else kinds[min(len(set(target)), 3) - 1]
    features = {name: "category" if values.dtype.kind in "OUT" else "number" for name, values in columns.items()}
    document = {
        "model": "made_up",
        "columns": {
            "at": {"type": "time", "role": "time"},
            **{name: {"type": kind, "role": "feature"} for name, kind in features.items()},
            "target": {"type": "number" if task == "regression" else "category", "role": "target"},
        },
        "task": task,
        "positive": "yes" if task == "binary" else None,
        "label_horizon": "0h",
        "batch_every": "7D",
        "suite": "expectations/made.json",
    }
    return DataParams.model_validate(document)


def frame_of(form: Form, made: Made) -> tuple[pd.DataFrame, DataParams]:
    """The table with honest columns beside those of the form, and what it is."""
    columns, target = form(made)
    numbers = pd.api.types.is_numeric_dtype(pd.Series(target))
    own = pd.Series(pd.factorize(target)[0] if not numbers else target).rank(pct=True).to_numpy()
    honest = {
        "hint": own + made.rng.normal(0, 0.5, made.rows),
        "where": made.rng.choice(["north", "south", "east"], made.rows),
        "other": made.rng.normal(size=made.rows),
    }
    data = declared(columns | honest, target)
    event = pd.Series(pd.date_range("2024-01-01", periods=made.rows, freq="1h", tz="UTC"))
    frame = pd.DataFrame({**columns, **honest, data.target: target, "_event": event, "_due": event})
    return frame, data
