"""The former champions in a room, on the rows that judge."""

from dataclasses import dataclass

import pandas as pd

from retrim.core.bundle import Predictor, load_predictor
from retrim.core.contest import FormerParams, may_compete, shortlist
from retrim.core.fairness.thresholds import Thresholds
from retrim.core.gate import Scored, score
from retrim.core.metrics import JudgeParams
from retrim.core.windows import part_of
from retrim.files import read_folder
from retrim.paths import Paths


@dataclass(frozen=True)
class Competes:
    """A former champion on the judging rows, and how it decides; None where it does not."""

    scored: Scored
    thresholds: Thresholds | None


def formers_on(
    judged: pd.DataFrame, paths: Paths, former: FormerParams, judge: JudgeParams
) -> tuple[dict[int, Competes], dict[int, str]]:
    """Those that compete, each with its own view and bundle; and why each of the others does not.

    Args:
        judged: Judging rows, whole rows of the table in time order.
        paths: Of the room.
        former: How many are judged, at most.
        judge: The loss.
    """
    laid = _laid(paths)
    if not laid or not len(judged):
        return {}, {}
    able, unable = may_compete(laid, columns=list(judged.columns), judged_from=judged["_event"].iloc[0])
    kept, passed_over = shortlist(able, _before(paths), loss=judge.loss, most=former.judged, rows=len(judged))
    scored = {
        version: score(each.view, judged, each.predict(judged), loss=judge.loss, stated=None)
        for version, each in kept.items()
    }
    return {version: Competes(scored[version], each.thresholds) for version, each in kept.items()}, unable | passed_over


def _laid(paths: Paths) -> dict[int, Predictor]:
    """Former champions by version, the newest first."""
    if not paths.has_formers:
        return {}
    folders = {int(folder.name.removeprefix("v")): folder for folder in paths.former.iterdir()}
    return {version: load_predictor(read_folder(folders[version])) for version in sorted(folders, reverse=True)}


def _before(paths: Paths) -> pd.DataFrame:
    """The training rows, with all columns of the table."""
    keys = part_of(pd.read_parquet(paths.view), "train")["_key"]
    return pd.read_parquet(paths.table).set_index("_key").loc[keys].reset_index()
