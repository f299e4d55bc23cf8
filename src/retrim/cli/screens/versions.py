"""What the commands show of two versions, of a tried setting, of an explained prediction and of a profiled table."""

from collections.abc import Mapping, Sequence
from typing import Any

from retrim.card.diff import CameAndWent, FeatureChanges, NamedPrediction, StepChange, VersionDiff
from retrim.card.report import Facts, Report, Table, brief, counted, first_few, moment, section, shown
from retrim.drift.slices import SliceLoss
from retrim.gate.losses import share_in_words
from retrim.profile.findings import findings
from retrim.profile.whole import TableProfile
from retrim.reports.changed_settings import RefitComparison
from retrim.reports.explain import ExplainedRow, PredictionLineage

FEW_SLICES = 3
BAR = 12  # characters of a bar on either side
SCORES = {
    "identity": "prediction",
    "log": "log of the prediction",
    "chance": "probability",
    "log odds": "log odds",
    "shares": "share",
    "log shares": "raw score (log share)",
}
LINKS = {  # how a raw score becomes the output; one that is the output itself is not in it
    "log": "exp(sum)",
    "log odds": "1 / (1 + exp(-sum))",
    "shares": "its share of the sum over all classes",
    "log shares": "its exp divided by the sum over all classes",
}
WEIGHTS = {"stop": "serious", "warn": "look", "tell": "note"}


def diff_report(diff: VersionDiff) -> Report:
    """Data, code, parameters, features, packages, metrics, slices, the rows that moved most, and what is not known."""
    sides = f"version {diff.older}", f"version {diff.newer}"
    environment = diff.environment
    both = {"python": environment.python, "platform": environment.platform}
    packages = {name: pair for name, pair in both.items() if len(set(pair)) > 1} | (environment.packages or {})
    tables = list(_data(diff, sides))
    if diff.code is not None:
        files = [(one.file, _lines(one.added, "+"), _lines(one.removed, "-")) for one in diff.code.files]
        tables.append(section("Code", ("file", "added", "removed"), files, nothing="the same files"))
    if diff.parameters is not None:
        tables.append(section("Settings", ("key", *sides), _pairs(diff.parameters), nothing="the same"))
    tables += [
        section("Hyperparameters", ("name", *sides), _pairs(diff.hyperparameters), nothing="the same"),
        section("Features", ("feature", "change"), _features(diff.features), nothing="the same"),
        section("Preparation", ("step", "change"), _steps(diff.steps), nothing="the same"),
    ]
    if environment.packages is not None or packages:
        tables.append(section("Environment", ("package", *sides), _pairs(packages), nothing="the same packages"))
    return (*tables, *_on_common_rows(diff, sides), *(f"\nnote: {note}" for note in diff.notes))


def _data(diff: VersionDiff, sides: tuple[str, str]) -> Report:
    older, newer = both = diff.data.older, diff.data.newer
    rows = (
        *(
            (name.replace("_", " "), *(_cell(getattr(one, name)) for one in both))
            for name in ("as_of", "mode", "champion", "window", "trained_rows")
        ),
        ("trained", *(_times(one.trained_from, one.trained_until) for one in both)),
        ("judged", *(_times(one.judged_from, one.judged_until) for one in both)),
        ("rows", *(", ".join(f"{count} {part}" for part, count in sorted(one.rows.items())) for one in both)),
        ("raw data", *("-" if one.raw_digest is None else one.raw_digest[:12] for one in both)),
        ("model", older.model_sha256[:12], newer.model_sha256[:12]),
    )
    lines = []
    for batches, what in ((diff.data.came, f"are new in {sides[1]}"), (diff.data.gone, f"are only in {sides[0]}")):
        if batches:
            names = first_few([f"{one.batch} ({one.rows} {one.kind})" for one in batches], 4)
            lines.append(f"{len(batches)} batches with {sum(b.rows for b in batches)} rows {what}: {names}")
    return (Table("Data and model", ("", *sides), rows), *lines)


