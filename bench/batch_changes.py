"""What is done to real batches for verdicts.py: twelve ways to break one, and eleven real shifts."""

from collections.abc import Callable

import numpy as np
import pandas as pd

from retrim.table.data import DataParams

BOUNDS: dict[str, dict[str, tuple[float | None, float | None]]] = {}
Change = Callable[[pd.DataFrame, pd.DataFrame, DataParams, np.random.Generator], pd.DataFrame | None]


def numbers(data: DataParams, rows: pd.DataFrame) -> list[str]:
    """Features that are numbers and vary, the ones a unit can be mistaken in."""
    kinds = data.features
    return [n for n, k in kinds.items() if k in ("number", "integer") and rows[n].nunique() > 5 and n != "hour"]


def measures(data: DataParams, before: pd.DataFrame) -> list[str]:
    """Numbers that are measured or counted, not codes: more than 20 values, none of them in a fifth of the rows."""
    return [
        n
        for n in numbers(data, before)
        if before[n].nunique() > 20 and before[n].value_counts(normalize=True).iloc[0] < 0.2
    ]


def physical(values: pd.Series, name: str, data: DataParams, before: pd.DataFrame) -> pd.Series:
    """Values as they could come: whole where the column is, and within the bounds of the contract."""
    low, high = BOUNDS[data.model].get(name, (None, None))
    clipped = values.clip(low, high)
    return clipped.round() if data.columns[name].type == "integer" else clipped


def shift(change: Callable[[pd.Series], pd.Series]) -> Change:
    """A shift of one measured column, and of those that go with it (felt temperature with temperature)."""

    def made(rows: pd.DataFrame, before: pd.DataFrame, data: DataParams, draw: np.random.Generator) -> pd.DataFrame:
        names = measures(data, before)
        name = str(draw.choice(names))
        tied = before[names].astype("float64").corr("spearman")[name].abs()
        moved = [other for other in names if tied[other] > 0.9]
        return rows.assign(**{n: physical(change(rows[n].astype("float64")), n, data, before) for n in moved})

    return made


def categories(data: DataParams) -> list[str]:
    return [name for name, kind in data.features.items() if kind == "category"]


def on_number(change: Callable[[pd.Series, np.random.Generator], pd.Series]) -> Change:
    def made(rows: pd.DataFrame, before: pd.DataFrame, data: DataParams, draw: np.random.Generator) -> pd.DataFrame:
        name = str(draw.choice(numbers(data, rows)))
        values = rows[name].astype("float64")
        return rows.assign(**{name: change(values, draw)})

    return made


def fahrenheit(
    rows: pd.DataFrame, before: pd.DataFrame, data: DataParams, draw: np.random.Generator
) -> pd.DataFrame | None:
    """In a column whose values could be degrees."""
    names = [n for n in numbers(data, rows) if before[n].quantile(0.02) >= -60 and before[n].quantile(0.98) <= 60]
    names = [n for n in names if data.columns[n].type == "number"]
    if not names:
        return None
    name = str(draw.choice(names))
    return rows.assign(**{name: rows[name] * 1.8 + 32})


def codes(rows: pd.DataFrame, before: pd.DataFrame, data: DataParams, draw: np.random.Generator) -> pd.DataFrame | None:
    names = categories(data)
    if not names:
        return None
    name = str(draw.choice(names))
    found = pd.factorize(rows[name])[0]
    return rows.assign(**{name: pd.Series([f"c{code}" for code in found], index=rows.index, dtype="str")})


def capitals(
    rows: pd.DataFrame, before: pd.DataFrame, data: DataParams, draw: np.random.Generator
) -> pd.DataFrame | None:
    names = [n for n in categories(data) if (rows[n].astype("str").str.upper() != rows[n].astype("str")).mean() > 0.3]
    if not names:
        return None
    name = str(draw.choice(names))
    return rows.assign(**{name: rows[name].str.upper() + " "})


def swap(rows: pd.DataFrame, before: pd.DataFrame, data: DataParams, draw: np.random.Generator) -> pd.DataFrame | None:
    names = numbers(data, rows)
    pairs = [(a, b) for a in names for b in names if a < b and far(before[a], before[b])]
    if not pairs:
        return None
    one, other = pairs[int(draw.integers(len(pairs)))]
    return rows.assign(**{one: rows[other].astype("float64"), other: rows[one].astype("float64")})


def far(one: pd.Series, other: pd.Series) -> bool:
    """Whether a swap of the two would be seen by anybody who looks at their middles."""
    a, b = one.astype("float64"), other.astype("float64")
    return bool(abs(a.median() - b.median()) > 1.5 * max(a.std(), b.std()))


def constant(rows: pd.DataFrame, before: pd.DataFrame, data: DataParams, draw: np.random.Generator) -> pd.DataFrame:
    name = str(draw.choice(numbers(data, rows)))
    return rows.assign(**{name: rows[name].iloc[0]})


