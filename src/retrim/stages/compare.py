"""The stored challengers and the champion on the judging block; names one winner and gives the verdict."""

import json
from typing import Any

import numpy as np
import pandas as pd

from retrim.core.bundle import load_predictor
from retrim.core.canonical import to_json
from retrim.core.contributions import ExplainParams, importance
from retrim.core.detectable import detectable
from retrim.core.frames import to_parquet
from retrim.core.gate import GateParams
from retrim.core.gate import judge as judge_losses
from retrim.core.metrics import JudgeParams, measure, row_losses
from retrim.core.models import MODELS, Model
from retrim.core.models.baseline import BASELINES
from retrim.core.slice_table import slice_table
from retrim.core.slices import SliceParams
from retrim.core.view import FeatureView
from retrim.core.windows import part_of
from retrim.errors import RefusedError
from retrim.files import read_folder, write_folder
from retrim.paths import Paths
from retrim.stages._room import lightgbm_alone, main, read_json


def run(gate: GateParams, judge: JudgeParams, slices: SliceParams, explain: ExplainParams, paths: Paths) -> None:
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
    verdict = judge_losses(
        losses,
        champion,
        {name: row_losses(judge.loss, actual, predicted) for name, predicted in floors.items()},
        gate,
        draws=judge.draws,
        block_rows=judge.block_rows,
    )
    record = verdict.as_record() | {"judged_from": split["judged_from"], "judged_until": split["judged_until"]}
    seen = None
    if champion is not None:
        events = judged["_event"]
        seen = detectable(
            losses, verdict.winner, champion, events, gate, draws=judge.draws, block_rows=judge.block_rows
        )
    record["detectable"] = None if seen is None else seen.as_record()
    record["metrics"] = {
        name: measure(judge.metrics, actual, predicted, task=view.task)
        for name, predicted in predictions.items()
        if len(judged)
    }
    scored = judged[["_key", "_event"]].assign(actual=actual)
    for name, predicted in predictions.items():
        scored = scored.assign(**_columns(name, predicted))
    if champion is not None:
        scored = scored.assign(_champion_loss=champion)
    files = {"verdict.json": to_json(record), "judged.parquet": to_parquet(scored)}
    own = losses[verdict.winner]
    sliced = slice_table(
        judged, own, champion, view.features, slices, confidence=explain.confidence, block_rows=judge.block_rows
    )
    files["slices.json"] = to_json({"loss": judge.loss, "slices": [each.as_record() for each in sliced]})
    files["importance.json"] = to_json(_importance(paths, view, judged, verdict.winner, explain))
    write_folder(paths.verdict, files)


def _importance(
    paths: Paths, view: FeatureView, judged: pd.DataFrame, winner: str, explain: ExplainParams
) -> dict[str, Any] | None:
    """How much each feature weighs in the winner's predictions of the judged rows; None where nobody can say."""
    model = _load(view, read_folder(paths.models / winner))
    found = importance(model, view, judged, most=explain.rows)
    return None if found is None else found.as_record()


def _challengers(view: FeatureView, judged: pd.DataFrame, files: dict[str, bytes]) -> dict[str, np.ndarray]:
    """Predictions of each stored challenger, loaded from its files."""
    predictions = {}
    for kind in sorted({name.split("/")[0] for name in files}):
        own = {name.removeprefix(f"{kind}/"): content for name, content in files.items() if name.startswith(f"{kind}/")}
        predictions[kind] = _load(view, own).predict(view.matrix(judged))
    return predictions


def _load(view: FeatureView, files: dict[str, bytes]) -> Model:
    """A stored challenger, from the files of its folder."""
    return MODELS[json.loads(files["fit.json"])["recipe"]["model"]].load(view, files)


def _champion_losses(paths: Paths, keys: pd.Series, judge: JudgeParams) -> np.ndarray | None:
    """The champion's loss on each judged row, from the whole table: its features may be others than today's."""
    if not paths.has_champion:
        return None
    champion = load_predictor(read_folder(paths.champion))
    judged = pd.read_parquet(paths.table).set_index("_key").loc[keys].reset_index()
    missing = sorted(set(champion.view.features) - set(judged.columns))
    if missing:
        raise RefusedError(f"the champion needs {', '.join(missing)}, which the table no longer has; keep the columns")
    return row_losses(judge.loss, champion.view.actual(judged), champion.predict(judged))


def _columns(name: str, predicted: np.ndarray) -> dict[str, np.ndarray]:
    if predicted.ndim == 1:
        return {name: predicted}
    return {f"{name}_{place}": predicted[:, place] for place in range(predicted.shape[1])}


if __name__ == "__main__":
    main(run)
