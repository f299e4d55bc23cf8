"""What a card is written from: the bundle's records, the store's rows, and what a person says of the model.

What a card is made of, before it is Markdown or HTML.

How a version was judged: the gate's checks, metrics by slice, calibration, importance, fairness.

What a version is known not to do well, or not to have been looked at for.

What a version is for, what it was made from, and how.

What became of a version since it was made: releases, its envelope, drift and loss at every check.

The card itself: all sections in their order, and the sources that their figures come from.

A version's model card: sections of sentences, tables and pictures, every one with the source of its figures.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pandas as pd
from pydantic import Field, JsonValue

from retrim.decision.stored_rows import EnvelopeRow, ReleaseRow, VersionRow
from retrim.drift.slices import SliceLoss
from retrim.features.view import FeatureView
from retrim.gate.fairness import FairnessRecord, MeasuredFigure
from retrim.gate.verdict import SlicesRecord, VerdictRecord, mark_of
from retrim.stats.charts import curve_of
from retrim.stats.metrics import Task
from retrim.stats.plugins import SettingsSection as Settings
from retrim.training.bundle import BACKTEST, SPLIT, VIEW, FitRecord, SplitRecord
from retrim.training.classes import ChosenThreshold
from retrim.training.predicted import Importance
from retrim.training.recipe import BacktestRecord, FoundRecord

if TYPE_CHECKING:  # every stage reads the settings of this file, and none looks at checks
    from retrim.decision.check_record import StoredCheck
    from retrim.drift.findings import DriftFinding


class CardParams(Settings):
    """Facts that only a person knows about a model; its model cards show them."""

    owner: str | None = Field(default=None, description="who is responsible for the model; null: not stated")
    purpose: str | None = Field(default=None, description="what the model's predictions are for; null: not stated")
    limits: str | None = Field(
        default=None,
        description=(
            "what the model's predictions must not be used for, and known errors of the model; null: not stated"
        ),
    )


@dataclass(frozen=True)
class Facts:
    """Everything known of one version.

    Args:
        model: Name of the model.
        version: The version's row in the store, by column.
        verdict: Of the gate.
        outcome: What became of the version.
        view: How rows become numbers.
        fit: What the winner was fitted with and on.
        split: Where the rows were cut.
        found: What the search found.
        trials: How many it made.
        backtest: Losses at earlier origins.
        slices: Losses by slice.
        importance: Exact contributions by feature; None where the model has none.
        fairness: Figures by group; None where no groups are declared.
        run: MLflow's id of its run; None where the registry does not say.
        said: What a person says.
        digests: SHA-256 of every file of the bundle, by name.
        judged: The judged rows.
        releases: Rows of the release log, all of the model, oldest first.
        envelope: Rows of the version's envelope, oldest first.
        checks: Checks at which it was live, oldest first.
        pictures: Names of the pictures there are.
        min_rows: Judging rows that the gate asks for.
        least_rows: Rows of a slice below which nothing is said of it.
    """

    model: str
    version: VersionRow
    verdict: VerdictRecord
    outcome: str
    view: FeatureView
    fit: FitRecord
    split: SplitRecord
    found: FoundRecord
    trials: int
    backtest: BacktestRecord
    slices: SlicesRecord
    importance: Importance | None
    fairness: FairnessRecord | None
    run: str | None
    said: CardParams
    digests: Mapping[str, str]
    judged: pd.DataFrame
    releases: Sequence[ReleaseRow]
    envelope: Sequence[EnvelopeRow]
    checks: "Sequence[StoredCheck]"
    pictures: frozenset[str]
    min_rows: int
    least_rows: int

    @property
    def number(self) -> int:
        return self.version.version

    @property
    def fit_file(self) -> str:
        return f"models/{self.verdict.winner}/fit.json"

    @property
    def live_spans(self) -> list[tuple[str, str | None]]:
        """When it went live, and when something else did; None: it still is."""
        moves = list(self.releases)
        ends = [after.at for after in moves[1:]]
        return [
            (row.at, ends[place] if place < len(ends) else None)
            for place, row in enumerate(moves)
            if row.version == self.number
        ]

    @property
    def figures_of(self) -> str | None:
        """Whose figures these are, in a sentence; None: the version's own, which was judged itself."""
        judged = self.verdict.agreement
        if judged is None:
            return None
        return (
            f"These figures are those of version {judged}, which was judged on rows that its fit had not seen. This "
            "version is the same recipe, fitted once more on all mature rows."
        )

    def predicted(self) -> np.ndarray:
        """What the winner said of the judged rows, without having seen them: shape (n,), or (n, classes)."""
        winner = self.verdict.winner
        if winner in self.judged:
            return np.asarray(self.judged[winner])
        names = [f"{winner}_{place}" for place in range(len(self.view.classes))]
        return np.asarray(self.judged[names])


