"""The difference of two versions on the screen: a section each, and only what changed.

What a tried setting shows: both losses, the gain, the slices that lose and gain most, and the sentence.

An explained prediction on the screen: what each feature adds, with a bar, down to the sum.

A profiled table on a screen: what it is, and what was found.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.markup import escape

from retrim.card.diff import CameAndWent, DiffData, FeatureChanges, NamedPrediction, StepChange, VersionDiff
from retrim.cli import render
from retrim.drift.slices import SliceLoss
from retrim.gate.losses import share_in_words
from retrim.profile.findings import findings
from retrim.profile.whole import TableProfile
from retrim.reports.changed_settings import RefitComparison
from retrim.reports.explain import ExplainedRow
from retrim.training.predicted import Contribution, Explanation

MOST = 15  # lines of a section
VALUE = 60  # characters of a value


def show_diff(found: VersionDiff) -> None:
    """Data, code, parameters, features, packages, metrics, slices, the rows that moved most, and what is not known."""
    older, newer = f"version {found.older}", f"version {found.newer}"
    _show_data(found.data, older, newer)
    if found.code is not None:
        rows = [(each.file, _count(each.added, "+"), _count(each.removed, "-")) for each in found.code.files]
        _section("Code", ("file", "added", "removed"), rows, nothing="the same files")
    if found.parameters is not None:
        _section("Settings", ("key", older, newer), _pairs(found.parameters), nothing="the same")
    _section("Hyperparameters", ("name", older, newer), _pairs(found.hyperparameters), nothing="the same")
    _section("Features", ("feature", "change"), _feature_lines(found.features), nothing="the same")
    _section("Preparation", ("step", "change"), _step_lines(found.steps), nothing="the same")
    environment = found.environment
    both = {"python": environment.python, "platform": environment.platform}
    places = {name: pair for name, pair in both.items() if len(set(pair)) > 1}
    if environment.packages is not None or places:
        pairs = {**places, **(environment.packages or {})}
        _section("Environment", ("package", older, newer), _pairs(pairs), nothing="the same packages")
    _show_rows(found, older, newer)
    for note in found.notes:
        render.OUT.print(f"\nnote: {note}", highlight=False, markup=False)


def _show_data(data: DiffData, older: str, newer: str) -> None:
    sides = data.older, data.newer
    lines = [
        ("as of", *(_value(side.as_of) for side in sides)),
        ("mode", *(_value(side.mode) for side in sides)),
        ("champion", *(_value(side.champion) for side in sides)),
        ("window", *(_value(side.window) for side in sides)),
        ("trained rows", *(_value(side.trained_rows) for side in sides)),
        ("trained", *(_span(side.trained_from, side.trained_until) for side in sides)),
        ("judged", *(_span(side.judged_from, side.judged_until) for side in sides)),
        ("rows", *(", ".join(f"{count} {part}" for part, count in sorted(side.rows.items())) for side in sides)),
        ("raw data", *(_short(side.raw_digest) for side in sides)),
        ("model", *(_short(side.model_sha256) for side in sides)),
    ]
    render.show_table(("", older, newer), lines, title="Data and model")
    for batches, what in ((data.came, f"are new in {newer}"), (data.gone, f"are only in {older}")):
        if batches:
            rows = sum(each.rows for each in batches)
            listed = ", ".join(f"{each.batch} ({each.rows} {each.kind})" for each in batches[:4])
            more = f", {len(batches) - 4} more" if len(batches) > 4 else ""
            render.OUT.print(f"{len(batches)} batches with {rows} rows {what}: {listed}{more}", highlight=False)


def _span(since: str | None, until: str | None) -> str:
    return f"{render.moment(since)} to {render.moment(until)}"


def _show_rows(found: VersionDiff, older: str, newer: str) -> None:
    rows = found.rows
    if rows is None:
        return
    measured = found.metrics or {}
    before, after = measured[str(found.older)], measured[str(found.newer)]
    metrics = [(name, f"{before[name]:.5g}", f"{figure:.5g}") for name, figure in after.items()]
    title = f"Metrics on {rows.rows} rows that neither version was trained on"
    where = f"{_span(rows.since, rows.until)}, from the judging block of version {rows.block_of}"
    render.show_table(("metric", older, newer), metrics, title=f"{title} ({where})")
    saved = [(each, each.saved) for each in found.slices if each.saved is not None]
    clear = sorted(saved, key=lambda pair: (not _is_clear(pair[1]), -abs(pair[1][0]) * pair[0].rows))
    lines = [
        (
            each.column,
            each.name,
            str(each.rows),
            f"{each.other:.4g}",
            f"{each.loss:.4g}",
            f"{-mean:+.3g}",
            f"{-high:+.3g} to {-low:+.3g}",
        )
        for each, (mean, low, high) in clear[:MOST]
    ]
    heads = ("column", "slice", "rows", older, newer, "change", "interval")
    _section(f"Mean {rows.loss} by slice, clear differences first", heads, lines, nothing="no slice has enough rows")
    rows_moved = [
        (each.key, render.moment(each.event), _value(each.actual), _said(each.older), _said(each.newer))
        for each in found.moved
    ]
    _section("Rows that moved most", ("row", "event", "actual", older, newer), rows_moved, nothing="none moved")


def _section(title: str, heads: Sequence[str], rows: Sequence[Sequence[Any]], *, nothing: str) -> None:
    if not rows:
        render.OUT.print(f"\n[bold]{escape(title)}[/]: {escape(nothing)}", highlight=False, markup=True)
        return
    render.show_table(heads, rows[:MOST], title=title)
    if len(rows) > MOST:
        render.OUT.print(f"... and {len(rows) - MOST} more; --json has all", highlight=False)


def _pairs(changed: Mapping[str, Sequence[Any]]) -> list[tuple[str, ...]]:
    return [(key, *(_value(value) for value in pair)) for key, pair in changed.items()]


def _step_lines(steps: Sequence[StepChange]) -> list[tuple[str, str]]:
    lines = []
    for each in steps:
        if each.learned is None:
            lines.append((each.step, each.change))
        for what, (older, newer) in (each.learned or {}).items():
            lines.append((each.step, f"{what}: {_value(older)} to {_value(newer)}"))
    return lines


def _feature_lines(features: FeatureChanges) -> list[tuple[str, str]]:
    lines = [(name, f"added ({kind})") for name, kind in features.added.items()]
    lines += [(name, f"gone ({kind})") for name, kind in features.gone.items()]
    lines += [(name, f"{older} to {newer}") for name, (older, newer) in features.types.items()]
    lines += [(name, _came(levels)) for name, levels in features.levels.items()]
    if features.classes is not None:
        lines.append(("the target's classes", _came(features.classes)))
    if features.columns is not None:
        lines.append(("prepared columns", _came(features.columns)))
    return lines


def _came(levels: CameAndWent) -> str:
    words = []
    for word, names in (("added", levels.came), ("gone", levels.gone)):
        if names:
            more = f" and {len(names) - 8} more" if len(names) > 8 else ""
            words.append(f"{word}: {', '.join(names[:8])}{more}")
    return "; ".join(words) or "different order"


def _is_clear(saved: tuple[float, float, float]) -> bool:
    return saved[1] > 0 or saved[2] < 0


def _said(prediction: NamedPrediction) -> str:
    if prediction.named is None:
        return f"{prediction.value:.5g}"
    return f"{prediction.named} {prediction.value:.1%}"


def _value(value: Any) -> str:
    if value is None:
        return "-"
    return render.brief(f"{value:.6g}" if isinstance(value, float) else str(value), VALUE)


def _short(digest: str | None) -> str:
    return "-" if digest is None else digest[:12]


def _count(lines: int | None, sign: str) -> str:
    return "not text" if lines is None else f"{sign}{lines}"


SHOWN = 3


def show_refits(refits: RefitComparison) -> None:
    """Prints what a changed setting does to the loss, by slice too."""
    for key, (old, new) in refits.changes.items():
        render.OUT.print(f"{key}: {_told(old)} -> {_told(new)}", highlight=False, markup=False)
    change = refits.change
    sides = zip(("current", "changed"), (change.before, change.after), refits.seconds, strict=True)
    rows = [(name, f"{loss:.4g}", f"{seconds:.1f}") for name, loss, seconds in sides]
    render.show_table(("", refits.measure, "seconds"), rows)
    if change.gain is not None:
        figure, low, high = (share_in_words(share) for share in (change.gain.figure, *change.gain.interval))
        counted = f"{change.rows} rows, {refits.origins} origins"
        render.OUT.print(f"gain {figure} ({low} to {high}), {counted}", highlight=False, markup=False)
    saved = [(each, each.saved) for each in refits.slices if each.saved is not None]
    worst = [(each, interval) for each, interval in saved if interval[0] < 0][:SHOWN]
    best = [(each, interval) for each, interval in reversed(saved) if interval[0] > 0][:SHOWN]
    for title, slices in (("loses most", worst), ("gains most", best)):
        if slices:
            render.show_table(("slice", "rows", "current", "changed", "saved"), map_lines(slices), title=title)
    render.OUT.print()
    render.OUT.print(f"{change.outcome}: {change.sentence}", highlight=False, markup=False)


def map_lines(found: list[tuple[SliceLoss, tuple[float, float, float]]]) -> list[tuple[str, ...]]:
    """A line a slice."""
    return [
        (
            f"{each.column}: {each.name}",
            str(each.rows),
            f"{each.other:.4g}",
            f"{each.loss:.4g}",
            f"{saved[0]:+.3g} ({saved[1]:+.3g} to {saved[2]:+.3g})",
        )
        for each, saved in found
    ]


def _told(value: Any) -> str:
    return render.brief("null" if value is None else str(value), 100)


WIDTH = 12  # characters of a bar on either side
SCORES = {
    "identity": "prediction",
    "log": "log of the prediction",
    "chance": "probability",
    "log odds": "log odds",
    "shares": "share",
    "log shares": "raw score (log share)",
}
HOW = {
    "log": "exp(sum)",
    "log odds": "1 / (1 + exp(-sum))",
    "shares": "its share of the sum over all classes",
    "log shares": "its exp divided by the sum over all classes",
}
"""How a raw score becomes the output; one that is the output itself is not in it."""


def show_explanation(row: ExplainedRow, *, top: int) -> None:
    """The `top` largest contributions, the rest in one line, and the sum."""
    found = row.explanation
    of = "" if found.explained is None else f" of {found.explained}"
    output = f"{found.output:.6g}" if found.explained is None else f"{found.explained} with {found.output:.2%}"
    render.show_facts(
        [
            ("version", row.version),
            ("row", row.key),
            ("event", render.moment(row.event)),
            ("features as of", render.moment(row.as_of)),
            ("prediction", output),
            ("stored", None if row.stored is None else _stored_in_words(row)),
            ("classes", _classes_in_words(found.outputs)),
            *_lineage_facts(row),
        ]
    )
    shown, rest = found.added[:top], found.added[top:]
    parts = [(each.feature, _value_in_words(each), each.contribution) for each in shown]
    if rest:
        parts.append((f"{len(rest)} other{'' if len(rest) == 1 else 's'}", "", sum(e.contribution for e in rest)))
    largest = max((abs(part[2]) for part in parts), default=0.0)
    rows = [("average training row", "", f"{found.base:.6g}", "")]
    rows += [(name, value, f"{part:+.6g}", _bar(part, largest)) for name, value, part in parts]
    rows.append((f"sum: {SCORES[found.link]}{of}", "", f"{found.score:.6g}", _link_in_words(found)))
    render.show_table(("feature", "value", "adds", ""), rows, title="What each feature adds")
    render.OUT.print(
        f"\nexact (TreeSHAP, or a linear model's terms); the sum differs from the score by {abs(found.remainder):.1e}",
        highlight=False,
    )


def _lineage_facts(row: ExplainedRow) -> list[tuple[str, str | None]]:
    """Where a stored prediction came from."""
    made = row.lineage
    if made is None:
        return []
    return [
        ("made", f"{render.moment(made.at)}, request {made.request}"),
        ("from batch", made.batch),
        ("version's run", made.run),
        ("its code", made.commit),
        ("its data", made.raw_digest),
        ("its verdict", made.verdict),
    ]


def _bar(part: float, largest: float) -> str:
    """A bar to the left of the middle for what lowers, to the right for what raises."""
    length = round(WIDTH * abs(part) / largest) if largest > 0 else 0
    left, right = ("█" * length, "") if part < 0 else ("", "█" * length)
    return f"{left:>{WIDTH}}│{right:<{WIDTH}}"


def _value_in_words(each: Contribution) -> str:
    if not each.note:
        return each.value
    return f"{each.value} ({each.note})" if each.value else each.note


def _link_in_words(found: Explanation) -> str:
    how = HOW.get(found.link)
    return "" if how is None else f"{how} = {found.output:.4f}"


def _stored_in_words(row: ExplainedRow) -> str:
    stored = row.stored
    said = ", ".join(f"{each:.6g}" for each in stored) if isinstance(stored, list) else f"{stored:.6g}"
    return f"{said}: {'equal to' if row.agrees else 'DIFFERENT from'} what the version predicts now"


def _classes_in_words(outputs: Mapping[str, float]) -> str | None:
    ranked = sorted(outputs.items(), key=lambda item: (-item[1], item[0]))
    if not ranked:
        return None
    more = f", {len(ranked) - 5} more" if len(ranked) > 5 else ""
    return ", ".join(f"{name} {share:.2%}" for name, share in ranked[:5]) + more


WEIGHTS = {"stop": "serious", "warn": "look", "tell": "note"}


def show_look(look: TableProfile) -> None:
    """The table, then each finding with what to do."""
    render.show_facts(_table_facts(look))
    found = findings(look)
    render.OUT.print(f"\n[bold]Findings[/] ({len(found)})", highlight=False, markup=True)
    lines: list[tuple[str, str]] = []
    for note in found:
        column = f"{note.column[:60]}: " if note.column else ""
        lines += [(WEIGHTS[note.weight], f"{note.about}: {column}{note.seen}"), ("", note.done)]
    render.show_facts(lines)
    if not found:
        render.OUT.print("no findings", highlight=False)


def _table_facts(look: TableProfile) -> list[tuple[str, str]]:
    table, data = look.table, look.table.data
    mature = "" if table.mature is None else f", {table.mature:,} of them mature"
    facts = [("rows", f"{table.rows:,}{mature}")]
    if table.rows and table.timed:
        span = f"{render.moment(table.event.iloc[0].isoformat())} to {render.moment(table.event.iloc[-1].isoformat())}"
        facts.append(("span", f"{span}, in parts of {look.periods.every}"))
    elif table.rows:
        facts.append(("span", f"no event time: in order of arrival, in parts of {look.periods.every}"))
    skipped = f"; {len(table.left_out)} never stored" if table.left_out else ""
    facts.append(("columns", f"{len(look.columns)}{skipped}"))
    facts.append(("target", f"{data.target[:60]}, {data.task}"))
    whole = look.sampled == table.rows
    facts.append(("sample", "all rows" if whole else f"{look.sampled:,} rows drawn at random, for slow computations"))
    return facts
