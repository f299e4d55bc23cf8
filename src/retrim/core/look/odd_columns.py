"""What is odd about a column by itself: empty, constant, gaps, categories, far values."""

from collections.abc import Iterator

import numpy as np

from retrim.core.init.notes import Note
from retrim.core.look.columns import ColumnLook
from retrim.core.look.whole import Look

NEARLY = 0.995
NEW_LEVELS = 0.01
FAR_OUT = 10.0
LONG = 200
MUCH, MOVES = 0.5, 0.2
"""Share missing that is much; difference of that share between parts of the history that is a change."""


def cut_name(name: str) -> str:
    return name if len(name) <= 40 else f"{name[:39]}…"


def forbid(name: str) -> str:
    """The setting that keeps a model from a column."""
    return f"data.columns.{cut_name(name)}: role forbidden"


def _features(look: Look) -> Iterator[ColumnLook]:
    return (column for column in look.columns if column.role == "feature")


def empty_columns(look: Look) -> Iterator[Note]:
    for column in _features(look):
        if not column.rows:
            continue
        if column.missing == column.rows:
            yield Note("empty", column.name, f"no value in {column.rows} rows", forbid(column.name), "warn")
        elif column.distinct == 1:
            said = "one value in every row" if not column.missing else "one value wherever there is one"
            yield Note("constant", column.name, said, forbid(column.name), "warn" if not column.missing else "tell")
        elif column.most_share >= NEARLY:
            said = f"{column.most_share:.2%} of its values are the same"
            yield Note("near-constant", column.name, said, f"{forbid(column.name)}, unless the rest is what counts")


def gaps(look: Look) -> Iterator[Note]:
    for column in look.columns:
        share = column.missing_share
        if column.role not in ("feature", "forbidden") or not 0 < share < 1:
            continue
        gap = look.gaps.get(column.name)
        known = column.missing_by[~np.isnan(column.missing_by)]
        said = [f"{share:.1%} missing"]
        if len(known) > 1 and known.max() - known.min() >= MOVES:
            at = look.periods.labels[int(np.nanargmax(column.missing_by))]
            said.append(f"{known.min():.0%} to {known.max():.0%} over time, most in {at}")
        elif share < MUCH and (gap is None or not gap.told_by):
            continue
        if gap is not None and gap.told_by:
            said.append(f"systematic, told by {cut_name(gap.told_by)} (Cramér's V {gap.strength:.2f})")
        elif gap is not None and gap.kind == "random":
            said.append("at random as far as time, target and other columns tell")
        target = gap is not None and gap.told_by == look.table.data.target
        done = (
            "that a value is missing says something of the target: make sure that it does so before the event"
            if target
            else "a model takes a missing value as it is, or prepare.steps fill it; ask the source why it is gone"
        )
        yield Note("missing", column.name, "; ".join(said), done, "warn" if share >= MUCH or target else "tell")


def levels(look: Look) -> Iterator[Note]:
    for column in _features(look):
        known = column.levels
        share = look.unseen.get(column.name, known.unseen if known else 0.0)
        if share >= NEW_LEVELS:
            whom = (
                f"version {look.champion.version}" if look.champion and column.name in look.unseen else "earlier rows"
            )
            said = f"{share:.1%} of the newest fifth of the rows have a category that {whom} did not know"
            yield Note("unseen levels", column.name, said, "they count as missing: retrain, or take rare ones together")
        if known and column.rows and known.rare_rows >= NEW_LEVELS * column.rows:
            said = f"{known.rare} of {column.distinct} categories have fewer than 20 rows, {known.rare_rows} together"
            yield Note("rare levels", column.name, said, "nothing can be learned of one alone: take them together")
        if known and known.longest > LONG:
            said = f"texts of up to {known.longest} signs, {column.distinct} different ones"
            yield Note("prose", column.name, said, f"as a category it only names rows: {forbid(column.name)}")


def far_values(look: Look) -> Iterator[Note]:
    for column in _features(look):
        numbers = column.numbers
        if numbers is None:
            continue
        if numbers.infinite:
            said = f"{numbers.infinite} cells hold no finite number"
            yield Note("infinite", column.name, said, "correct them in the source, or leave them blank", "warn")
        low, one, *_, nine, high = numbers.quantiles
        width = nine - one
        far = max(high - nine, one - low)
        if width > 0 and np.isfinite(far) and far > FAR_OUT * width:
            said = (
                f"the farthest value, {high if high - nine >= one - low else low:.6g}, lies {far / width:.0f} times "
                f"the width of the middle 98 % beyond it ({one:.4g} to {nine:.4g})"
            )
            yield Note(
                "far values", column.name, said, "valid but rare, or a slip: a bound in the suite sets slips aside"
            )