@dataclass(frozen=True)
class Source:
    """Where figures come from.

    Args:
        name: What the card calls it, such as `verdict`.
        address: `runs:/ID/PATH` of a file of the run in MLflow, or a table of the store; no host stands in it.
        digest: SHA-256 of the file; None for rows of the store.
    """

    name: str
    address: str
    digest: str | None


@dataclass(frozen=True)
class CardTable:
    """A table.

    Args:
        heads: Names of the columns.
        rows: Cells as text.
        source: Name of the source of its figures.
        caption: Above it; may be empty.
    """

    heads: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    source: str
    caption: str = ""

    @property
    def wide(self) -> bool:
        """Whether it has a head at all: a list of facts has none."""
        return any(self.heads)


@dataclass(frozen=True)
class Picture:
    """A picture of the run, by its file's name."""

    name: str
    title: str


@dataclass(frozen=True)
class CardSection:
    """A section of the card; an empty one is left out."""

    title: str
    anchor: str
    sentences: tuple[str, ...] = ()
    tables: tuple[CardTable, ...] = ()
    pictures: tuple[Picture, ...] = ()

    @property
    def empty(self) -> bool:
        return not (self.sentences or self.tables or self.pictures)


@dataclass(frozen=True)
class Card:
    """A card."""

    title: str
    summary: tuple[CardTable, ...]
    sections: tuple[CardSection, ...]
    sources: tuple[Source, ...]


def facts_table(pairs: Sequence[tuple[str, Any]], source: str, caption: str = "") -> CardTable:
    """A list of names and values; None is left out."""
    rows = tuple((name, told(value)) for name, value in pairs if value is not None)
    return CardTable(("", ""), rows, source, caption)


def told(value: Any) -> str:
    """A value as a card says it: figures to four digits, times without seconds where those are 0."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, list | tuple):
        return ", ".join(map(told, value)) if value else "none"
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {told(each)}" for name, each in sorted(value.items())) if value else "none"
    text = str(value)
    return text.removesuffix("+00:00").removesuffix(":00").replace("T", " ") if _is_time(text) else text


def _is_time(text: str) -> bool:
    return len(text) == len("2024-01-01T00:00:00+00:00") and text[10] == "T" and text.endswith("+00:00")


def span(low: float, high: float) -> str:
    """An interval."""
    return f"{low:.4g} to {high:.4g}"


VERDICT, JUDGED, SLICES, IMPORTANCE, FAIRNESS = (
    f"verdict/{name}" for name in ("verdict.json", "judged.parquet", "slices.json", "importance.json", "fairness.json")
)
PICTURES = (
    ("challenger_against_champion.png", "Challenger against champion over the holdout rows"),
    ("predicted_against_actual.png", "Predicted against actual"),
    ("confusion.png", "Actual against predicted class"),
    ("residuals.png", "Residuals against time and prediction"),
)


def gate(facts: Facts) -> CardSection:
    """Every check of the gate, what it could have seen, and the losses of all models."""
    verdict = facts.verdict
    word = "promoted" if verdict.promote else "refused"
    sentences = [f"The gate {word} this version: {verdict.reason}."]
    if verdict.detectable is not None:
        sentences.append(f"Detectable gain: {verdict.detectable.text}.")
    sentences += [f"Note: {note}." for note in verdict.notes]
    rows = tuple(
        (
            check.name,
            mark_of(check),
            told(check.figure),
            told(check.threshold),
            "-" if check.interval is None else span(*check.interval),
            check.text,
        )
        for check in verdict.checks
    )
    checks = CardTable(("check", "", "figure", "threshold", "interval", "explanation"), rows, VERDICT, "Checks")
    ranked = sorted(verdict.losses.items(), key=lambda item: (item[1], item[0]))
    losses = CardTable(("model", "mean loss"), tuple((name, told(loss)) for name, loss in ranked), VERDICT, "Losses")
    shown = tuple(Picture(name, title) for name, title in PICTURES[:1] if name in facts.pictures)
    return CardSection("The gate's verdict", "gate", tuple(sentences), (checks, losses), shown)


def metrics(facts: Facts) -> CardSection:
    """Metrics of the model that was judged on the judged rows, and its loss by slice with intervals."""
    found = facts.verdict.metrics.get(facts.verdict.winner, {})
    tables = []
    if found:
        rows = tuple((name, told(value)) for name, value in found.items())
        tables.append(CardTable(("metric", "on the holdout rows"), rows, VERDICT))
    if facts.slices.slices:
        tables.append(_slices(facts.slices))
    names = ("slices.png", "predicted_against_actual.png", "confusion.png", "residuals.png")
    titles = {"slices.png": "Loss by slice", **dict(PICTURES)}
    shown = tuple(Picture(name, titles[name]) for name in names if name in facts.pictures)
    return CardSection("Metrics", "metrics", tables=tuple(tables), pictures=shown)


def _slices(sliced: SlicesRecord) -> CardTable:
    """The slice table; without the champion's columns where there was none."""
    heads: tuple[str, ...] = ("column", "slice", "rows", sliced.loss, "interval")
    rows = [_slice(each) for each in sliced.slices]
    caption = f"Mean {sliced.loss} by slice"
    if all(each.saved is None for each in sliced.slices):
        rows = [row[: len(heads)] for row in rows]
    else:
        heads, caption = (*heads, "champion", "lower by", "interval"), f"{caption}, compared with the champion"
    return CardTable(heads, tuple(rows), SLICES, caption)