def missing(rows: pd.DataFrame, before: pd.DataFrame, data: DataParams, draw: np.random.Generator) -> pd.DataFrame:
    name = str(draw.choice(list(data.features)))
    return rows.assign(**{name: rows[name].mask(np.ones(len(rows), dtype=bool))})


def cut(rows: pd.DataFrame, before: pd.DataFrame, data: DataParams, draw: np.random.Generator) -> pd.DataFrame:
    return rows.iloc[: max(len(rows) // 10, 5)]


def doubled(rows: pd.DataFrame, before: pd.DataFrame, data: DataParams, draw: np.random.Generator) -> pd.DataFrame:
    return pd.concat([rows, rows.iloc[: len(rows) // 2]])


def resent(rows: pd.DataFrame, before: pd.DataFrame, data: DataParams, draw: np.random.Generator) -> pd.DataFrame:
    old = before.iloc[-2 * len(rows) : -len(rows)] if len(before) >= 2 * len(rows) else before.iloc[-len(rows) :]
    times = np.sort(draw.choice(rows[data.time].to_numpy(), len(old)))
    return old.assign(**{data.time: pd.DatetimeIndex(times, tz="UTC")})


def sentinel(values: pd.Series, draw: np.random.Generator) -> pd.Series:
    return values.mask(draw.random(len(values)) < 0.3, -999.0)


BROKEN: dict[str, Change] = {
    "x 1000": on_number(lambda v, _: v * 1000),
    "/ 100": on_number(lambda v, _: v / 100),
    "F for C": fahrenheit,
    "other sign": on_number(lambda v, _: -v),
    "30% are -999": on_number(sentinel),
    "column constant": constant,
    "column missing": missing,
    "two columns swapped": swap,
    "codes for names": codes,
    "other spelling": capitals,
    "cut short": cut,
    "sent before": resent,
}


def grow(rows: pd.DataFrame, before: pd.DataFrame, data: DataParams, draw: np.random.Generator) -> pd.DataFrame:
    names = measures(data, before)
    sds = {n: float(before[n].astype("float64").std()) for n in names}
    return rows.assign(**{n: physical(rows[n].astype("float64") + 0.5 * sds[n], n, data, before) for n in names})


def subgroup(rows: pd.DataFrame, before: pd.DataFrame, data: DataParams, draw: np.random.Generator) -> pd.DataFrame:
    name = str(draw.choice(numbers(data, rows)))
    return rows[rows[name] >= rows[name].median()]


def new_category(
    rows: pd.DataFrame, before: pd.DataFrame, data: DataParams, draw: np.random.Generator
) -> pd.DataFrame | None:
    names = categories(data)
    if not names:
        return None
    name = str(draw.choice(names))
    return rows.assign(**{name: rows[name].astype("str").mask(draw.random(len(rows)) < 0.1, "newcomer")})


def category_gone(
    rows: pd.DataFrame, before: pd.DataFrame, data: DataParams, draw: np.random.Generator
) -> pd.DataFrame | None:
    names = [name for name in categories(data) if rows[name].nunique() > 2]
    if not names:
        return None
    name = str(draw.choice(names))
    kept = rows[rows[name] != rows[name].value_counts().index[1]]
    return kept if len(kept) else None


def some_missing(rows: pd.DataFrame, before: pd.DataFrame, data: DataParams, draw: np.random.Generator) -> pd.DataFrame:
    name = str(draw.choice(list(data.features)))
    return rows.assign(**{name: rows[name].mask(draw.random(len(rows)) < 0.1)})


def target(rows: pd.DataFrame, before: pd.DataFrame, data: DataParams, draw: np.random.Generator) -> pd.DataFrame:
    if data.task == "regression":
        grown = physical(rows[data.target].astype("float64") * 1.5, data.target, data, before)
        return rows.assign(**{data.target: grown})
    return rows.assign(**{data.target: rows[data.target].sample(frac=1, random_state=1).to_numpy()})


def thinned(rows: pd.DataFrame, before: pd.DataFrame, data: DataParams, draw: np.random.Generator) -> pd.DataFrame:
    return rows.iloc[::2]


def busier(rows: pd.DataFrame, before: pd.DataFrame, data: DataParams, draw: np.random.Generator) -> pd.DataFrame:
    more = before.tail(2 * len(rows)).sample(len(rows) // 2, random_state=2)
    times = pd.DatetimeIndex(draw.choice(rows[data.time].to_numpy(), len(more)), tz="UTC")
    return pd.concat([rows, more.assign(**{data.time: times})])


REAL: dict[str, Change] = {
    "as it came": lambda rows, *_: rows,
    "mean + 1 sd": shift(lambda v: v + float(v.std())),
    "spread x 1.5": shift(lambda v: v.mean() + 1.5 * (v - v.mean())),
    "x 1.3": shift(lambda v: v * 1.3),
    "all numbers + 0.5 sd": grow,
    "only the upper half of a column": subgroup,
    "a new category, 10%": new_category,
    "a category gone": category_gone,
    "10% missing": some_missing,
    "target x 1.5, or unrelated": target,
    "half the rows": thinned,
    "half as many rows again": busier,
}
