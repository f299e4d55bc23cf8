"""How the next version of this house is made, from the history of its runs."""

from retrim.core.mode import CHEAPEST_FIRST, Chosen, PastMode, choose_mode
from retrim.core.modes import FINAL
from retrim.core.work import retraining_work
from retrim.ops.champion import live_kind
from retrim.ops.house import House
from retrim.ops.release import live

USUAL_ROUNDS = 100  # rounds are the same in every mode, so their number drops out of the shares


def mode_now(house: House) -> Chosen:
    """The mode of the next version: as params.yaml says, or for `auto` the cheapest whose gain covers its price."""
    retrain = house.params.retrain
    if live(house) is None:
        return Chosen(retrain.first_mode, "retrain.first_mode, as no version is live")
    kind, wanted = live_kind(house), house.params.train.model
    if kind != wanted and retrain.mode != "search":
        return Chosen(
            "search", f"train.model is {wanted}, and the live version a {kind}: there is no recipe to go on from"
        )
    if retrain.mode != "auto":
        return Chosen(retrain.mode, "retrain.mode")
    ended = [run for run in house.store.runs(house.model) if run.state in ("promoted", "refused") and run.version]
    runs = [run for run in ended if run.mode != FINAL]
    versions = {row.version: row for row in house.store.versions(house.model)}
    checks = house.store.decisions(house.model, source="check")
    judged = [(run, versions[run.version].verdict) for run in runs if run.version in versions]
    past = [
        PastMode(run.mode, verdict["losses"]["champion"] - verdict["losses"][verdict["winner"]])
        for run, verdict in judged
        if "champion" in verdict["losses"]
    ]
    newest = checks[-1].record if checks else None
    rows = next((verdict["rows"] for _, verdict in reversed(judged)), house.params.split.judge_rows)
    params = house.params
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
        for mode in CHEAPEST_FIRST
    }
    promoted = max(sum(run.state == "promoted" for run in runs), 1)
    price = float(newest["price"]) if newest is not None else params.account.price
    return choose_mode(past, works, price=price, checks=max(len(checks) / promoted, 1.0))


def fits_of_a_retraining(house: House) -> int:
    """Fits of a retraining for each training window: the model, its backtest, and its share of a search."""
    params = house.params
    trials = {"search": params.tune.trials, "warm": params.tune.warm_trials}.get(params.retrain.mode, 0)
    return 1 + params.backtest.origins + -(-trials * params.tune.folds // len(params.train.windows))


def share_of_refit(house: House) -> float:
    """What fitting a promoted recipe once more costs, as a share of a retraining: one of its fits; 0 where none is."""
    if not house.params.retrain.refit_after:
        return 0.0
    return 1 / (fits_of_a_retraining(house) * len(house.params.train.windows))