def _on_common_rows(diff: VersionDiff, sides: tuple[str, str]) -> list[Table]:
    rows = diff.rows
    if rows is None:
        return []
    measured = diff.metrics or {}
    before, after = measured[str(diff.older)], measured[str(diff.newer)]
    where = f"{_times(rows.since, rows.until)}, from the judging block of version {rows.block_of}"
    title = f"Metrics on {rows.rows} rows that neither version was trained on ({where})"
    metrics = tuple((name, f"{before[name]:.5g}", f"{value:.5g}") for name, value in after.items())
    saved = [(one, one.saved) for one in diff.slices if one.saved is not None]
    # clear differences first, then those that weigh most
    saved.sort(key=lambda pair: (not (pair[1][1] > 0 or pair[1][2] < 0), -abs(pair[1][0]) * pair[0].rows))
    slices = [
        (
            one.column,
            one.name,
            str(one.rows),
            shown(one.other),
            shown(one.loss),
            f"{-mean:+.3g}",
            f"{-high:+.3g} to {-low:+.3g}",
        )
        for one, (mean, low, high) in saved
    ]
    rows_moved = [
        (one.key, moment(one.event), _cell(one.actual), _prediction(one.older), _prediction(one.newer))
        for one in diff.moved
    ]
    by_slice = f"Mean {rows.loss} by slice, clear differences first"
    heads = ("column", "slice", "rows", *sides, "change", "interval")
    return [
        Table(title, ("metric", *sides), metrics),
        section(by_slice, heads, slices, nothing="no slice has enough rows"),
        section("Rows that moved most", ("row", "event", "actual", *sides), rows_moved, nothing="none moved"),
    ]


def _times(since: str | None, until: str | None) -> str:
    return f"{moment(since)} to {moment(until)}"


def _pairs(changed: Mapping[str, Sequence[Any]]) -> list[tuple[str, ...]]:
    return [(key, *(_cell(value) for value in pair)) for key, pair in changed.items()]


def _steps(steps: Sequence[StepChange]) -> list[tuple[str, str]]:
    lines = []
    for one in steps:
        if one.learned is None:
            lines.append((one.step, one.change))
        for what, (older, newer) in (one.learned or {}).items():
            lines.append((one.step, f"{what}: {_cell(older)} to {_cell(newer)}"))
    return lines


def _features(features: FeatureChanges) -> list[tuple[str, str]]:
    lines = [(name, f"added ({kind})") for name, kind in features.added.items()]
    lines += [(name, f"gone ({kind})") for name, kind in features.gone.items()]
    lines += [(name, f"{older} to {newer}") for name, (older, newer) in features.types.items()]
    lines += [(name, _names(levels)) for name, levels in features.levels.items()]
    both = (("the target's classes", features.classes), ("prepared columns", features.columns))
    return lines + [(name, _names(changed)) for name, changed in both if changed is not None]


def _names(changed: CameAndWent) -> str:
    parts = []
    for word, names in (("added", changed.came), ("gone", changed.gone)):
        if names:
            more = f" and {len(names) - 8} more" if len(names) > 8 else ""
            parts.append(f"{word}: {', '.join(names[:8])}{more}")
    return "; ".join(parts) or "different order"


def _prediction(prediction: NamedPrediction) -> str:
    if prediction.named is None:
        return f"{prediction.value:.5g}"
    return f"{prediction.named} {prediction.value:.1%}"


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    return brief(f"{value:.6g}" if isinstance(value, float) else str(value))


def _lines(count: int | None, sign: str) -> str:
    return "not text" if count is None else f"{sign}{count}"


def refits_report(refits: RefitComparison) -> Report:
    """What a changed setting does to the loss, by slice too."""
    change = refits.change
    parts: list[str | Table] = [
        f"{key}: {' -> '.join(brief('null' if value is None else str(value), 100) for value in pair)}"
        for key, pair in refits.changes.items()
    ]
    sides = zip(("current", "changed"), (change.before, change.after), refits.seconds, strict=True)
    rows = tuple((name, shown(loss), f"{seconds:.1f}") for name, loss, seconds in sides)
    parts.append(Table("", ("", refits.measure, "seconds"), rows))
    if change.gain is not None:
        gain, low, high = (share_in_words(share) for share in (change.gain.figure, *change.gain.interval))
        parts.append(f"gain {gain} ({low} to {high}), {change.rows} rows, {refits.origins} origins")
    saved = [(one, one.saved) for one in refits.slices if one.saved is not None]
    worst = [(one, interval) for one, interval in saved if interval[0] < 0][:FEW_SLICES]
    best = [(one, interval) for one, interval in reversed(saved) if interval[0] > 0][:FEW_SLICES]
    for title, slices in (("loses most", worst), ("gains most", best)):
        if slices:
            heads = ("slice", "rows", "current", "changed", "saved")
            parts.append(Table(title, heads, tuple(_refitted(*pair) for pair in slices)))
    return (*parts, f"\n{change.outcome}: {change.sentence}")


def _refitted(one: SliceLoss, saved: tuple[float, float, float]) -> tuple[str, ...]:
    interval = f"{saved[0]:+.3g} ({saved[1]:+.3g} to {saved[2]:+.3g})"
    return f"{one.column}: {one.name}", str(one.rows), shown(one.other), shown(one.loss), interval