def _slice(each: SliceLoss) -> tuple[str, ...]:
    saved = ("-", "-") if each.saved is None else (told(each.saved[0]), span(*each.saved[1:]))
    mean = (each.column, each.name, str(each.rows), told(each.loss), span(*each.interval))
    return (*mean, told(each.other), *saved)


def calibration(facts: Facts) -> CardSection:
    """The calibration curve on the judged rows, as figures and as a picture."""
    if not len(facts.judged):
        return CardSection("Calibration", "calibration")
    loss, task = facts.fit.recipe.loss, cast("Task", facts.view.task)
    curve = curve_of(facts.judged["actual"].to_numpy(), facts.predicted(), task, loss=loss)
    of = {
        "regression": "mean prediction",
        "binary": "mean predicted probability",
        "multiclass": "mean probability of the predicted class",
    }[task]
    points = zip(curve.said, curve.came, curve.low, curve.high, strict=True)
    rows = tuple((told(float(s)), told(float(c)), span(float(low), float(high))) for s, c, low, high in points)
    ideal = "the first column" if curve.ideal is None else told(curve.ideal)
    caption = f"Tenths of the rows, by prediction; ideal: {ideal}"
    table = CardTable((of, curve.what, "± 2 standard errors"), rows, JUDGED, caption)
    shown = (Picture("calibration.png", "Calibration"),) if "calibration.png" in facts.pictures else ()
    return CardSection("Calibration", "calibration", tables=(table,), pictures=shown)


def importance(facts: Facts) -> CardSection:
    """How much each feature weighs, by exact contributions and by the gain of its splits."""
    gains, exact = facts.fit.gains, facts.importance
    weights = {} if exact is None else exact.weights
    total, whole = sum(weights.values()) or 1.0, sum(gains.values()) or 1.0
    rows = tuple(
        (
            name,
            told(weights.get(name)),
            "-" if name not in weights else f"{weights[name] / total:.1%}",
            f"{gain / whole:.1%}",
        )
        for name, gain in sorted(gains.items(), key=lambda item: (-weights.get(item[0], 0.0), -item[1], item[0]))
    )
    sentence = "No exact contributions are stored for this version."
    if exact:
        sentence = (
            f"Contributions are exact, in units of the raw score, and were computed on {exact.rows} of {exact.of} "
            "holdout rows. The importance of a feature is the mean of their absolute values."
        )
    heads = ("feature", "mean absolute contribution", "share", "share of the gain")
    shown = (Picture("importance.png", "Importance"),) if "importance.png" in facts.pictures else ()
    table = CardTable(heads, rows, IMPORTANCE if exact else facts.fit_file)
    return CardSection("Importance", "importance", (sentence,), (table,), shown)


