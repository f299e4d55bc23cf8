"""What a change of features, parameters or code does to the last retrainings: both sides on the same judged rows.

The record, the answer of the gate for pull requests, and the comment in Markdown.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from pydantic import JsonValue

from retrim.gate.losses import RelativeGain, Resampling, confidence_text, relative_gains, share_in_words
from retrim.gate.verdict import GateParams
from retrim.stats.codec import to_record, written

Outcome = Literal["nothing to replay", "same", "better", "not worse", "unclear", "worse", "failed"]
PASSES: tuple[Outcome, ...] = ("nothing to replay", "same", "better", "not worse")
MARKER = "<!-- retrim pull-request -->"
"""First line of the comment, by which a later one finds it."""


@dataclass(frozen=True)
class ReplayedSide:
    """One side of a replayed retraining.

    Args:
        losses: Loss of each evaluated row, by key, in time order.
        promoted: Whether the gate promoted it against the champion of that time.
        ran: Stages that ran; the others were cached.
    """

    losses: "pd.Series[float]"
    promoted: bool
    ran: tuple[str, ...]


@dataclass(frozen=True)
class ReplayedRetraining:
    """A retraining as both sides made it.

    Args:
        version: The version that it made.
        as_of: Its date.
        mode: How it was made.
        before: With the code and settings as they are.
        after: With the changed ones.
    """

    version: int
    as_of: str
    mode: str
    before: ReplayedSide
    after: ReplayedSide


@dataclass(frozen=True)
class ReplayedLosses:
    """One replayed retraining, or all of them, before and after the change, on the rows that both sides evaluate.

    Args:
        name: The version, or "all".
        as_of: As-of date of the retraining; empty for all.
        mode: Mode of the retraining; empty for all.
        rows: Number of rows.
        before: Mean loss without the change.
        after: Mean loss with the change.
        gain: Gain of the change, as a share of `before`; None without rows.
        promoted: Whether the gate promotes each side, before and after; None for all.
    """

    name: str
    as_of: str
    mode: str
    rows: int
    before: float | None
    after: float | None
    gain: RelativeGain | None
    promoted: tuple[bool, bool] | None


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
    retrainings: tuple[ReplayedLosses, ...]
    together: ReplayedLosses | None
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


@dataclass(frozen=True)
class ChangeAnswer:
    """The outcome and why."""

    outcome: Outcome
    sentence: str


def compare_losses(retraining: ReplayedRetraining, gate: GateParams, resampling: Resampling) -> ReplayedLosses:
    """One retraining's sides on the rows that both judge, which neither was fitted on."""
    before, after = _paired(retraining.before.losses, retraining.after.losses)
    promoted = (retraining.before.promoted, retraining.after.promoted)
    return _compared(
        str(retraining.version), retraining.as_of, retraining.mode, before, after, gate, resampling, promoted=promoted
    )


def compare_all(
    retrainings: Sequence[ReplayedRetraining], gate: GateParams, resampling: Resampling
) -> tuple[ReplayedLosses, ChangeAnswer]:
    """All retrainings together, and the answer; a row that several of them judge counts once, with its mean loss."""
    pairs = [_paired(each.before.losses, each.after.losses) for each in retrainings]
    before, after = (pd.concat([pair[side] for pair in pairs]).groupby(level=0, sort=False).mean() for side in range(2))
    together = _compared("all", "", "", before, after, gate, resampling, promoted=None)
    return together, _answer(together, before.to_numpy(), after.to_numpy(), gate, resampling)


def _paired(before: "pd.Series[float]", after: "pd.Series[float]") -> tuple["pd.Series[float]", "pd.Series[float]"]:
    both = before.index[before.index.isin(after.index)]
    return before.loc[both], after.loc[both]