def explanation_report(row: ExplainedRow, *, top: int) -> Report:
    """The `top` largest contributions, the rest in one line, and the sum."""
    explanation, origin, stored = row.explanation, row.lineage, None
    explained, output = explanation.explained, f"{explanation.output:.6g}"
    if explained is not None:
        output = f"{explained} with {explanation.output:.2%}"
    if row.stored is not None:
        values = row.stored if isinstance(row.stored, list) else [row.stored]
        equal = "equal to" if row.agrees else "DIFFERENT from"
        stored = f"{', '.join(f'{value:.6g}' for value in values)}: {equal} what the version predicts now"
    facts = Facts(
        (
            ("version", row.version),
            ("row", row.key),
            ("event", moment(row.event)),
            ("features as of", moment(row.as_of)),
            ("prediction", output),
            ("stored", stored),
            ("classes", _classes(explanation.outputs)),
            ("made", None if origin is None else _made(origin)),
            ("from batch", None if origin is None else origin.batch),
            ("version's run", None if origin is None else origin.run),
            ("its code", None if origin is None else origin.commit),
            ("its data", None if origin is None else origin.raw_digest),
            ("its verdict", None if origin is None else origin.verdict),
        )
    )
    largest_first, rest = explanation.added[:top], explanation.added[top:]
    parts = [
        (
            one.feature,
            f"{one.value} ({one.note})" if one.value and one.note else one.value or one.note,
            one.contribution,
        )
        for one in largest_first
    ]
    if rest:
        parts.append((counted(len(rest), "other"), "", sum(one.contribution for one in rest)))
    largest = max((abs(part) for _, _, part in parts), default=0.0)
    how = LINKS.get(explanation.link)
    rows = (
        ("average training row", "", f"{explanation.base:.6g}", ""),
        *((name, value, f"{part:+.6g}", _bar(part, largest)) for name, value, part in parts),
        (
            f"sum: {SCORES[explanation.link]}{'' if explained is None else f' of {explained}'}",
            "",
            f"{explanation.score:.6g}",
            "" if how is None else f"{how} = {explanation.output:.4f}",
        ),
    )
    exact = "exact (TreeSHAP, or a linear model's terms); the sum differs from the score by "
    table = Table("What each feature adds", ("feature", "value", "adds", ""), rows)
    return (facts, table, f"\n{exact}{abs(explanation.remainder):.1e}")


def _made(origin: PredictionLineage) -> str:
    by = f", by token {origin.token}" if origin.token else ""
    return f"{moment(origin.at)}, request {origin.request}{by}"


def _bar(part: float, largest: float) -> str:
    """A bar to the left of the middle for what lowers, to the right for what raises."""
    bar = "█" * (round(BAR * abs(part) / largest) if largest > 0 else 0)
    left, right = (bar, "") if part < 0 else ("", bar)
    return f"{left:>{BAR}}│{right:<{BAR}}"


def _classes(outputs: Mapping[str, float]) -> str | None:
    ranked = sorted(outputs.items(), key=lambda item: (-item[1], item[0]))
    return first_few([f"{name} {share:.2%}" for name, share in ranked], 5) or None


def profile_report(profile: TableProfile) -> Report:
    """The table, then each finding with what to do."""
    table, listed = profile.table, findings(profile)
    mature = "" if table.mature is None else f", {table.mature:,} of them mature"
    span = None
    if table.rows:
        ends = f"{moment(table.event.iloc[0])} to {moment(table.event.iloc[-1])}"
        ends = ends if table.timed else "no event time: in order of arrival"
        span = f"{ends}, in parts of {profile.period_rows} rows"
    skipped = f"; {len(table.left_out)} never stored" if table.left_out else ""
    sampled = f"{profile.sampled:,} rows drawn at random, for slow computations"
    facts = Facts(
        (
            ("rows", f"{table.rows:,}{mature}"),
            ("span", span),
            ("columns", f"{len(profile.columns)}{skipped}"),
            ("target", f"{table.data.target[:60]}, {table.data.task}"),
            ("sample", "all rows" if profile.sampled == table.rows else sampled),
        )
    )
    lines: list[tuple[str, str]] = []
    for note in listed:
        column = f"{note.column[:60]}: " if note.column else ""
        lines += [(WEIGHTS[note.weight], f"{note.about}: {column}{note.seen}"), ("", note.done)]
    if not listed:
        return (facts, Facts((), "Findings (0)"), "no findings")
    return (facts, Facts(tuple(lines), f"Findings ({len(listed)})"))
