"""The sections of a model card: sentences, tables and pictures, every table with the source of its figures."""

from typing import TYPE_CHECKING, Any, cast

from retrim.card.charts import curve_of
from retrim.card.diff import flat
from retrim.card.facts import STORE, VERDICT, CardSection, VersionFacts
from retrim.card.report import Facts, Table, counted, first_few, shown, span
from retrim.decision.stored_rows import EnvelopeRow
from retrim.drift.slices import LEAST_ROWS, SliceLoss
from retrim.gate.fairness import MeasuredFigure
from retrim.gate.verdict import mark_of
from retrim.training.bundle import BACKTEST, SPLIT, VIEW
from retrim.training.classes import ChosenThreshold

if TYPE_CHECKING:
    from retrim.decision.check_record import StoredCheck
    from retrim.stats.metrics import Task

JUDGED, SLICES, IMPORTANCE, FAIRNESS = (
    f"verdict/{name}" for name in ("judged.parquet", "slices.json", "importance.json", "fairness.json")
)
PICTURES = {
    "challenger_against_champion.png": "Challenger against champion over the holdout rows",
    "slices.png": "Loss by slice",
    "predicted_against_actual.png": "Predicted against actual",
    "confusion.png": "Actual against predicted class",
    "residuals.png": "Residuals against time and prediction",
    "calibration.png": "Calibration",
    "importance.png": "Importance",
    "loss_over_folds.png": "Loss over the origins of the backtest",
    "hyperparameter_importance.png": "What affected the loss during the search",
}
FEW_ROUNDS = 3  # so few trees are hardly a model
MOST_LEVELS = 12  # of a category column that are named
MOST_LINES, MOST_TEXT = 40, 160  # of a record in the envelope
TASKS = {
    "regression": "predicts a number",
    "binary": "predicts the probability of one of two classes",
    "multiclass": "predicts the probability of each class",
}
CALIBRATED = {
    "regression": "mean prediction",
    "binary": "mean predicted probability",
    "multiclass": "mean probability of the predicted class",
}
ENVELOPE = {
    "release_checks": "Release checks",
    "approval": "Approval",
    "probation": "Probation",
    "proof": "Proof of the rebuild",
    "card": "Stored cards",
    "imported": "Import",
}


def _pictures(facts: VersionFacts, *names: str) -> tuple[tuple[str, str], ...]:
    return tuple((name, PICTURES[name]) for name in names if name in facts.pictures)


def intended_use(facts: VersionFacts) -> CardSection:
    """The purpose as a person said it, and what the model does."""
    view, stated = facts.view, facts.stated
    pairs = (
        ("purpose", stated.purpose or "not stated (card.purpose in params.yaml)"),
        ("what it does", f"{TASKS[view.task]}: {view.target}"),
        ("classes", view.classes or None),
    )
    return CardSection("Intended use", "use", tables=(Facts(pairs, source=VIEW),))


def data(facts: VersionFacts) -> CardSection:
    """The data window, rows by part, and the features."""
    split, fit, origin = facts.split, facts.fit, facts.version.made_from
    judged = f"{facts.verdict.rows} rows, {shown(split.judged_from)} to {shown(split.judged_until)}"
    final = facts.final and f"{facts.final.rows} rows, {shown(facts.final.since)} to {shown(facts.final.until)}"
    pairs = (
        ("as of", facts.version.as_of),
        ("trained on", f"{fit.rows} rows, {shown(fit.since)} to {shown(fit.until)}"),
        ("final fit on", final),
        ("training window", fit.window),
        ("evaluated on", judged),
        ("mature rows by part", split.rows),
        ("digest of the raw batches", origin.raw_digest),
        ("leaks allowed", "; ".join(f"{name}: {why}" for name, why in origin.allowed_leaks.items()) or None),
    )
    rows = []
    for name, kind in facts.view.features.items():
        levels = facts.view.levels.get(name)
        more = "" if levels is None or len(levels) <= MOST_LEVELS else ", ..."
        rows.append((name, kind, "" if levels is None else f"{len(levels)}: {shown(levels[:MOST_LEVELS])}{more}"))
    features = Table("Features", ("feature", "type", "known categories"), tuple(rows), source=VIEW)
    return CardSection("Data", "data", tables=(Facts(pairs, source=SPLIT), features))


