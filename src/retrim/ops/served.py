"""What matured rows are measured by: the prediction that was served, where one was before the label was due."""

from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from retrim.core.bundle import Predictor
from retrim.core.skew import Skew, skews_of
from retrim.core.view import FeatureView
from retrim.errors import BadInputError, RefusedError
from retrim.ops.alerts import alert
from retrim.ops.champion import stored
from retrim.ops.house import House


@dataclass(frozen=True)
class Served:
    """Which predictions measured rows are measured by.

    Args:
        by_version: Rows by the version that served them.
        predicted_again: Rows that the live version predicted now: nothing was stored for them in time.
        unreadable: Those of them whose stored prediction is none: it was altered.
        skew: The served ones beside what their versions say now; None where none could be compared.
    """

    by_version: dict[int, int]
    predicted_again: int
    unreadable: int
    skew: Skew | None

    def as_record(self) -> dict[str, Any]:
        return {
            "rows": sum(self.by_version.values()),
            "by_version": {str(version): rows for version, rows in self.by_version.items()},
            "predicted_again": self.predicted_again,
            "unreadable": self.unreadable,
            "skew": None if self.skew is None else self.skew.as_record(),
        }


def predictions_of(house: House, rows: pd.DataFrame, champion: Predictor, version: int) -> tuple[np.ndarray, Served]:
    """The prediction of each row as it was served; where none was stored before its label was due, as of now.

    Args:
        house: The house.
        rows: Mature rows with their columns and `_due`, shape (n,), n at least 1.
        champion: The live version.
        version: Its number.

    Returns:
        Shape (n,) or (n, classes), in the classes of the live version; and what they are.
    """
    predicted = np.array(champion.predict(champion.view.seen(rows)))
    log = house.predictions.served(house.model, rows["_key"])
    places = pd.Index(rows["_key"]).get_indexer(pd.Index(log["key"]))
    log = log.assign(place=places)[(log["at"] < rows["_due"].iloc[places].to_numpy()).to_numpy()]
    by_version, unreadable, compared = {}, 0, []
    for number, part in log.groupby("version"):
        maker = champion if number == version else _predictor(house, int(number))
        view = champion.view if maker is None else maker.view
        values = [_numbers(value, view) for value in part["value"]]
        usable = np.array([each is not None for each in values])
        unreadable += int((~usable).sum())
        if not usable.any() or not _comparable(view, champion.view):
            continue
        part, served = part[usable], np.array([each for each in values if each is not None])  # noqa: PLW2901  its readable rows
        own = rows.iloc[part["place"]]
        if maker is not None and set(maker.view.needs) <= set(rows.columns):
            now = predicted[part["place"]] if maker is champion else maker.predict(maker.view.seen(own))
            compared.append(part.assign(skew=skews_of(served, now)))
        predicted[part["place"]] = in_classes(served, view, champion.view)
        by_version[int(number)] = len(part)
    return predicted, Served(by_version, len(rows) - sum(by_version.values()), unreadable, _skew(house, compared))


def tell_skew(house: House, served: Served | None, *, now: pd.Timestamp) -> None:
    """Alerts where served predictions are further from those of now than `served.skew` allows, or are none."""
    if served is None:
        return
    if served.skew is not None and served.skew.over:
        skew, (key, number) = served.skew, served.skew.worst
        alert(
            house,
            "skew",
            f"{skew.over} of {skew.rows} served predictions are further from what their version says now than "
            f"{skew.bound:g} of the mean prediction (served.skew); the furthest, {skew.largest:.3g} of it: "
            f"`retrim explain '{key}@{number}'` says whether its features were others then, or it was altered",
            now=now,
        )
    if served.unreadable:
        text = f"{served.unreadable} stored predictions are no numbers: the store was altered; bring back a copy of it"
        alert(house, "skew", text, now=now)


def _predictor(house: House, version: int) -> Predictor | None:
    """A version's predictor; None where its bundle is gone or altered: what it served stands all the same."""
    with suppress(BadInputError, RefusedError):
        found = stored(house, version).predictor
        _ = found.model  # loaded here, where it may fail
        return found
    return None


def _numbers(value: Any, view: FeatureView) -> np.ndarray | None:
    """A stored prediction as numbers, shape () or (classes,); None where it is none."""
    with suppress(TypeError, ValueError):
        found = np.asarray(value, dtype="float64")
        wide = (len(view.classes),) if view.task == "multiclass" else ()
        return found if found.shape == wide and np.isfinite(found).all() else None
    return None


def _comparable(view: FeatureView, champion: FeatureView) -> bool:
    """Whether predictions of one are such of the other: of several classes they may know others."""
    return view.task == champion.task and (view.task == "multiclass" or view.classes == champion.classes)


def in_classes(served: np.ndarray, view: FeatureView, champion: FeatureView) -> np.ndarray:
    """Probabilities in the live version's classes; one that a version did not know had none."""
    if view.task != "multiclass" or view.classes == champion.classes:
        return served
    own = {name: place for place, name in enumerate(view.classes)}
    columns = [served[:, own[name]] if name in own else np.zeros(len(served)) for name in champion.classes]
    return np.column_stack(columns)


def _skew(house: House, compared: list[pd.DataFrame]) -> Skew | None:
    if not compared:
        return None
    all_rows = pd.concat(compared)
    keys, versions = all_rows["key"].tolist(), all_rows["version"].tolist()
    return Skew.of(keys, versions, all_rows["skew"].to_numpy(), house.params.served)
