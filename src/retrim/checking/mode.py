"""How the next version of this workspace is made, from the history of its runs."""

from retrim.checking.history import CHECK, newest_check
from retrim.lineage.workspace import Workspace
from retrim.release.versions import find_live_version, live_kind
from retrim.training.mode import MODES, ChosenMode, PastMode, choose_mode
from retrim.training.recipe import retraining_work

USUAL_ROUNDS = 100  # rounds are the same in every mode, so their number drops out of the shares


def mode_now(workspace: Workspace) -> ChosenMode:
    """The mode of the next version: as params.yaml says, or for `auto` a search where its gain covers its cost."""
    retrain = workspace.params.retrain
    if find_live_version(workspace) is None:
        return ChosenMode("search", "no version is live")
    kind, wanted = live_kind(workspace), workspace.params.train.model
    if kind != wanted and retrain.mode != "search":
        return ChosenMode(
            "search", f"train.model is {wanted}, but the live version is a {kind}, so there is no recipe to start from"
        )
    if retrain.mode != "auto":
        return ChosenMode(retrain.mode, "retrain.mode")
    runs = [
        run for run in workspace.store.runs(workspace.model) if run.state in ("promoted", "refused") and run.version
    ]
    versions = {row.version: row for row in workspace.store.versions(workspace.model)}
    checks = workspace.store.decisions(workspace.model, source=CHECK)
    judged = [(run, versions[run.version].judged) for run in runs if run.version in versions]
    past = [
        PastMode(run.mode, verdict.losses["champion"] - verdict.loss)
        for run, verdict in judged
        if "champion" in verdict.losses
    ]
    newest = newest_check(workspace)
    rows = next((verdict.rows for _, verdict in reversed(judged)), workspace.params.split.judge_rows)
    params = workspace.params
    works = {
        mode: retraining_work(
            max(rows * 10, params.split.sliding_rows),
            USUAL_ROUNDS,
            mode=mode,
            windows=params.train.windows,
            recipes=params.train.recipes,
            sliding_rows=params.split.sliding_rows,
            backtest=params.backtest,
            tune=params.tune,
        )
        for mode in MODES
    }
    promoted = max(sum(run.state == "promoted" for run in runs), 1)
    retraining_cost = newest.record.gain.retraining_cost if newest is not None else params.gain.cost
    return choose_mode(past, works, retraining_cost=retraining_cost, checks=max(len(checks) / promoted, 1.0))