def preparation(facts: VersionFacts) -> CardSection:
    """The steps that make something else of the features, and what each found in the training rows."""
    rows = []
    for step in facts.view.steps:
        learned = [f"{name}: {shown(value)}" for name, value in step.said.items()]
        dropped = [f"drops {shown(step.drops)}"] if step.drops else []
        arguments = shown(step.declared.arguments) if step.declared.arguments else ""
        rows.append(
            (step.declared.step, shown(step.columns), arguments, f"{len(step.makes)}", "; ".join([*learned, *dropped]))
        )
    if not rows:
        return CardSection("Preparation", "preparation")
    heads = ("step", "columns", "settings", "columns made", "found")
    sentence = (
        "The steps run in this order. They are fitted on the training rows of the model, fold or backtest origin."
    )
    return CardSection("Preparation", "preparation", (sentence,), (Table("", heads, tuple(rows), source=VIEW),))


def gate(facts: VersionFacts) -> CardSection:
    """Every check of the gate, what it could have seen, and the losses of all models."""
    verdict = facts.verdict
    sentences = [f"The gate {'promoted' if verdict.promote else 'refused'} this version: {verdict.reason}."]
    if verdict.detectable is not None:
        sentences.append(f"Detectable gain: {verdict.detectable.text}.")
    sentences += [f"Note: {note}." for note in verdict.notes]
    rows = tuple(
        (
            check.name,
            mark_of(check),
            shown(check.figure),
            shown(check.threshold),
            "-" if check.interval is None else span(*check.interval),
            check.text,
        )
        for check in verdict.checks
    )
    ranked = sorted(verdict.losses.items(), key=lambda item: (item[1], item[0]))
    losses = tuple((name, shown(loss)) for name, loss in ranked)
    heads = ("check", "", "figure", "threshold", "interval", "explanation")
    tables = (
        Table("Checks", heads, rows, source=VERDICT),
        Table("Losses", ("model", "mean loss"), losses, source=VERDICT),
    )
    pictures = _pictures(facts, "challenger_against_champion.png")
    return CardSection("The gate's verdict", "gate", tuple(sentences), tables, pictures)


def metrics(facts: VersionFacts) -> CardSection:
    """Metrics of the model that was judged on the judged rows, and its loss by slice with intervals."""
    measured, sliced = facts.verdict.metrics.get(facts.verdict.winner, {}), facts.slices
    tables = []
    if measured:
        rows = tuple((name, shown(value)) for name, value in measured.items())
        tables.append(Table("", ("metric", "on the holdout rows"), rows, source=VERDICT))
    if sliced.slices:
        heads: tuple[str, ...] = ("column", "slice", "rows", sliced.loss, "interval")
        lines, caption = [_slice(one) for one in sliced.slices], f"Mean {sliced.loss} by slice"
        if all(one.saved is None for one in sliced.slices):  # there was no champion
            lines = [line[: len(heads)] for line in lines]
        else:
            heads, caption = (*heads, "champion", "lower by", "interval"), f"{caption}, compared with the champion"
        tables.append(Table(caption, heads, tuple(lines), source=SLICES))
    pictures = _pictures(facts, "slices.png", "predicted_against_actual.png", "confusion.png", "residuals.png")
    return CardSection("Metrics", "metrics", tables=tuple(tables), pictures=pictures)


def _slice(one: SliceLoss) -> tuple[str, ...]:
    saved = ("-", "-") if one.saved is None else (shown(one.saved[0]), span(*one.saved[1:]))
    return (one.column, one.name, str(one.rows), shown(one.loss), span(*one.interval), shown(one.other), *saved)


