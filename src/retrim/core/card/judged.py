"""How a version was judged: the gate's checks, metrics by slice, calibration, importance, fairness."""

from typing import Any, cast

from retrim.core.card.facts import Facts
from retrim.core.card.page import Picture, Section, Table, span, told
from retrim.core.gate.verdict import mark_of
from retrim.core.metrics import Task
from retrim.core.report.calibration import curve_of

VERDICT, JUDGED, SLICES, IMPORTANCE, FAIRNESS = (
    f"verdict/{name}" for name in ("verdict.json", "judged.parquet", "slices.json", "importance.json", "fairness.json")
)
PICTURES = (
    ("challenger_against_champion.png", "Challenger against champion over the judging rows"),
    ("predicted_against_actual.png", "Predicted against actual"),
    ("confusion.png", "Actual against predicted class"),
    ("residuals.png", "Residuals against time and prediction"),
)


def gate(facts: Facts) -> Section:
    """Every check of the gate, what it could have seen, and the losses of all models."""
    verdict = facts.verdict
    word = "promoted" if verdict["promote"] else "refused"
    sentences = [f"The gate {word} it: {verdict['reason']}."]
    if seen := verdict.get("detectable"):
        sentences.append(f"What could be seen: {seen['text']}.")
    sentences += [f"Note: {note}." for note in verdict.get("notes", [])]
    rows = tuple(
        (
            check["name"],
            mark_of(check),
            told(check["figure"]),
            told(check["threshold"]),
            "-" if not check.get("interval") else span(*check["interval"]),
            check["text"],
        )
        for check in verdict["checks"]
    )
    checks = Table(("check", "", "figure", "held against", "interval", "in words"), rows, VERDICT, "Checks")
    ranked = sorted(verdict["losses"].items(), key=lambda item: (item[1], item[0]))
    losses = Table(("model", "mean loss"), tuple((name, told(loss)) for name, loss in ranked), VERDICT, "Losses")
    shown = tuple(Picture(name, title) for name, title in PICTURES[:1] if name in facts.pictures)
    return Section("The gate's verdict", "gate", tuple(sentences), (checks, losses), shown)


def metrics(facts: Facts) -> Section:
    """Metrics of the winner on the judged rows, and its loss by slice with intervals."""
    found = facts.verdict.get("metrics", {}).get(facts.verdict["winner"], {})
    tables = []
    if found:
        rows = tuple((name, told(value)) for name, value in found.items())
        tables.append(Table(("metric", "on the judged rows"), rows, VERDICT))
    sliced = facts.records.get(SLICES)
    if sliced and sliced["slices"]:
        tables.append(_slices(sliced))
    names = ("slices.png", "predicted_against_actual.png", "confusion.png", "residuals.png")
    titles = {"slices.png": "Loss by slice", **dict(PICTURES)}
    shown = tuple(Picture(name, titles[name]) for name in names if name in facts.pictures)
    return Section("Metrics", "metrics", tables=tuple(tables), pictures=shown)


def _slices(sliced: dict[str, Any]) -> Table:
    """The slice table; without the champion's columns where there was none."""
    heads: tuple[str, ...] = ("column", "slice", "rows", sliced["loss"], "interval")
    rows = [_slice(each) for each in sliced["slices"]]
    caption = f"Mean {sliced['loss']} by slice"
    if all(each["saved"] is None for each in sliced["slices"]):
        rows = [row[: len(heads)] for row in rows]
    else:
        heads, caption = (*heads, "champion", "below it by", "interval"), f"{caption}, and the champion's"
    return Table(heads, tuple(rows), SLICES, caption)


def _slice(each: dict[str, Any]) -> tuple[str, ...]:
    saved = ("-", "-") if each["saved"] is None else (told(each["saved"][0]), span(*each["saved"][1:]))
    mean = (each["column"], each["name"], str(each["rows"]), told(each["loss"]), span(*each["interval"]))
    return (*mean, told(each["other"]), *saved)


def calibration(facts: Facts) -> Section:
    """The calibration curve on the judged rows, as figures and as a picture."""
    if not len(facts.judged):
        return Section("Calibration", "calibration")
    loss = facts.records[facts.fit_file]["recipe"]["loss"]
    task = cast("Task", facts.view["task"])
    curve = curve_of(facts.judged["actual"].to_numpy(), facts.predicted(), task, loss=loss)
    of = {
        "regression": "mean prediction",
        "binary": "mean predicted probability",
        "multiclass": "mean probability of the predicted class",
    }[task]
    points = zip(curve.said, curve.came, curve.low, curve.high, strict=True)
    rows = tuple((told(float(s)), told(float(c)), span(float(low), float(high))) for s, c, low, high in points)
    ideal = "the first column" if curve.ideal is None else told(curve.ideal)
    caption = f"Tenths of the rows, by what was said; calibrated: {ideal}"
    table = Table((of, curve.what, "± 2 standard errors"), rows, JUDGED, caption)
    shown = (Picture("calibration.png", "Calibration"),) if "calibration.png" in facts.pictures else ()
    return Section("Calibration", "calibration", tables=(table,), pictures=shown)


def importance(facts: Facts) -> Section:
    """How much each feature weighs, by exact contributions and by the gain of its splits."""
    gains = facts.records[facts.fit_file].get("gains", {})
    exact = facts.records.get(IMPORTANCE)
    weights = exact["weights"] if exact else {}
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
    sentence = "This version keeps no exact contributions."
    if exact:
        sentence = (
            f"Contributions are exact, of {exact['rows']} of {exact['of']} judged rows, in units of the "
            "raw score; the mean of their absolute values is what a feature weighs."
        )
    heads = ("feature", "mean absolute contribution", "share", "share of the gain")
    shown = (Picture("importance.png", "Importance"),) if "importance.png" in facts.pictures else ()
    table = Table(heads, rows, IMPORTANCE if exact else facts.fit_file)
    return Section("Importance", "importance", (sentence,), (table,), shown)


def fairness(facts: Facts) -> Section:
    """Figures by declared group, of every model that was looked at; empty where no groups are declared."""
    record = facts.records.get(FAIRNESS)
    if not record:
        return Section("Fairness", "fairness")
    tables = []
    for model in record["models"]:
        for column in model["columns"]:
            measures = sorted({name for group in column["groups"] for name in group["measures"]})
            rows = tuple(
                (group["group"], str(group["rows"]), *(_measure(group["measures"].get(name)) for name in measures))
                for group in column["groups"]
            )
            heads = ("group", "rows", *(name.replace("_", " ") for name in measures))
            tables.append(Table(heads, rows, FAIRNESS, f"{model['of']}, by {column['column']}"))
    limits = told({name: value for name, value in record["limits"].items() if value is not None})
    step = "" if record["mitigate"] in (None, "none") else f" Mitigation: {record['mitigate']}."
    return Section("Fairness", "fairness", (f"Limits on differences between groups: {limits}.{step}",), tuple(tables))


def _measure(found: dict[str, Any] | None) -> str:
    if found is None or found["figure"] is None:
        return "-"
    interval = "" if not found["interval"] else f" ({span(*found['interval'])})"
    return told(found["figure"]) + (interval if found["judged"] else " (too few rows)")