def _compared(
    name: str,
    as_of: str,
    mode: str,
    before: "pd.Series[float]",
    after: "pd.Series[float]",
    gate: GateParams,
    resampling: Resampling,
    *,
    promoted: tuple[bool, bool] | None,
) -> ReplayedLosses:
    if not len(before):
        return ReplayedLosses(name, as_of, mode, 0, None, None, None, promoted)
    (gain,) = relative_gains(after.to_numpy(), before.to_numpy(), confidences=(gate.confidence,), resampling=resampling)
    return ReplayedLosses(name, as_of, mode, len(before), float(before.mean()), float(after.mean()), gain, promoted)


def _answer(
    together: ReplayedLosses, before: np.ndarray, after: np.ndarray, gate: GateParams, resampling: Resampling
) -> ChangeAnswer:
    """As the gate asks: better at its confidence, or surely not worse by more than its margin; else it is closed."""
    gain = together.gain
    if gain is None:
        return ChangeAnswer("failed", "no row was judged on both sides, so nothing can be compared")
    if np.array_equal(before, after):
        return ChangeAnswer("same", f"both sides have the same loss on each of {together.rows} rows")
    sure = confidence_text(gain.confidence)
    figure = shown_gain(gain.figure)
    if gain.low > 0:
        return ChangeAnswer("better", f"gain {figure}, above {shown_gain(gain.low)} with {sure} confidence")
    if gain.high < 0:
        return ChangeAnswer("worse", f"gain {figure}, below {shown_gain(gain.high)} with {sure} confidence")
    asked = gate.non_inferiority
    if asked is not None:
        (surer,) = relative_gains(after, before, confidences=(asked.confidence,), resampling=resampling)
        surely = confidence_text(asked.confidence)
        if surer.low >= -asked.most:
            least = shown_gain(surer.low)
            return ChangeAnswer(
                "not worse",
                f"gain {figure}, above {least} with {surely} confidence, where at least -{asked.most:.1%} is required",
            )
    between = f"between {shown_gain(gain.low)} and {shown_gain(gain.high)} with {sure} confidence at either end"
    return ChangeAnswer(
        "unclear", f"gain {figure}, {between}: {together.rows} rows do not show that the change is not worse"
    )


def shown_gain(share: float) -> str:
    """A share as text; only its sign where the loss is so near 0 that a share of it says nothing."""
    return share_in_words(share)


def as_comment(review: ChangeReview) -> str:
    """The comment in Markdown."""
    word = "passed" if review.passes else "failed"
    lines = [MARKER, f"### retrim: {word} ({review.outcome})", "", f"{_escaped(review.sentence)}.", ""]
    if review.together is not None:
        lines += [
            (
                f"| retraining | as of | mode | rows | {_escaped(review.loss)}: before | after | gain "
                "| gate: before | after |"
            ),
            "| --- | --- | --- | ---: | ---: | ---: | --- | --- | --- |",
            *(_line(each) for each in (*review.retrainings, review.together)),
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


def _line(each: ReplayedLosses) -> str:
    name = "**all**" if each.name == "all" else f"version {each.name}"
    figures = "0 | | | "
    if each.gain is not None:
        gain = f"{shown_gain(each.gain.figure)} ({shown_gain(each.gain.low)} to {shown_gain(each.gain.high)})"
        figures = f"{each.rows} | {each.before:.4g} | {each.after:.4g} | {gain}"
    said = ["", ""] if each.promoted is None else ["promoted" if yes else "refused" for yes in each.promoted]
    return f"| {name} | {each.as_of} | {each.mode} | {figures} | {said[0]} | {said[1]} |"


SHOWN = 120
"""Characters of a value or a sentence's part that a comment shows."""


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
    """Settings that differ and lie in one of the sections.

    Args:
        before: By dotted key.
        after: By dotted key.
        sections: Dotted names, such as `gate` or `drift.alarms`.
    """
    keys = [key for key in sorted({*before, *after}) if before.get(key) != after.get(key)]
    return {
        key: (before.get(key), after.get(key))
        for key in keys
        if any(key == name or key.startswith(f"{name}.") or name.startswith(f"{key}.") for name in sections)
    }