def calibration(facts: VersionFacts) -> CardSection:
    """The calibration curve on the judged rows, as figures and as a picture."""
    if not len(facts.judged):
        return CardSection("Calibration", "calibration")
    loss, task = facts.fit.recipe.loss, cast("Task", facts.view.task)
    curve = curve_of(facts.judged["actual"].to_numpy(), facts.predicted(), task, loss=loss)
    points = zip(curve.said, curve.came, curve.low, curve.high, strict=True)
    rows = tuple((shown(float(s)), shown(float(c)), span(float(low), float(high))) for s, c, low, high in points)
    ideal = "the first column" if curve.ideal is None else shown(curve.ideal)
    heads = (CALIBRATED[task], curve.what, "± 2 standard errors")
    table = Table(f"Tenths of the rows, by prediction; ideal: {ideal}", heads, rows, source=JUDGED)
    return CardSection("Calibration", "calibration", tables=(table,), pictures=_pictures(facts, "calibration.png"))


def importance(facts: VersionFacts) -> CardSection:
    """How much each feature weighs, by exact contributions and by the gain of its splits."""
    gains, exact = facts.fit.gains, facts.importance
    weights = {} if exact is None else exact.weights
    total, whole = sum(weights.values()) or 1.0, sum(gains.values()) or 1.0
    rows = tuple(
        (
            name,
            shown(weights.get(name)),
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
    table = Table("", heads, rows, source=IMPORTANCE if exact else facts.fit_file)
    return CardSection("Importance", "importance", (sentence,), (table,), _pictures(facts, "importance.png"))


def fairness(facts: VersionFacts) -> CardSection:
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
            tables.append(Table(f"{model.of}, by {column.column}", heads, rows, source=FAIRNESS))
    limits = shown({name: value for name, value in record.limits.items() if value is not None})
    step = "" if record.mitigate in (None, "none") else f" Mitigation: {record.mitigate}."
    sentence = f"Limits on differences between groups: {limits}.{step}"
    return CardSection("Fairness", "fairness", (sentence,), tuple(tables))


def _measure(measured: MeasuredFigure | None) -> str:
    if measured is None or measured.figure is None:
        return "-"
    interval = "" if measured.interval is None else f" ({span(*measured.interval)})"
    return shown(measured.figure) + (interval if measured.judged else " (too few rows)")


def limits(facts: VersionFacts) -> CardSection:
    """Sentences on what is not known, then what a person said."""
    verdict, view, recipe, sliced = facts.verdict, facts.view, facts.fit.recipe, facts.slices
    lines = []
    if verdict.rows < facts.min_rows:
        lines.append(
            f"This version was evaluated on {verdict.rows} holdout rows, but the gate asks for {facts.min_rows}."
        )
    if verdict.detectable is not None:
        lines.append(
            f"Differences from the champion below {verdict.detectable.gain:.1%} could not be distinguished from noise."
        )
    if len(facts.judged) and view.task == "multiclass":
        if unseen := int((facts.judged["actual"] < 0).sum()):
            lines.append(f"{unseen} holdout rows are of classes not seen in training, which are never predicted.")
        absent = [name for code, name in enumerate(view.classes) if not (facts.judged["actual"] == code).any()]
        if absent:
            lines.append(
                f"No holdout row is of these classes: {shown(absent)}. How well they are recognized is unknown."
            )
    if recipe.model == "gbm" and recipe.rounds <= FEW_ROUNDS:
        lines.append(
            f"Boosting stopped at round {recipe.rounds}, because more rounds raised the loss in the folds of the "
            "search. This happens after a break in the data. The model may use only a small part of "
            "what the features offer."
        )
    lines.append(f"Slices with fewer than {LEAST_ROWS} holdout rows were not evaluated.")
    evaluated = {one.column for one in sliced.slices}
    if columns := [name for name in view.features if name not in evaluated]:
        lines.append(
            f"No slices of {shown(columns)} were evaluated: they have too few rows, or there are too many categories."
        )
    if worse := sliced.worse:
        names = "; ".join(f"{one.column} {one.name}" for one in worse[:5])
        lines.append(
            f"The loss is clearly higher than the champion's in {len(worse)} of {len(sliced.slices)} slices: {names}."
        )
    lines.append("Categories not seen in training are treated as missing.")
    until = shown(facts.split.judged_until)
    lines.append(f"This version contains no information from after {until}, where its holdout rows end.")
    if facts.importance is None:
        lines.append("No exact contributions are stored, so the importance is based on the splits alone.")
    return CardSection("Known limits", "limits", tuple(lines))


def releases(facts: VersionFacts) -> CardSection:
    """When it went live and why, and when something else did."""
    rows = tuple(
        (str(row.sequence), shown(row.at), row.action, f"version {row.version}", row.actor, row.reason)
        for row in facts.releases
        if facts.number in (row.version, row.previous)
    )
    if not rows:
        return CardSection("Releases", "releases", ("This version was never live.",))
    heads = ("move", "at", "action", "live after it", "by", "reason")
    return CardSection("Releases", "releases", tables=(Table("", heads, rows, source=f"{STORE}releases"),))


def envelope(facts: VersionFacts) -> tuple[CardSection, ...]:
    """A section for every kind of record that was added after the version was made, whatever it holds."""
    kinds = sorted({row.kind for row in facts.envelope} - {"card"}, key=lambda kind: (kind not in ENVELOPE, kind))
    return tuple(
        CardSection(
            ENVELOPE.get(kind, kind.replace("_", " ")),
            f"envelope-{kind}",
            tables=tuple(table for row in facts.envelope if row.kind == kind for table in _record(row)),
        )
        for kind in kinds
    )


def _record(row: EnvelopeRow) -> list[Facts | Table]:
    """One record: its checks as a table where it has some, all else as names and values."""
    record, caption, source = dict(row.record), f"{row.id}, {shown(row.at)}", f"{STORE}envelopes"
    checks = record.pop("checks", None)
    tables: list[Facts | Table] = []
    plain = [(name.replace("_", " "), _cut(value)) for name, value in flat(record).items() if value is not None]
    if plain:
        more = [("...", f"{len(plain) - MOST_LINES} more")] if len(plain) > MOST_LINES else []
        tables.append(Facts((*plain[:MOST_LINES], *more), caption, source))
    listed = [check for check in checks if isinstance(check, dict)] if isinstance(checks, list) else []
    if listed:
        names = tuple(dict.fromkeys(name for check in listed for name in check))
        rows = tuple(tuple(_cut(check.get(name)) for name in names) for check in listed)
        tables.append(Table("" if plain else caption, names, rows, source=source))
    return tables


def _cut(value: Any) -> str:
    text = shown(value)
    return text if len(text) <= MOST_TEXT else text[: MOST_TEXT - 3] + "..."


def drift(facts: VersionFacts) -> CardSection:
    """The checks at which it was live: rows, loss, what had drifted, what was decided."""
    if not facts.checks:
        return CardSection("Since it went live", "since", ("No check has run while this version was live.",))
    rows = tuple(_check(check) for check in facts.checks)
    before = facts.verdict.losses.get(facts.verdict.winner)
    drifted = sum(row[4] != "none" for row in rows)
    sentence = (
        f"{counted(len(rows), 'check')} while this version was live, {drifted} with drift over a limit. Its mean loss "
        f"on the holdout rows: {shown(before)}."
    )
    heads = ("check", "rows with new labels", "mean loss", "interval", "drift over its limit", "decision")
    table = Table("", heads, rows, source=f"{STORE}decisions")
    return CardSection("Since it went live", "since", (sentence,), (table,))


def _check(check: "StoredCheck") -> tuple[str, ...]:
    record, measured = check.record, check.record.performance.measured
    over = [f"{one.column} ({one.test} {one.effect:.3g})" for one in record.drift.findings if one.over]
    return (
        shown(check.as_of),
        "-" if measured is None else str(measured.window.rows),
        shown(record.performance.loss),
        "-" if measured is None else span(*measured.interval),
        first_few(over, 4, apart="; ") or "none",
        check.outcome,
    )


def training(facts: VersionFacts) -> CardSection:
    """Mode, recipe, search and backtest."""
    recipe, backtest = facts.fit.recipe, facts.backtest
    balance = None
    if recipe.balance is not None:
        how = "weighted equally" if recipe.balance == "weights" else "sampled down to the size of the rarest class"
        balance = f"{how} in the fit; probabilities corrected to the class shares of the training rows"
    pairs = (
        ("mode", facts.version.made_from.mode),
        ("estimator", recipe.model),
        ("loss", recipe.loss),
        ("challengers that competed", ", ".join(sorted(facts.verdict.metrics)) or None),
        ("winner", facts.verdict.winner),
        ("search trials", facts.trials or None),
        ("classes", balance),
        ("decision", _threshold((backtest.decide or {}).get(facts.verdict.winner))),
        ("seed", recipe.seed),
    )
    hyperparameters = sorted((recipe.hyperparameters or facts.found.hyperparameters).items())
    hyperparameters.append(("rounds", recipe.rounds or facts.found.rounds))
    tables: list[Facts | Table] = [
        Facts(pairs, source=facts.fit_file),
        Table(
            "Hyperparameters",
            ("hyperparameter", "value"),
            tuple((name, shown(value)) for name, value in hyperparameters),
            source=facts.fit_file,
        ),
    ]
    if backtest.origins:
        names = sorted({name for origin in backtest.origins for name in origin.losses})
        rows = tuple(
            (shown(one.start), shown(one.end), str(one.rows), *(shown(one.losses.get(name)) for name in names))
            for one in backtest.origins
        )
        heads = ("from", "until", "rows", *(f"{backtest.loss}, {name}" for name in names))
        tables.append(Table("Backtest: the recipe refitted at earlier origins", heads, rows, source=BACKTEST))
    pictures = _pictures(facts, "loss_over_folds.png", "hyperparameter_importance.png")
    return CardSection("How it was made", "made", tables=tuple(tables), pictures=pictures)


def _threshold(chosen: ChosenThreshold | None) -> str | None:
    if chosen is None:
        return None
    return (
        f"selected from a probability of {shown(chosen.threshold)}, with a mean cost of {shown(chosen.cost)} on "
        f"{chosen.rows} backtest rows; if probabilities were exact, from {shown(chosen.expected)}, with a mean cost of "
        f"{shown(chosen.expected_cost)} on these rows"
    )


def lineage(facts: VersionFacts) -> CardSection:
    """What it was made from, by hashes."""
    row, origin = facts.version, facts.version.made_from
    pairs = (
        ("tag", row.tag),
        ("run", row.run),
        ("decision", origin.decision),
        ("commit of the run", origin.commit),
        ("snapshot of the workspace", origin.snapshot),
        ("untracked files copied", origin.untracked or None),
        ("champion it was compared with", "none" if origin.champion is None else f"version {origin.champion}"),
        ("bundle", row.bundle),
        ("model", row.model_sha256),
        ("dvc.lock", origin.dvc_lock),
        ("requirements.lock", origin.requirements_lock),
        ("order of the rows", origin.row_order),
        ("Python", origin.python),
        ("platform", origin.platform),
    )
    sentence = (
        "This version can be rebuilt from these inputs, byte for byte on the same platform: "
        f"retrim versions reproduce {facts.number}."
    )
    return CardSection("Lineage", "lineage", (sentence,), (Facts(pairs, source=f"{STORE}versions"),))
