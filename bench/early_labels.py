"""Labels that came before they were due, with weights for the delay, against waiting until all are due.

    python bench/early_labels.py --cache FOLDER [--streams bookings bank]   # some minutes on one core

At dates of a history a model is made from what was known by then, and judged on the rows that came next, with the
labels that they got in the end. *waiting*: rows that are due and known, as retrim trains; *arrived*: every row whose
label has come; *inverse*: those, each with a weight of one over the share of answers like its own that have come at its
age (by class, or by third of a number's values, of rows that are due and known), at most `MOST`, rows left out that are
younger than nearly all answers of some kind; *soft*: due rows, those whose label has come, and those of
the others that are not past their horizon, as both classes, each with the chance that it is one, as the product has it
(`retrim.training.early`; binary alone). *half*: the same of every second row that is not due, as the product takes
them. *seen / unseen*: what *half* loses on rows whose label came early and that it was fitted on, over its loss on such
rows that it was not fitted on.

Bookings has its own delays and the horizon that `retrim init` measures; in *all columns* its features are those that
`init` leaves, the year and the day of the arrival among them. On the others a delay is laid: due as many rows later as
two windows of 50 hold, or six. *at due*: the positive, or the upper third, comes after a fifth of that on average, the
others when they are due. *spread*: the others come after three fifths on average.
"""

import argparse
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
from early_positives import simulated
from matrices import FIRST, WINDOWS
from streams import BOOKINGS_EVERY, RAW, Stream, load

from retrim.features.view import FeatureView
from retrim.profile.first_model import FIT, HORIZON_ROUNDS
from retrim.stats.metrics import row_losses
from retrim.table.data import DataParams
from retrim.training.early import class_chances, shares_left, soft_rows
from retrim.training.estimators import MODELS, Model

NAMES = ("bookings", "simulated", "bank", "rain", "bike", "chicago", "oil", "turbine", "rodents", "traffic")
ROWS, MOMENTS, FIRST_SHARE, LATE = 10_000, 5, 0.5, (2, 6)
EARLY, SPREAD, TIGHT = 0.2, 0.6, 3.0
MOST = 20.0  # weight of a row
HORIZON = pd.Timedelta("274D")  # of bookings


@dataclass(frozen=True)
class Past:
    """What a date knows, as numbers of the stream's rows before it; ages in days."""

    view: FeatureView
    matrix: np.ndarray
    actual: np.ndarray
    kinds: np.ndarray
    age: np.ndarray
    delay: np.ndarray
    due: np.ndarray

    @property
    def known(self) -> np.ndarray:
        return self.delay <= self.age


def laid(stream: Stream, windows: int, *, spread: bool, seed: int) -> tuple[pd.Series, pd.Series]:
    """When each row is due, and when its label comes."""
    n, rng = len(stream.table), np.random.default_rng(seed)
    late = round(windows * n * (1 - FIRST) / WINDOWS)
    event = stream.table["_event"]
    step = (event.iloc[-1] - event.iloc[0]) / n
    ahead = pd.concat([event, pd.Series(event.iloc[-1] + step * np.arange(1, late + 1))], ignore_index=True)
    early, other = rng.beta(TIGHT * EARLY, TIGHT * (1 - EARLY), n), rng.beta(TIGHT * SPREAD, TIGHT * (1 - SPREAD), n)
    share = np.where(kinds_of(stream) == kinds_of(stream).max(), early, other if spread else 1.0)
    places = np.arange(n)
    return ahead.iloc[places + late].set_axis(event.index), ahead.iloc[places + (share * late).astype(int)].set_axis(
        event.index
    )


def kinds_of(stream: Stream) -> np.ndarray:
    """The class of each row, or the third of all values that a number lies in."""
    answers = stream.table[stream.data.target]
    if stream.data.task == "regression":
        return np.asarray(pd.qcut(answers.rank(method="first"), 3, labels=False))
    return (answers == stream.data.positive).to_numpy(dtype="int64")


def come(past: Past, ages: np.ndarray) -> np.ndarray:
    """Share of the answers of each kind that have come at these ages, shape (kinds, ages)."""
    old = past.due & past.known
    found = []
    for kind in range(int(past.kinds.max()) + 1):
        delays = np.sort(past.delay[old & (past.kinds == kind)])
        found.append(np.searchsorted(delays, ages, side="right") / max(len(delays), 1))
    return np.array(found)


def fitted(past: Past, rows: np.ndarray, answers: np.ndarray, weights: np.ndarray | None, loss: str) -> Model:
    return (
        MODELS["gbm"]
        .fit(
            past.view,
            past.matrix[rows],
            answers,
            loss=loss,
            hyperparameters=FIT,
            rounds=HORIZON_ROUNDS,
            weights=weights,
            stop=None,
            patience=1,
            seed=7,
            threads=1,
        )
        .model
    )


def inverse(past: Past, loss: str) -> Model:
    share = come(past, past.age)
    rows = np.flatnonzero(past.known & (share.min(axis=0) > 1 / MOST))
    weights = 1 / np.maximum(share[past.kinds[rows], rows], 1 / MOST)
    return fitted(past, rows, past.actual[rows], weights, loss)


