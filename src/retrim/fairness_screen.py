"""Fairness on one screen: a table a column and model, differences before and after mitigation, proxies."""

from collections.abc import Mapping, Sequence
from typing import Any

from retrim import screens
from retrim.core.gate.verdict import mark_of

SHORT = {
    "selection_rate": "selected",
    "false_positive_rate": "false positive",
    "false_negative_rate": "false negative",
    "error_rate": "error",
    "mean_error": "mean error",
    "mean_absolute_error": "mean absolute error",
}
BRIEF = {"challenger before mitigation": "before"}
MOST_PROXIES = 5  # of a forbidden column; all of them stand in the record


def show_fairness(record: Mapping[str, Any]) -> None:
    """The record of `retrim fairness` for a person."""
    found = record["fairness"]
    if found is None:
        said = "no groups were looked at when it was judged; they are named under fairness.groups in params.yaml"
        screens.OUT.print(f"version {record['version']}: {said}", highlight=False)
    else:
        _show_models(record["version"], found)
    if record["proxies"]:
        _show_proxies(record["proxies"])
    lines = [(mark_of(check), check["text"]) for check in record["checks"]]
    lines += [("note", text) for text in record["notes"]]
    if lines:
        screens.OUT.print()
        screens.show_facts(lines)


def _show_models(version: int, found: Mapping[str, Any]) -> None:
    models = found["models"]
    measures = list(models[0]["overall"])
    rows = [
        [_name(model), f"{model['loss']:.4g}", *(_number(model["overall"][name]) for name in measures)]
        for model in models
    ]
    title = f"Version {version} on {found['rows']} judging rows"
    screens.show_table(("model", "loss", *(SHORT[name] for name in measures)), rows, title=title)
    for place, column in enumerate(models[0]["columns"]):
        rows = []
        for model in models:
            for group in model["columns"][place]["groups"]:
                error = group["calibration_error"]
                figures = [_figure(group["measures"][name]) for name in measures]
                rows.append([group["group"], _name(model), group["rows"], *figures, _number(error and error["figure"])])
        rows.sort(key=lambda row: str(row[0]))
        names = ("group", "model", "rows", *(SHORT[name] for name in measures), "calibration")
        screens.show_table(names, rows, title=f"By {column['column']}")
        _show_differences(models, place, measures)


def _show_differences(models: Sequence[Mapping[str, Any]], place: int, measures: Sequence[str]) -> None:
    rows = []
    for name in measures:
        for model in models:
            found = model["columns"][place]["differences"][name]
            if found is not None:
                low, high = found["interval"]
                apart = f"{found['figure']:.3g} ({low:.3g} to {high:.3g})"
                rows.append([SHORT[name], _name(model), found["high"], found["low"], apart, _number(found["ratio"])])
    if rows:
        screens.show_table(
            ("differs most in", "model", "high", "low", "difference", "ratio"), rows, title="Differences"
        )


def _show_proxies(proxies: Sequence[Mapping[str, Any]]) -> None:
    rows = []
    for column in dict.fromkeys(proxy["column"] for proxy in proxies):
        for proxy in [each for each in proxies if each["column"] == column][:MOST_PROXIES]:
            low, high = proxy["interval"]
            area = f"{proxy['auc']:.2f} ({low:.2f} to {high:.2f})"
            told_by = proxy["feature"] or "all features together"
            rows.append([column, told_by, area, f"{proxy['chance']:.2f}", f"{proxy['p_value']:.2f}"])
    screens.show_table(("forbidden", "told by", "area under the curve", "by chance", "p"), rows, title="Proxies")


def _name(model: Mapping[str, Any]) -> str:
    return BRIEF.get(model["of"], str(model["of"]))


def _figure(measured: Mapping[str, Any]) -> str:
    if measured["figure"] is None:
        return "-"
    if not measured["judged"]:
        return f"{measured['figure']:.3g} ({measured['rows']} rows)"
    low, high = measured["interval"]
    return f"{measured['figure']:.3g} ± {(high - low) / 2:.2g}"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3g}"