def fairness(facts: Facts) -> CardSection:
    """Figures by declared group, of every model that was looked at; empty where no groups are declared."""
    record = facts.fairness
    if record is None:
        return CardSection("Fairness", "fairness")
    tables = []
    for model in record.models:
        for column in model.columns:
            measures = sorted({name for group in column.groups for name in group.measures})
            rows = tuple(
                (group.group, str(group.rows), *(_measure(group.measures.get(name)) for name in measures))
                for group in column.groups
            )
            heads = ("group", "rows", *(name.replace("_", " ") for name in measures))
            tables.append(CardTable(heads, rows, FAIRNESS, f"{model.of}, by {column.column}"))
    limits = told({name: value for name, value in record.limits.items() if value is not None})
    step = "" if record.mitigate in (None, "none") else f" Mitigation: {record.mitigate}."
    return CardSection(
        "Fairness", "fairness", (f"Limits on differences between groups: {limits}.{step}",), tuple(tables)
    )


def _measure(found: MeasuredFigure | None) -> str:
    if found is None or found.figure is None:
        return "-"
    interval = "" if found.interval is None else f" ({span(*found.interval)})"
    return told(found.figure) + (interval if found.judged else " (too few rows)")


FEW_ROUNDS = 3
"""So few trees are hardly a model."""


def limits(facts: Facts) -> CardSection:
    """Sentences on what is not known, then what a person said."""
    verdict, view = facts.verdict, facts.view
    found = []
    if verdict.rows < facts.min_rows:
        found.append(
            f"This version was evaluated on {verdict.rows} holdout rows, but the gate asks for {facts.min_rows}."
        )
    if verdict.detectable is not None:
        found.append(
            f"Differences from the champion below {verdict.detectable.gain:.1%} could not be distinguished from noise."
        )
    if len(facts.judged):
        unseen = int((facts.judged["actual"] < 0).sum()) if view.task == "multiclass" else 0
        if unseen:
            found.append(f"{unseen} holdout rows are of classes not seen in training, which are never predicted.")
        if view.task == "multiclass":
            absent = [name for code, name in enumerate(view.classes) if not (facts.judged["actual"] == code).any()]
            if absent:
                found.append(
                    f"No holdout row is of these classes: {told(absent)}. How well they are recognized is unknown."
                )
    recipe = facts.fit.recipe
    if recipe.model == "gbm" and recipe.rounds <= FEW_ROUNDS:
        found.append(
            f"Boosting stopped at round {recipe.rounds}, because more rounds raised the loss in the folds of the "
            "search. This happens after a break in the data. The model may use only a small part of "
            "what the features offer."
        )
    found += _by_slice(facts)
    found.append("Categories not seen in training are treated as missing.")
    until = facts.split.judged_until
    found.append(f"This version contains no information from after {told(until)}, where its holdout rows end.")
    if facts.importance is None:
        found.append("No exact contributions are stored, so the importance is based on the splits alone.")
    found.append(f"Stated by the owner: {facts.said.limits or 'nothing yet (card.limits in params.yaml)'}")
    return CardSection("Known limits", "limits", tuple(found))


def _by_slice(facts: Facts) -> list[str]:
    sliced = facts.slices
    looked = {each.column for each in sliced.slices}
    columns = [name for name in facts.view.features if name not in looked]
    said = [f"Slices with fewer than {facts.least_rows} holdout rows were not evaluated."]
    if columns:
        said.append(
            f"No slices of {told(columns)} were evaluated: they have too few rows, or there are too many categories."
        )
    if worse := sliced.worse:
        names = "; ".join(f"{each.column} {each.name}" for each in worse[:5])
        said.append(
            f"The loss is clearly higher than the champion's in {len(worse)} of {len(sliced.slices)} slices: {names}."
        )
    return said


TASKS = {
    "regression": "predicts a number",
    "binary": "predicts the probability of one of two classes",
    "multiclass": "predicts the probability of each class",
}
MOST_LEVELS = 12
"""Levels of a category column that are named."""


def intended_use(facts: Facts) -> CardSection:
    """Owner and purpose as a person said them, and what the model does."""
    view, said = facts.view, facts.said
    pairs = [
        ("owner", said.owner or "not stated (card.owner in params.yaml)"),
        ("purpose", said.purpose or "not stated (card.purpose in params.yaml)"),
        ("what it does", f"{TASKS[view.task]}: {view.target}"),
        ("classes", told(view.classes) if view.classes else None),
    ]
    return CardSection("Intended use", "use", tables=(facts_table(pairs, VIEW),))


