"""What a version is for, what it was made from, and how."""

from collections.abc import Mapping
from typing import Any

from retrim.core.card.facts import Facts
from retrim.core.card.page import Picture, Section, Table, facts_table, told

VIEW, SPLIT, TUNED, BACKTEST = (
    "features/view.json",
    "features/split.json",
    "tuning/hyperparameters.json",
    "backtest/backtest.json",
)
TASKS = {
    "regression": "predicts a number",
    "binary": "predicts the probability of one of two classes",
    "multiclass": "predicts the probability of each class",
}
MOST_LEVELS = 12
"""Levels of a category column that are named."""


def intended_use(facts: Facts) -> Section:
    """Owner and purpose as a person said them, and what the model does."""
    view, said = facts.view, facts.said
    pairs = [
        ("owner", said.owner or "not said (card.owner in params.yaml)"),
        ("purpose", said.purpose or "not said (card.purpose in params.yaml)"),
        ("what it does", f"{TASKS[view['task']]}: {view['target']}"),
        ("classes", told(view["classes"]) if view["classes"] else None),
    ]
    return Section("Intended use", "use", tables=(facts_table(pairs, VIEW),))


def data(facts: Facts) -> Section:
    """The data window, rows by part, and the features."""
    split, fit, lineage = facts.records[SPLIT], facts.records[facts.fit_file], facts.version["lineage"]
    allowed: dict[str, str] = lineage.get("allowed_leaks", {})
    pairs = [
        ("as of", facts.version["as_of"]),
        ("trained on", f"{fit['rows']} rows, {told(fit['from'])} to {told(fit['until'])}"),
        ("training window", fit.get("window", facts.verdict["winner"])),
        ("judged on", f"{facts.verdict['rows']} rows, {told(split['judged_from'])} to {told(split['judged_until'])}"),
        ("mature rows by part", split["rows"]),
        ("digest of the raw batches", lineage.get("raw_digest")),
        ("leaks allowed", "; ".join(f"{name}: {why}" for name, why in allowed.items()) or None),
    ]
    rows = []
    for feature in facts.view["features"]:
        levels = facts.view["levels"].get(feature["name"])
        shown = "" if levels is None else f"{len(levels)}: {told(levels[:MOST_LEVELS])}"
        more = "" if levels is None or len(levels) <= MOST_LEVELS else ", ..."
        rows.append((feature["name"], feature["type"], shown + more))
    features = Table(("feature", "type", "known categories"), tuple(rows), VIEW, "Features")
    return Section("Data", "data", tables=(facts_table(pairs, SPLIT), features))


def preparation(facts: Facts) -> Section:
    """The steps that make something else of the features, and what each found in the training rows."""
    steps = facts.view.get("steps", [])
    if not steps:
        return Section("Preparation", "preparation")
    rows = []
    for step in steps:
        settings = {name: value for name, value in step["declared"].items() if name not in ("step", "columns")}
        found = "; ".join(f"{name}: {told(value)}" for name, value in step["said"].items())
        gone = f"takes out {told(step['drops'])}" if step["drops"] else ""
        cells = (told(settings) if settings else "", f"{len(step['makes'])}", "; ".join(filter(None, (found, gone))))
        rows.append((step["declared"]["step"], told(step["columns"]), *cells))
    heads = ("step", "columns", "settings", "columns made", "found")
    sentence = "In this order, learned on the training rows; for every fold and every earlier origin, on theirs."
    return Section("Preparation", "preparation", (sentence,), (Table(heads, tuple(rows), VIEW),))


def lineage(facts: Facts) -> Section:
    """What it was made from, by hashes."""
    row, found = facts.version, facts.version["lineage"]
    pairs = [
        ("tag", row["tag"]),
        ("run", row["run"]),
        ("decision", found.get("decision")),
        ("commit of the run", found.get("commit")),
        ("snapshot of the workspace", found.get("snapshot")),
        ("untracked files taken along", found["untracked"] if found.get("untracked") else None),
        ("champion it was judged against", "none" if found.get("champion") is None else f"version {found['champion']}"),
        ("bundle", row["bundle"]),
        ("model", row["model_sha256"]),
        ("dvc.lock", found.get("dvc_lock")),
        ("requirements.lock", found.get("requirements_lock")),
        ("order of the rows", found.get("row_order")),
        ("Python", found.get("python")),
        ("platform", found.get("platform")),
    ]
    sentence = f"It can be made again from these, byte for byte on the same platform: retrim reproduce {facts.number}."
    return Section("Lineage", "lineage", (sentence,), (facts_table(pairs, "store: versions"),))


def training(facts: Facts) -> Section:
    """Mode, recipe, search and backtest."""
    fit, tuned, backtest = facts.records[facts.fit_file], facts.records.get(TUNED, {}), facts.records.get(BACKTEST, {})
    recipe, trials = fit["recipe"], facts.records.get("tuning/trials.json")
    pairs = [
        ("mode", facts.version["lineage"].get("mode") or tuned.get("mode")),
        ("kind of model", recipe["model"]),
        ("loss", recipe["loss"]),
        ("challengers that competed", ", ".join(sorted(facts.verdict.get("metrics", {}))) or None),
        ("winner", facts.verdict["winner"]),
        ("trials of the search", None if not trials else len(trials)),
        ("classes", _balanced_in_words(recipe.get("balance"))),
        ("decision", _decided_in_words(backtest.get("decide", {}).get(facts.verdict["winner"]))),
        ("seed", recipe["seed"]),
    ]
    hyper = recipe.get("hyperparameters") or tuned.get("hyperparameters", {})
    rounds = recipe.get("rounds") or tuned.get("rounds")
    chosen = Table(
        ("hyperparameter", "value"),
        tuple((name, told(value)) for name, value in [*sorted(hyper.items()), ("rounds", rounds)]),
        facts.fit_file,
        "Hyperparameters",
    )
    tables = [facts_table(pairs, facts.fit_file), chosen]
    origins = backtest.get("origins", [])
    if origins:
        names = sorted({name for origin in origins for name in origin["losses"]})
        rows = tuple(
            (told(o["start"]), told(o["end"]), str(o["rows"]), *(told(o["losses"].get(name)) for name in names))
            for o in origins
        )
        heads = ("from", "until", "rows", *(f"{backtest['loss']}, {name}" for name in names))
        tables.append(Table(heads, rows, BACKTEST, "Backtest: the recipe refitted at earlier origins"))
    pictures = [Picture("loss_over_folds.png", "Loss over the origins of the backtest")]
    pictures += [Picture("hyperparameter_importance.png", "What moved the loss during the search")]
    shown = tuple(each for each in pictures if each.name in facts.pictures)
    return Section("How it was made", "made", tables=tuple(tables), pictures=shown)


def _balanced_in_words(balance: str | None) -> str | None:
    if balance is None:
        return None
    how = "weighed alike" if balance == "weights" else "sampled to the rows of the rarest"
    return f"{how} in the fit; chances corrected to the shares of the training rows"


def _decided_in_words(chosen: Mapping[str, Any] | None) -> str | None:
    if chosen is None:
        return None
    threshold, cost, expected, of_that = (told(chosen[n]) for n in ("threshold", "cost", "expected", "expected_cost"))
    return (
        f"selected from a probability of {threshold}; mean cost {cost} on {chosen['rows']} backtest rows, {of_that} "
        f"from {expected}, which exact chances would ask"
    )