def soft(past: Past, waits: Model, loss: str, taken: np.ndarray) -> Model:
    """Fitted on due rows and on those of the others that are `taken`, shape (n,)."""
    old, waiting = np.flatnonzero(past.due & past.known), np.flatnonzero(~past.due & taken)
    known = past.known[waiting]
    left = shares_left(past.delay[old], past.actual[old], past.age[waiting[~known]], classes=2)
    chances = class_chances(np.asarray(waits.predict(past.matrix[waiting[~known]])), left)
    rows = soft_rows(past.actual[waiting], known, chances)
    weights = np.concatenate([np.ones(len(old)), rows.weights])
    return fitted(past, np.append(old, waiting[rows.places]), np.append(past.actual[old], rows.actual), weights, loss)


def line(stream: Stream, due: pd.Series, came: pd.Series, name: str) -> None:
    """Mean loss over the dates of each way to train, beside that of one that knows every label at once."""
    table, day = stream.table, pd.Timedelta("1D")
    taken = np.unique(np.linspace(0, len(table) - 1, min(len(table), ROWS)).astype("int64"))
    table, due, came, kinds = table.iloc[taken], due.iloc[taken], came.iloc[taken], kinds_of(stream)[taken]
    edges = np.linspace(FIRST_SHARE * len(table), len(table), MOMENTS + 1).astype(int)
    lost: list[list[float]] = []
    seen: list[float] = []
    for begin, end in pairwise(edges.tolist()):
        rows, judged, moment = table.iloc[:begin], table.iloc[begin:end], table["_event"].iloc[begin]
        view = FeatureView.learn(rows, stream.data)
        past = Past(
            view,
            view.matrix(rows),
            view.actual(rows),
            kinds[:begin],
            ((moment - rows["_event"]) / day).to_numpy(),
            ((came.iloc[:begin] - rows["_event"]) / day).to_numpy(),
            (due.iloc[:begin] <= moment).to_numpy(),
        )
        waiting = np.flatnonzero(past.due & past.known)
        arrived = np.flatnonzero(past.known)
        waits = fitted(past, waiting, past.actual[waiting], None, stream.loss)
        models = [
            fitted(past, np.arange(begin), past.actual, None, stream.loss),
            waits,
            fitted(past, arrived, past.actual[arrived], None, stream.loss),
            inverse(past, stream.loss),
        ]
        if stream.data.task == "binary":
            half = np.arange(begin) % 2 == 0
            models += [soft(past, waits, stream.loss, taken) for taken in (np.ones(begin, dtype=bool), half)]
            early = past.known & ~past.due
            its = [
                row_losses(stream.loss, past.actual[rows], models[-1].predict(past.matrix[rows])).mean()
                for rows in (np.flatnonzero(early & half), np.flatnonzero(early & ~half))
            ]
            seen.append(its[0] / its[1])
        asked, truth = view.matrix(judged), view.actual(judged)
        lost.append([float(row_losses(stream.loss, truth, model.predict(asked)).mean()) for model in models])
    means = np.mean(lost, axis=0)
    against = np.array(lost) / np.array(lost)[:, 1:2] - 1
    error = against.std(axis=0, ddof=1) / np.sqrt(len(lost))
    cells = [f"{mean:.3f}" for mean in means[:2]]
    cells += [f"{means[n] / means[1]:.2f} ± {error[n]:.2f}" for n in range(2, len(means))]
    cells += [f"{np.mean(seen):.2f}"] if seen else [""] * 3
    print(f"| {stream.name} | {name} | " + " | ".join(cells) + " |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--cache", type=Path, required=True, help="folder of the packages that streams come from")
    parser.add_argument("--streams", nargs="+", default=NAMES, choices=NAMES)
    given = parser.parse_args()
    ratios = " | ".join(f"{name} / waiting" for name in ("arrived", "inverse", "soft", "half"))
    print(f"| stream | delay | at once | waiting | {ratios} | seen / unseen |")
    print("|" + "---|" * 9)
    for name in given.streams:
        stream = simulated(7) if name == "simulated" else load(name, given.cache / "packages")
        if name == "bookings":
            raw = pd.read_parquet(RAW / "bookings.parquet").sort_values("booking_date", kind="stable")
            known = pd.to_datetime(raw["ReservationStatusDate"], utc=True).iloc[::BOOKINGS_EVERY]
            event = stream.table["_event"]
            came = known.set_axis(event.index).clip(lower=event)
            line(stream, event + HORIZON, came, "its own")
            arrival = event + pd.to_timedelta(stream.table["LeadTime"], unit="D")
            more = stream.table.assign(year=arrival.dt.year, day=arrival.dt.day, booked_on=event.dt.day_of_year)
            wide = {**stream.data.model_dump()["columns"]}
            wide |= {name: {"type": "integer", "role": "feature"} for name in ("year", "day", "booked_on")}
            data = DataParams.model_validate(stream.data.model_dump() | {"columns": wide})
            line(replace(stream, table=more, data=data), event + HORIZON, came, "its own, all columns")
            continue
        for windows in LATE:
            for spread in (False, True):
                due, came = laid(stream, windows, spread=spread, seed=7)
                line(stream, due, came, f"{windows} windows, {'spread' if spread else 'at due'}")


if __name__ == "__main__":
    main()