def data(facts: Facts) -> CardSection:
    """The data window, rows by part, and the features."""
    split, fit, lineage = facts.split, facts.fit, facts.version.made_from
    whose = "" if facts.verdict.agreement is None else f", as version {facts.verdict.agreement}"
    pairs = [
        ("as of", facts.version.as_of),
        ("trained on", f"{fit.rows} rows, {told(fit.since)} to {told(fit.until)}"),
        ("training window", fit.window),
        ("evaluated on", f"{facts.verdict.rows} rows, {told(split.judged_from)} to {told(split.judged_until)}{whose}"),
        ("mature rows by part", split.rows),
        ("digest of the raw batches", lineage.raw_digest),
        ("leaks allowed", "; ".join(f"{name}: {why}" for name, why in lineage.allowed_leaks.items()) or None),
    ]
    rows = []
    for name, kind in facts.view.features.items():
        levels = facts.view.levels.get(name)
        shown = "" if levels is None else f"{len(levels)}: {told(levels[:MOST_LEVELS])}"
        more = "" if levels is None or len(levels) <= MOST_LEVELS else ", ..."
        rows.append((name, kind, shown + more))
    features = CardTable(("feature", "type", "known categories"), tuple(rows), VIEW, "Features")
    return CardSection("Data", "data", tables=(facts_table(pairs, SPLIT), features))


def preparation(facts: Facts) -> CardSection:
    """The steps that make something else of the features, and what each found in the training rows."""
    steps = facts.view.steps
    if not steps:
        return CardSection("Preparation", "preparation")
    rows = []
    for step in steps:
        settings = step.declared.arguments
        found = "; ".join(f"{name}: {told(value)}" for name, value in step.said.items())
        gone = f"drops {told(step.drops)}" if step.drops else ""
        cells = (told(settings) if settings else "", f"{len(step.makes)}", "; ".join(filter(None, (found, gone))))
        rows.append((step.declared.step, told(step.columns), *cells))
    heads = ("step", "columns", "settings", "columns made", "found")
    sentence = (
        "The steps run in this order. They are fitted on the training rows of the model, fold or backtest origin."
    )
    return CardSection("Preparation", "preparation", (sentence,), (CardTable(heads, tuple(rows), VIEW),))


def lineage(facts: Facts) -> CardSection:
    """What it was made from, by hashes."""
    row, found = facts.version, facts.version.made_from
    pairs = [
        ("tag", row.tag),
        ("run", row.run),
        ("decision", found.decision),
        ("commit of the run", found.commit),
        ("snapshot of the workspace", found.snapshot),
        ("untracked files copied", found.untracked or None),
        ("champion it was compared with", "none" if found.champion is None else f"version {found.champion}"),
        ("bundle", row.bundle),
        ("model", row.model_sha256),
        ("dvc.lock", found.dvc_lock),
        ("requirements.lock", found.requirements_lock),
        ("order of the rows", found.row_order),
        ("Python", found.python),
        ("platform", found.platform),
    ]
    sentence = (
        "This version can be rebuilt from these inputs, byte for byte on the same platform: "
        f"retrim versions reproduce {facts.number}."
    )
    return CardSection("Lineage", "lineage", (sentence,), (facts_table(pairs, "store: versions"),))


def training(facts: Facts) -> CardSection:
    """Mode, recipe, search and backtest."""
    recipe, found, backtest = facts.fit.recipe, facts.found, facts.backtest
    decided = backtest.decide or {}
    pairs = [
        ("mode", facts.version.made_from.mode),
        ("estimator", recipe.model),
        ("loss", recipe.loss),
        ("challengers that competed", ", ".join(sorted(facts.verdict.metrics)) or None),
        ("winner", facts.verdict.winner),
        ("search trials", facts.trials or None),
        ("classes", _balanced_in_words(recipe.balance)),
        ("decision", _decided_in_words(decided.get(facts.verdict.winner))),
        ("seed", recipe.seed),
    ]
    hyper = recipe.hyperparameters or found.hyperparameters
    rounds = recipe.rounds or found.rounds
    chosen = CardTable(
        ("hyperparameter", "value"),
        tuple((name, told(value)) for name, value in [*sorted(hyper.items()), ("rounds", rounds)]),
        facts.fit_file,
        "Hyperparameters",
    )
    tables = [facts_table(pairs, facts.fit_file), chosen]
    if backtest.origins:
        names = sorted({name for origin in backtest.origins for name in origin.losses})
        rows = tuple(
            (told(o.start), told(o.end), str(o.rows), *(told(o.losses.get(name)) for name in names))
            for o in backtest.origins
        )
        heads = ("from", "until", "rows", *(f"{backtest.loss}, {name}" for name in names))
        tables.append(CardTable(heads, rows, BACKTEST, "Backtest: the recipe refitted at earlier origins"))
    pictures = [Picture("loss_over_folds.png", "Loss over the origins of the backtest")]
    pictures += [Picture("hyperparameter_importance.png", "What affected the loss during the search")]
    shown = tuple(each for each in pictures if each.name in facts.pictures)
    return CardSection("How it was made", "made", tables=tuple(tables), pictures=shown)


