"""The review of a pull request: the last retrainings before and after it, and the comment in Markdown."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd
from pydantic import JsonValue

from retrim.gate.change import ChangeVerdict, Outcome, judge_change
from retrim.gate.losses import share_in_words
from retrim.gate.verdict import GateParams
from retrim.stats.bootstrap import Resampling
from retrim.stats.codec import to_record, written

PASSES: tuple[Outcome, ...] = ("nothing to replay", "same", "better", "not worse")
MARKER = "<!-- retrim pull-request -->"  # first line of the comment, by which a later one finds it
SHOWN = 120  # characters of a value or a sentence's part that a comment shows


@dataclass(frozen=True)
class ReplayedRetraining:
    """A retraining, as of its date, as it is made before and after a change.

    Args:
        promoted: The gate's answer to each side.
        losses: The loss of each row that a side judged, by key, in time order.
    """

    version: int
    as_of: str
    mode: str
    promoted: tuple[bool, bool]
    losses: "tuple[pd.Series[float], pd.Series[float]]"


@dataclass(frozen=True)
class ReviewedRetraining:
    """A retraining before and after a change.

    Args:
        version: The version that the retraining made.
        as_of: As-of date of the retraining.
        mode: Mode of the retraining.
        promoted: Whether the gate promotes each side, before and after.
        change: The losses of both sides.
    """

    version: int
    as_of: str
    mode: str
    promoted: tuple[bool, bool]
    change: ChangeVerdict


@dataclass(frozen=True)
class ChangeReview:
    """The review of a pull request.

    Args:
        base: The commit before the change.
        head: The commit with the change.
        files: Changed files that a retraining reads.
        settings: Changed settings that a stage reads: dotted key, value before, value after.
        loss: Name of the loss.
        retrainings: One entry per retraining, oldest first.
        together: All retrainings together; None if none was replayed.
        outcome: The outcome in one word.
        sentence: The reason for the outcome.
    """

    base: str
    head: str
    files: tuple[str, ...]
    settings: dict[str, tuple[JsonValue, JsonValue]]
    loss: str
    retrainings: tuple[ReviewedRetraining, ...]
    together: ChangeVerdict | None
    outcome: Outcome
    sentence: str

    @written
    def passes(self) -> bool:
        """Whether the outcome lets the pull request pass."""
        return self.outcome in PASSES

    def as_record(self) -> dict[str, JsonValue]:
        record = to_record(self)
        assert isinstance(record, dict)
        return record


def review_retraining(retraining: ReplayedRetraining, gate: GateParams, resampling: Resampling) -> ReviewedRetraining:
    """One retraining's sides on the rows that both judge, which neither was fitted on."""
    before, after = _paired(retraining)
    change = judge_change(before.to_numpy(), after.to_numpy(), gate, resampling)
    return ReviewedRetraining(retraining.version, retraining.as_of, retraining.mode, retraining.promoted, change)


def review_all(retrainings: Sequence[ReplayedRetraining], gate: GateParams, resampling: Resampling) -> ChangeVerdict:
    """All retrainings together; a row that several of them judge counts once, with its mean loss."""
    pairs = [_paired(retraining) for retraining in retrainings]
    before, after = (pd.concat([pair[side] for pair in pairs]).groupby(level=0, sort=False).mean() for side in range(2))
    return judge_change(before.to_numpy(), after.to_numpy(), gate, resampling)


def _paired(retraining: ReplayedRetraining) -> tuple["pd.Series[float]", "pd.Series[float]"]:
    before, after = retraining.losses
    both = before.index[before.index.isin(after.index)]
    return before.loc[both], after.loc[both]


def as_comment(review: ChangeReview) -> str:
    """The comment in Markdown."""
    word = "passed" if review.passes else "failed"
    lines = [MARKER, f"### retrim: {word} ({review.outcome})", "", f"{_escaped(review.sentence)}.", ""]
    if review.together is not None:
        loss = _escaped(review.loss)
        lines += [
            f"| retraining | as of | mode | rows | {loss}: before | after | gain | gate: before | after |",
            "| --- | --- | --- | ---: | ---: | ---: | --- | --- | --- |",
            *(_line(retraining) for retraining in review.retrainings),
            f"| **all** |  |  | {_figures(review.together)} |  |  |",
            "",
        ]
    if review.settings:
        lines += ["| setting | before | after |", "| --- | --- | --- |"]
        lines += [f"| {_escaped(key)} | {_code(old)} | {_code(new)} |" for key, (old, new) in review.settings.items()]
        lines.append("")
    if review.files:
        lines += [f"Changed files that a retraining reads: {', '.join(_code(name) for name in review.files)}.", ""]
    lines.append(
        f"Compared {review.base[:12]} with {review.head[:12]}. Each retraining used the data and champion of its date."
    )
    return "\n".join(lines) + "\n"


def _line(retraining: ReviewedRetraining) -> str:
    before, after = ("promoted" if promoted else "refused" for promoted in retraining.promoted)
    about = f"| version {retraining.version} | {retraining.as_of} | {retraining.mode}"
    return f"{about} | {_figures(retraining.change)} | {before} | {after} |"


def _figures(change: ChangeVerdict) -> str:
    gain = change.gain
    if gain is None:
        return "0 | | | "
    figure, low, high = (share_in_words(value) for value in (gain.figure, gain.low, gain.high))
    return f"{change.rows} | {change.before:.4g} | {change.after:.4g} | {figure} ({low} to {high})"


def _code(value: JsonValue) -> str:
    text = str(value).replace("`", "'").replace("\n", " ")
    text = text if len(text) <= SHOWN else f"{text[:SHOWN]}..."
    return f"`{text}`".replace("|", "\\|")


def _escaped(text: str) -> str:
    """Text that Markdown shows as it is, on one line."""
    flat = " ".join(text.split())
    return "".join(f"\\{sign}" if sign in "\\`*_<>|[]#@" else sign for sign in flat)


def settings_read(
    before: Mapping[str, JsonValue], after: Mapping[str, JsonValue], sections: Sequence[str]
) -> dict[str, tuple[JsonValue, JsonValue]]:
    """Settings that differ and lie in one of the sections."""
    keys = [key for key in sorted({*before, *after}) if before.get(key) != after.get(key)]
    return {
        key: (before.get(key), after.get(key))
        for key in keys
        if any(key == name or key.startswith(f"{name}.") or name.startswith(f"{key}.") for name in sections)
    }
