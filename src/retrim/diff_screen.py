"""The difference of two versions on the screen: a section each, and only what changed."""

from collections.abc import Mapping, Sequence
from typing import Any

from retrim import screens

MOST = 15  # lines of a section
VALUE = 60  # characters of a value


def show_diff(record: dict[str, Any]) -> None:
    """Data, code, parameters, features, packages, metrics, slices, the rows that moved most, and what is not known."""
    older, newer = f"version {record['from']}", f"version {record['to']}"
    _show_data(record["data"], older, newer)
    if record["code"] is not None:
        rows = [
            (each["file"], _count(each["added"], "+"), _count(each["removed"], "-")) for each in record["code"]["files"]
        ]
        _section("Code", ("file", "added", "removed"), rows, nothing="the same files")
    if record["parameters"] is not None:
        _section("Parameters (params.yaml)", ("key", older, newer), _pairs(record["parameters"]), nothing="the same")
    _section("Hyperparameters", ("name", older, newer), _pairs(record["hyperparameters"]), nothing="the same")
    _section("Features", ("feature", "change"), _feature_lines(record["features"]), nothing="the same")
    _section("Preparation", ("step", "change"), _step_lines(record["steps"]), nothing="the same")
    environment = record["environment"]
    places = {name: environment[name] for name in ("python", "platform") if len(set(environment[name])) > 1}
    if environment["packages"] is not None or places:
        pairs = {**places, **(environment["packages"] or {})}
        _section("Environment", ("package", older, newer), _pairs(pairs), nothing="the same packages")
    _show_rows(record, older, newer)
    for note in record["notes"]:
        screens.OUT.print(f"\nnote, {note}", highlight=False, markup=False)


def _show_data(data: dict[str, Any], older: str, newer: str) -> None:
    sides = data["from"], data["to"]
    names = ("as_of", "mode", "champion", "window", "trained_rows")
    lines = [(name.replace("_", " "), *(_value(side[name]) for side in sides)) for name in names]
    for start in ("trained", "judged"):
        spans = [
            f"{screens.moment(side[f'{start}_from'])} to {screens.moment(side[f'{start}_until'])}" for side in sides
        ]
        lines.append((start, *spans))
    lines.append(("rows", *(", ".join(f"{count} {part}" for part, count in sorted(s["rows"].items())) for s in sides)))
    lines.append(("raw data", *(_short(side["raw_digest"]) for side in sides)))
    lines.append(("model", *(_short(side["model_sha256"]) for side in sides)))
    screens.show_table(("", older, newer), lines, title="Data and model")
    for word in ("came", "gone"):
        if data[word]:
            rows = sum(each["rows"] for each in data[word])
            said = "came" if word == "came" else f"had come for {older} alone"
            listed = ", ".join(f"{each['batch']} ({each['rows']} {each['kind']})" for each in data[word][:4])
            more = f", {len(data[word]) - 4} more" if len(data[word]) > 4 else ""
            screens.OUT.print(f"{len(data[word])} batches with {rows} rows {said}: {listed}{more}", highlight=False)


def _show_rows(record: dict[str, Any], older: str, newer: str) -> None:
    rows = record["rows"]
    if rows is None:
        return
    metrics = [
        (
            name,
            f"{record['metrics'][str(record['from'])][name]:.5g}",
            f"{record['metrics'][str(record['to'])][name]:.5g}",
        )
        for name in record["metrics"][str(record["to"])]
    ]
    span = f"{screens.moment(rows['from'])} to {screens.moment(rows['until'])}"
    title = f"Metrics on {rows['rows']} rows that neither was trained on"
    where = f"{span}, of the judging block of version {rows['block_of']}"
    screens.show_table(("metric", older, newer), metrics, title=f"{title} ({where})")
    clear = sorted(record["slices"], key=lambda each: (not _is_clear(each), -abs(each["saved"][0]) * each["rows"]))
    lines = [
        (
            each["column"],
            each["name"],
            str(each["rows"]),
            f"{each['other']:.4g}",
            f"{each['loss']:.4g}",
            f"{-each['saved'][0]:+.3g}",
            f"{-each['saved'][2]:+.3g} to {-each['saved'][1]:+.3g}",
        )
        for each in clear[:MOST]
    ]
    heads = ("column", "slice", "rows", older, newer, "change", "interval")
    _section(f"Mean {rows['loss']} by slice, what is clear first", heads, lines, nothing="no slice has enough rows")
    rows_moved = [
        (each["key"], screens.moment(each["event"]), _value(each["actual"]), _said(each["from"]), _said(each["to"]))
        for each in record["moved"]
    ]
    _section("Rows that moved most", ("row", "event", "actual", older, newer), rows_moved, nothing="none moved")


def _section(title: str, heads: Sequence[str], rows: Sequence[Sequence[Any]], *, nothing: str) -> None:
    if not rows:
        screens.OUT.print(f"\n[bold]{title}[/]: {nothing}", highlight=False)
        return
    screens.show_table(heads, rows[:MOST], title=title)
    if len(rows) > MOST:
        screens.OUT.print(f"... and {len(rows) - MOST} more; --json has all", highlight=False)


def _pairs(changed: Mapping[str, Sequence[Any]]) -> list[tuple[str, ...]]:
    return [(key, *(_value(value) for value in pair)) for key, pair in changed.items()]


def _step_lines(steps: Sequence[Mapping[str, Any]]) -> list[tuple[str, str]]:
    lines = []
    for each in steps:
        if each["learned"] is None:
            lines.append((each["step"], each["change"]))
        for key, (older, newer) in (each["learned"] or {}).items():
            lines.append((each["step"], f"{key}: {_value(older)} to {_value(newer)}"))
    return lines


def _feature_lines(features: dict[str, Any]) -> list[tuple[str, str]]:
    lines = [(name, f"added ({kind})") for name, kind in features["added"].items()]
    lines += [(name, f"gone ({kind})") for name, kind in features["gone"].items()]
    lines += [(name, f"{older} to {newer}") for name, (older, newer) in features["types"].items()]
    for name, levels in features["levels"].items():
        lines.append((name, _came(levels)))
    if features["classes"] is not None:
        lines.append(("the target's classes", _came(features["classes"])))
    if features["columns"] is not None:
        lines.append(("prepared columns", _came(features["columns"])))
    return lines


def _came(levels: dict[str, list[str]]) -> str:
    words = []
    for word in ("came", "gone"):
        if names := levels[word]:
            more = f" and {len(names) - 8} more" if len(names) > 8 else ""
            words.append(f"{word}: {', '.join(names[:8])}{more}")
    return "; ".join(words) or "another order"


def _is_clear(each: dict[str, Any]) -> bool:
    return bool(each["saved"][1] > 0 or each["saved"][2] < 0)


def _said(prediction: dict[str, Any]) -> str:
    if "class" not in prediction:
        return f"{prediction['value']:.5g}"
    return f"{prediction['class']} {prediction['value']:.1%}"


def _value(value: Any) -> str:
    if value is None:
        return "-"
    return screens.brief(f"{value:.6g}" if isinstance(value, float) else str(value), VALUE)


def _short(digest: str | None) -> str:
    return "-" if digest is None else digest[:12]


def _count(lines: int | None, sign: str) -> str:
    return "not text" if lines is None else f"{sign}{lines}"
