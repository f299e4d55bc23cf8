"""The stored challengers and champions on the judging block; names one winner and gives the verdict."""

import json

import numpy as np
import pandas as pd

from retrim.core.bundle import Predictor, load_predictor
from retrim.core.canonical import to_json
from retrim.core.contest import may_compete, settle, shortlist
from retrim.core.detectable import detectable
from retrim.core.former import FormerParams
from retrim.core.frames import to_parquet
from retrim.core.gate import GateParams
from retrim.core.gate import judge as judge_losses
from retrim.core.metrics import JudgeParams, measure, row_losses
from retrim.core.models import MODELS
from retrim.core.models.baseline import BASELINES
from retrim.core.view import FeatureView
from retrim.core.windows import part_of
from retrim.errors import RefusedError
from retrim.files import read_folder, write_folder
from retrim.paths import Paths
from retrim.stages._room import lightgbm_alone, main, read_json


def run(gate: GateParams, judge: JudgeParams, former: FormerParams, paths: Paths) -> None:
    """Scores every stored model with its own preprocessing on the same rows, which none of them has seen."""
    lightgbm_alone()
    rows = pd.read_parquet(paths.view)
    split = read_json(paths.features / "split.json")
    view = FeatureView.from_record(read_json(paths.features / "view.json"))
    judged, train = part_of(rows, "judge"), part_of(rows, "train")
    actual = view.actual(judged)
    predictions = _challengers(view, judged, read_folder(paths.models))
    season = pd.Timedelta(gate.season)
    floors = {name: BASELINES[name](view, train, judged, season=season, cells=gate.season_cells) for name in gate.floor}
    losses = {name: row_losses(judge.loss, actual, predicted) for name, predicted in predictions.items()}
    champion = _champion_losses(paths, judged["_key"], judge)
    formers, left_out = _formers(paths, judged, train, former, judge)
    naive = {name: row_losses(judge.loss, actual, predicted) for name, predicted in floors.items()}
    drawn = {"draws": judge.draws, "block_rows": judge.block_rows}
    verdict = judge_losses(losses, champion, naive, gate, **drawn, rivals=len(formers))
    of_formers = None
    if formers:
        named = {str(version): each for version, each in formers.items()}
        of_formers = judge_losses(named, champion, naive, gate, **drawn, rivals=len(losses))
    verdict, contest = settle(verdict, of_formers, formers, left_out)
    record = verdict.as_record() | {"judged_from": split["judged_from"], "judged_until": split["judged_until"]}
    record["formers"] = contest.as_record() if contest.losses or contest.left_out else None
    seen = None
    if champion is not None:
        events = judged["_event"]
        seen = detectable(losses, verdict.winner, champion, events, gate, **drawn, rivals=len(formers))
    record["detectable"] = None if seen is None else seen.as_record()
    record["metrics"] = {
        name: measure(judge.metrics, actual, predicted, task=view.task)
        for name, predicted in predictions.items()
        if len(judged)
    }
    scored = judged[["_key", "_event"]].assign(actual=actual)
    for name, predicted in predictions.items():
        scored = scored.assign(**_columns(name, predicted))
    write_folder(paths.verdict, {"verdict.json": to_json(record), "judged.parquet": to_parquet(scored)})


def _challengers(view: FeatureView, judged: pd.DataFrame, files: dict[str, bytes]) -> dict[str, np.ndarray]:
    """Predictions of each stored challenger, loaded from its files."""
    predictions = {}
    for kind in sorted({name.split("/")[0] for name in files}):
        own = {name.removeprefix(f"{kind}/"): content for name, content in files.items() if name.startswith(f"{kind}/")}
        made = json.loads(own["fit.json"])
        predictions[kind] = MODELS[made["recipe"]["model"]].load(view, own).predict(view.matrix(judged))
    return predictions


def _champion_losses(paths: Paths, keys: pd.Series, judge: JudgeParams) -> np.ndarray | None:
    """The champion's loss on each judged row, from the whole table: its features may be others than today's."""
    if not paths.has_champion:
        return None
    champion = load_predictor(read_folder(paths.champion))
    judged = _whole(paths, keys)
    missing = sorted(set(champion.view.features) - set(judged.columns))
    if missing:
        raise RefusedError(f"the champion needs {', '.join(missing)}, which the table no longer has; keep the columns")
    return row_losses(judge.loss, champion.view.actual(judged), champion.predict(judged))


def _formers(
    paths: Paths, judged: pd.DataFrame, train: pd.DataFrame, former: FormerParams, judge: JudgeParams
) -> tuple[dict[int, np.ndarray], dict[int, str]]:
    """The loss on each judged row of the former champions that compete; and why others do not."""
    laid = _laid(paths)
    if not laid or not len(judged):
        return {}, {}
    whole = _whole(paths, judged["_key"])
    able, unable = may_compete(laid, columns=list(whole.columns), judged_from=judged["_event"].iloc[0])
    before = _whole(paths, train["_key"])
    kept, passed_over = shortlist(able, before, loss=judge.loss, most=former.judged, rows=len(judged))
    losses = {
        version: row_losses(judge.loss, each.view.actual(whole), each.predict(whole)) for version, each in kept.items()
    }
    return losses, unable | passed_over


def _laid(paths: Paths) -> dict[int, Predictor]:
    """The former champions in the room, newest first."""
    if not paths.has_formers:
        return {}
    folders = {int(folder.name.removeprefix("v")): folder for folder in paths.former.iterdir()}
    return {version: load_predictor(read_folder(folders[version])) for version in sorted(folders, reverse=True)}


def _whole(paths: Paths, keys: pd.Series) -> pd.DataFrame:
    """Rows of the table with all its columns."""
    return pd.read_parquet(paths.table).set_index("_key").loc[keys].reset_index()


def _columns(name: str, predicted: np.ndarray) -> dict[str, np.ndarray]:
    if predicted.ndim == 1:
        return {name: predicted}
    return {f"{name}_{place}": predicted[:, place] for place in range(predicted.shape[1])}


if __name__ == "__main__":
    main(run)