def _balanced_in_words(balance: str | None) -> str | None:
    if balance is None:
        return None
    how = "weighted equally" if balance == "weights" else "sampled down to the size of the rarest class"
    return f"{how} in the fit; probabilities corrected to the class shares of the training rows"


def _decided_in_words(chosen: ChosenThreshold | None) -> str | None:
    if chosen is None:
        return None
    return (
        f"selected from a probability of {told(chosen.threshold)}, with a mean cost of {told(chosen.cost)} on "
        f"{chosen.rows} backtest rows; if probabilities were exact, from {told(chosen.expected)}, with a mean cost of "
        f"{told(chosen.expected_cost)} on these rows"
    )


STORE = "store: "
MOST_LINES, MOST_TEXT = 40, 160
NAMES = {
    "release_checks": "Release checks",
    "approval": "Approval",
    "probation": "Probation",
    "proof": "Proof of the rebuild",
    "card": "Stored cards",
    "imported": "Import",
}


def releases(facts: Facts) -> CardSection:
    """When it went live and why, and when something else did."""
    rows = tuple(
        (str(row.sequence), told(row.at), row.action, f"version {row.version}", row.actor, row.reason)
        for row in facts.releases
        if facts.number in (row.version, row.previous)
    )
    if not rows:
        return CardSection("Releases", "releases", ("This version was never live.",))
    heads = ("move", "at", "action", "live after it", "by", "reason")
    return CardSection("Releases", "releases", tables=(CardTable(heads, rows, f"{STORE}releases"),))


def envelope(facts: Facts) -> tuple[CardSection, ...]:
    """A section for every kind of record that was added after the version was made, whatever it holds."""
    kinds = sorted({row.kind for row in facts.envelope} - {"card"}, key=lambda kind: (kind not in NAMES, kind))
    made = []
    for kind in kinds:
        tables = []
        for row in facts.envelope:
            if row.kind == kind:
                tables += _record(row, f"{STORE}envelopes")
        made.append(CardSection(NAMES.get(kind, kind.replace("_", " ")), f"envelope-{kind}", tables=tuple(tables)))
    return tuple(made)


def _record(row: EnvelopeRow, source: str) -> list[CardTable]:
    """One record: its checks as a table where it has some, all else as names and values."""
    record = dict(row.record)
    caption = f"{row.id}, {told(row.at)}"
    checks = record.pop("checks", None)
    tables = []
    plain = {name: value for name, value in _lines(record).items() if value is not None}
    if plain:
        shown = list(plain.items())[:MOST_LINES]
        if len(plain) > len(shown):
            shown.append(("...", f"{len(plain) - len(shown)} more"))
        tables.append(facts_table([(name, _brief(value)) for name, value in shown], source, caption))
    listed = [check for check in checks if isinstance(check, dict)] if isinstance(checks, list) else []
    if listed:
        names = list(dict.fromkeys(name for check in listed for name in check))
        rows = tuple(tuple(_brief(check.get(name)) for name in names) for check in listed)
        tables.append(CardTable(tuple(names), rows, source, caption if not plain else ""))
    return tables


def _lines(record: Mapping[str, Any]) -> dict[str, JsonValue]:
    found: dict[str, JsonValue] = {}
    for name, value in record.items():
        if isinstance(value, Mapping) and value:
            found |= {f"{name}.{below}": each for below, each in _lines(value).items()}
        else:
            found[name.replace("_", " ")] = value
    return found


def _brief(value: Any) -> str:
    text = told(value)
    return text if len(text) <= MOST_TEXT else text[: MOST_TEXT - 3] + "..."


