"""A fit as a folder of files, with the profile of its rows; and a winner's final fit, on all mature rows."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from retrim.drift.profile import ProfileParams
from retrim.drift.reference import ExpectedWindows, make_reference
from retrim.features.view import FeatureView
from retrim.files import Paths
from retrim.stages._common import grouped, read_json, read_view, read_window_lengths
from retrim.stats.codec import from_record, rows_at, to_json, to_record
from retrim.stats.windows import part_of
from retrim.training.bundle import FINAL_VIEW, FitRecord
from retrim.training.estimators import Model
from retrim.training.groups import FairnessParams
from retrim.training.recipe import Challenger, fit_recipe


@dataclass(frozen=True)
class ProfileSettings:
    """What the profile of a fit depends on beside its rows."""

    seed: int
    usual: ExpectedWindows
    calendar: tuple[str, ...]
    zone: str


@dataclass(frozen=True)
class FittedRows:
    """The rows of a fit and those that judge.

    Args:
        table: All mature rows, in order of event.
        fitted: Those that it was fitted on.
    """

    table: pd.DataFrame
    fitted: pd.DataFrame
    judged: pd.DataFrame


def fit_files(
    challenger: Challenger, model: Model, view: FeatureView, rows: FittedRows, settings: ProfileSettings
) -> dict[str, bytes]:
    """The files of a fit: its model, `fit.json`, and the profile of its rows."""
    fitted, judged = rows.fitted, rows.judged
    record = FitRecord(
        recipe=challenger.recipe,
        rows=len(fitted),
        since=fitted["_event"].iloc[0].isoformat(),
        until=fitted["_event"].iloc[-1].isoformat(),
        gains=dict(zip(view.needs, map(float, view.by_feature(model.gains())), strict=True)),
        recipe_of=challenger.kind,
        window=challenger.window,
    )
    since = rows.table.iloc[int(rows.table["_event"].searchsorted(fitted["_event"].iloc[0])) :]  # in order of event
    reference = make_reference(
        since,
        judged,
        model.predict(view.matrix(judged)),
        view,
        ProfileParams(seed=settings.seed),
        settings.usual,
        calendar=settings.calendar,
        zone=settings.zone,
    )
    profile = {f"profile/{file}": content for file, content in reference.as_files().items()}
    return {**model.files(), "fit.json": to_json(to_record(record)), **profile}


def fit_again(
    paths: Paths,
    fit: FitRecord,
    settings: ProfileSettings,
    fairness: FairnessParams,
    *,
    sliding_rows: int,
    cores: int,
) -> tuple[FeatureView, dict[str, bytes]]:
    """A judged fit's recipe on the same window of all mature rows: its view, and its files."""
    view = from_record(FeatureView, read_json(paths.candidate / FINAL_VIEW))
    table = read_view(paths)
    rows = grouped(table, paths, fairness.groups, fairness.mitigate)
    window = read_window_lengths(paths, rows, sliding_rows=sliding_rows).rows(np.arange(len(rows)), fit.window)
    model = fit_recipe(fit.recipe, view, rows, take=window, threads=cores)
    challenger = Challenger(fit.recipe, fit.recipe_of, fit.window)
    parts = FittedRows(table, rows_at(rows, window), part_of(table, "judge"))
    return view, fit_files(challenger, model, view, parts, settings)