def drift(facts: Facts) -> CardSection:
    """The checks at which it was live: rows, loss, what had drifted, what was decided."""
    if not facts.checks:
        return CardSection("Since it went live", "since", ("No check has run while this version was live.",))
    rows = []
    for check in facts.checks:
        record, measured = check.record, check.record.performance.measured
        over = [_finding(each) for each in record.drift.findings if each.over]
        rows.append(
            (
                told(check.as_of),
                "-" if measured is None else str(measured.window.rows),
                told(record.performance.loss),
                "-" if measured is None else f"{measured.interval[0]:.4g} to {measured.interval[1]:.4g}",
                "; ".join(over[:4]) + (f"; {len(over) - 4} more" if len(over) > 4 else "") or "none",
                check.outcome,
            )
        )
    before = facts.verdict.losses.get(facts.verdict.winner)
    drifted = sum(1 for row in rows if row[4] != "none")
    sentence = (
        f"{len(rows)} check{'' if len(rows) == 1 else 's'} while this version was live, {drifted} with drift over a "
        f"limit. Its mean loss on the holdout rows: {told(before)}."
    )
    heads = ("check", "rows with new labels", "mean loss", "interval", "drift over its limit", "decision")
    return CardSection(
        "Since it went live", "since", (sentence,), (CardTable(heads, tuple(rows), f"{STORE}decisions"),)
    )


def _finding(found: "DriftFinding") -> str:
    return f"{found.column} ({found.test} {found.effect:.3g})"


def card_of(facts: Facts) -> Card:
    """The card of a version; the same facts give the same card."""
    sections = [
        intended_use(facts),
        data(facts),
        preparation(facts),
        gate(facts),
        metrics(facts),
        calibration(facts),
        importance(facts),
        fairness(facts),
        limits(facts),
        releases(facts),
        *envelope(facts),
        drift(facts),
        training(facts),
        lineage(facts),
    ]
    kept = tuple(_attributed(section, facts.figures_of) for section in sections if not section.empty)
    verdict, name = facts.verdict, facts.fit.recipe.loss
    judged = "" if verdict.agreement is None else f", of version {verdict.agreement}, which was judged"
    seen = verdict.training.get("loss")
    status = facts_table([("status", _status(facts))], f"{STORE}releases")
    summary = facts_table(
        [
            ("verdict", verdict.reason),
            ("mean loss on the holdout rows", f"{name} {told(verdict.losses.get(verdict.winner))}{judged}"),
            ("training error on these rows", None if seen is None else f"{name} {told(seen)}"),
            ("as of", facts.version.as_of),
            ("run in MLflow", "not known" if facts.run is None else facts.run),
        ],
        VERDICT,
    )
    return Card(f"Model card: {facts.model}, version {facts.number}", (status, summary), kept, _sources(facts, kept))


JUDGED_SECTIONS = ("gate", "metrics", "calibration", "importance", "fairness")


def _attributed(section: CardSection, figures_of: str | None) -> CardSection:
    """The section with the sentence that says whose figures it has."""
    if figures_of is None or section.anchor not in JUDGED_SECTIONS:
        return section
    return replace(section, sentences=(figures_of, *section.sentences))


def _status(facts: Facts) -> str:
    spans = facts.live_spans
    if not spans:
        return f"never live: {facts.outcome}"
    since_, until = spans[-1]
    if until is None:
        return f"live since {told(since_)}"
    return f"not live; it was live from {told(since_)} to {told(until)} ({facts.outcome})"


def _sources(facts: Facts, sections: tuple[CardSection, ...]) -> tuple[Source, ...]:
    """Those that the tables name, and the pictures, in the order of the card."""
    named = [
        f"{STORE}releases",
        VERDICT,
        *(table.source for section in sections for table in section.tables),
    ]
    root = "runs:/unknown" if facts.run is None else f"runs:/{facts.run}"
    found = []
    for name in dict.fromkeys(named):
        if name.startswith(STORE):
            found.append(Source(name, f"table {name.removeprefix(STORE)} of the store, model {facts.model}", None))
        else:
            found.append(Source(name, f"{root}/bundle/{name}", facts.digests.get(name)))
    found += [
        Source(f"pictures/{picture.name}", f"{root}/pictures/{picture.name}", None)
        for section in sections
        for picture in section.pictures
    ]
    return tuple(found)
