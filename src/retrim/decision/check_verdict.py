"""The verdict of a check: how the model does, the likely cause, whether a retraining would help, and what to do.

It says nothing as measured that was not measured. `docs/how-to/when-a-check-is-red.md` says for each code what to do.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from retrim.decision.loss_comparison import NO_HELP, LossComparison, excess_of
from retrim.drift.profile import CONFIDENCE, SCORE, TARGET, TOGETHER

if TYPE_CHECKING:
    from retrim.decision.check_record import CheckEvidence

VerdictCode = Literal[
    "first",
    "too_few_rows",
    "ok",
    "gain_waiting",
    "retraining",
    "held",
    "paused",
    "estimated_above",
    "above_expected_batch",
    "above_expected_retraining",
    "above_expected_labels",
    "above_expected_columns",
    "above_expected_unknown",
    "worse_than_naive",
]
CALM: tuple[VerdictCode, ...] = ("first", "too_few_rows", "ok", "gain_waiting", "retraining")
"""Verdicts under which nothing is wrong."""
LITTLE = 0.2  # share of the excess loss below which a refit helps only a little: random labels let it too
NAMED = 3  # columns that a sentence names; the others are counted
BESIDE_FEATURES = (TARGET, SCORE, CONFIDENCE, TOGETHER)
LOSSES = {"mae": "MAE", "mse": "MSE", "log_loss": "log loss", "brier": "Brier score", "poisson": "Poisson loss"}
Answer = Literal["none", "retrain", "rollback", "held", "paused"]
"""The decision of a check; `paused` if a pause kept it from acting."""
Benefit = Literal["helps", "little", "naive", "none", "unknown"]
"""What a retraining does to the loss: lowers it; lowers it a little so far; lowers it, but not clearly below a naive
baseline; nothing; or nobody knows yet."""


@dataclass(frozen=True)
class SuspectBatch:
    """A suspicious batch among the rows of a check's loss.

    Args:
        batch: Id of the batch.
        rows: Rows of the loss that it brought.
        text: What is suspicious about it.
    """

    batch: str
    rows: int
    text: str


@dataclass(frozen=True)
class CheckVerdict:
    """The verdict of a check.

    Args:
        code: What it comes to; it stays the same between releases.
        text: All of it.
        loss: The loss, and what it is held against.
        cause: The likely cause; empty if nothing is wrong.
        would_help: Whether a retraining would help; empty if nobody needs to know.
        do: What to do; empty: nothing.
    """

    code: VerdictCode
    text: str
    loss: str
    cause: str
    would_help: str
    do: str


@dataclass(frozen=True)
class Help:
    """Whether a retraining would help, and the figures in a sentence."""

    benefit: Benefit
    text: str


def make_verdict(
    record: "CheckEvidence", outcome: Answer, *, loss: str, needed_rows: int, probe_rows: int, errors: float
) -> CheckVerdict:
    """The verdict of a check."""
    comparison = record.performance.comparison
    if record.champion is None:
        do = "" if outcome == "retrain" else "retrim retrain"
        return _verdict("first", "No version is live.", do=do)
    if comparison is None:
        return _verdict("too_few_rows", "Too few rows with labels to measure the loss.", do=_answer(outcome))
    loss_text = _loss_in_words(comparison, loss)
    if comparison.estimated and comparison.above_expected:
        cause = _suspects(record) or _moved(record)
        help_text = "Whether a retraining would help is not known before labels come."
        look = "see retrim why, and land labels as soon as you can"
        return _verdict("estimated_above", loss_text, cause, help_text, _answer(outcome) or _withdraw(record) or look)
    if comparison.is_too_high:
        return _bad(
            record, comparison, outcome, loss_text, needed_rows=needed_rows, probe_rows=probe_rows, errors=errors
        )
    return _good(record, outcome, loss_text)


def _bad(
    record: "CheckEvidence",
    comparison: LossComparison,
    outcome: Answer,
    loss_text: str,
    *,
    needed_rows: int,
    probe_rows: int,
    errors: float,
) -> CheckVerdict:
    """The verdict on a loss that is above what was expected, or above that of a naive baseline."""
    answer = would_help(record, needed_rows=needed_rows, probe_rows=probe_rows, errors=errors)
    suspects, moved = _suspects(record), _moved(record)
    still = "the target drifted and no feature did" if TARGET in record.drift.drifted else "no feature drifted"
    code: VerdictCode
    if suspects:
        code, cause, do = "above_expected_batch", suspects, _withdraw(record)
    elif answer.benefit == "helps":
        cause = moved or f"What the target depends on changed: {still}, and a refit is better."
        code, do = "above_expected_retraining", "retrim retrain --reason WHY, or let the accumulated gain decide"
        if record.probe.preview is not None and not record.probe.preview.passes:
            do = "wait for more rows: the gate would refuse a retraining on those that there are, see retrim why"
    elif moved:
        code = "above_expected_columns" if answer.benefit == "none" else "above_expected_unknown"
        cause, do = moved, "check where these columns come from, and see retrim why"
    elif answer.benefit in ("none", "naive"):
        code = "above_expected_labels"
        cause = f"The labels look wrong, or the target became random: {still}."
        do = "compare some labels with their source; if they are wrong, withdraw their batch (retrim batch show)"
    else:
        code = "above_expected_unknown"
        cause = f"What the target depends on changed, or the labels are wrong: {still}."
        do = "compare some labels with their source, and see retrim why"
    if not comparison.above_expected:
        code = "worse_than_naive"
    if comparison.worse_than == "mean" and not suspects and answer.benefit != "helps":
        do += "; until then the best constant is better: retrim versions rollback --to baseline --reason WHY"
    decided = _answer(outcome)
    if outcome == "retrain" and code in ("above_expected_batch", "above_expected_labels"):
        decided = f"{do}; a retraining starts anyway, and retrim versions rollback --reason WHY undoes it"
    return _verdict(code, loss_text, cause, answer.text, decided or do)


def _good(record: "CheckEvidence", outcome: Answer, loss_text: str) -> CheckVerdict:
    """The verdict on a loss that is as expected."""
    gain, cost = record.gain.now.balance, record.gain.retraining_cost
    if outcome in ("held", "paused"):
        return _verdict("held" if outcome == "held" else "paused", loss_text, do=_answer(outcome))
    if outcome != "none":
        paid = f"A retraining pays: accumulated gain {gain:.4g}, cost {cost:.4g}." if outcome == "retrain" else ""
        return _verdict("retraining", loss_text, would_help=paid, do=_answer(outcome))
    if 0 < cost <= 2 * gain and record.probe.watch.is_gain_sure:
        held_up = "does not pay yet"
        if gain > cost:
            is_refused = record.probe.preview is not None and not record.probe.preview.passes
            held_up = "the gate would refuse it on these rows" if is_refused else "may not pay: that is not sure yet"
        waiting = f"A retraining would help, but {held_up}: accumulated gain {gain:.4g} of {cost:.4g}."
        return _verdict("gain_waiting", loss_text, would_help=waiting)
    return _verdict("ok", loss_text)


def would_help(record: "CheckEvidence", *, needed_rows: int, probe_rows: int, errors: float) -> Help:
    """Whether a retraining would help, as the probe of this check measured it."""
    reading, comparison = record.probe.reading, record.performance.comparison
    assert comparison is not None
    naive = comparison.naive_loss
    if reading is not None:
        better, excess = reading.champion_loss - reading.probe_loss, excess_of(comparison)
        figures = f"a refit has {reading.probe_loss:.3g}, the live version {reading.champion_loss:.3g} on the same rows"
        is_clear, is_learned = reading.gain > errors * reading.error, reading.after_change >= needed_rows
        is_judged = is_learned or comparison.worse_than is not None
        if is_clear and is_judged and naive is not None and reading.probe_loss > _halfway(comparison, naive):
            level = f"{figures}; the naive {naming(comparison.best_naive)} has {naive:.3g}"
            return Help("naive", f"A retraining would lower it, but not clearly below a naive baseline ({level}).")
        if is_clear and better > LITTLE * excess:
            return Help("helps", f"A retraining would help ({figures}).")
        if is_clear:
            return Help("little", f"A retraining would help only a little so far ({figures}).")
        if is_learned and reading.gain + errors * reading.error < NO_HELP * excess:
            return Help("none", f"A retraining would not help ({figures}).")
        if is_learned:
            return Help("unknown", f"Whether a retraining would help is not known yet ({figures}: it may be chance).")
    if reading is None and record.probe.watch.is_gain_sure:
        earlier = f"this check refitted nothing; at an earlier one a refit gained {record.probe.watch.gain:.3g}"
        return Help("unknown", f"Whether a retraining would help was not measured ({earlier}).")
    if reading is None and record.probe.watch.answered_loss is not None:
        answer = "at an earlier check, a refit with rows from after the change did not gain"
        return Help("none", f"A retraining would not help ({answer}).")
    learned = 0 if reading is None else reading.after_change
    missing = max(needed_rows - learned - comparison.rows, 0) + probe_rows
    had = f"a refit had {learned} rows from after the change to learn from"
    why = "no refit was made" if reading is None else had
    text = f"Whether a retraining would help is not known yet ({why}); about {missing} more rows with labels show it."
    return Help("unknown", text)


def _halfway(comparison: LossComparison, naive: float) -> float:
    """Halfway from the naive loss to the expected one: a refit above it has learned little more than a constant."""
    expected = naive if comparison.expected is None else min(comparison.expected.loss, naive)
    return (naive + expected) / 2


def naming(baseline: str | None) -> str:
    """A naive baseline as people write it."""
    return (baseline or "").replace("_", " ")


def loss_name(loss: str) -> str:
    """A loss as people write it."""
    return LOSSES.get(loss, loss.replace("_", " "))


def _loss_in_words(comparison: LossComparison, loss: str) -> str:
    named = loss_name(loss)
    text = f"Estimated {named}" if comparison.estimated else f"{named[0].upper()}{named[1:]}"
    text += f" {comparison.loss:.3g}"
    expected = comparison.expected
    if expected is not None:
        text += f", expected {expected.loss:.3g}"
        if comparison.above_expected and comparison.times_expected is not None:
            text += f" ({comparison.times_expected:.1f} times)"
        elif comparison.above_expected is None:
            text += " (nobody knows how far it may lie from that)"
    if comparison.best_naive is not None and comparison.naive_loss is not None:
        best = f"the naive {naming(comparison.best_naive)} has {comparison.naive_loss:.3g}"
        if comparison.worse_than is not None:
            text += f". It loses to a naive baseline: {best}"
        elif not comparison.above_expected or comparison.loss > comparison.naive_loss:
            text += f"; {best}"
    return f"{text}."


def _suspects(record: "CheckEvidence") -> str:
    """What is suspicious about the batches of these rows."""
    if not record.performance.suspects:
        return ""
    first, others = record.performance.suspects[0], len(record.performance.suspects) - 1
    more = f" So are {others} more batches." if others > 1 else " So is another batch." if others else ""
    return f"Batch {first.batch} is suspicious: {first.text}.{more}"


def _withdraw(record: "CheckEvidence") -> str:
    if not record.performance.suspects:
        return ""
    batch = record.performance.suspects[0].batch
    wrong = f"if it is wrong, retrim batch withdraw {batch} --reason WHY, and land a corrected file"
    return f"look at it with retrim batch show {batch}; {wrong}"


def _moved(record: "CheckEvidence") -> str:
    """The features that drifted, those whose shift costs most first."""
    over = list(dict.fromkeys(finding.column for finding in record.drift.findings if finding.over))
    features = [column for column in over if column not in BESIDE_FEATURES]
    if not features:
        return ""
    named, others = features[:NAMED], len(features) - NAMED
    *first, last = [*named, f"{others} more"] if others > 0 else named
    return f"Drifted: {', '.join(first)} and {last}." if first else f"Drifted: {last}."


def _answer(outcome: Answer) -> str:
    """What the decision leaves to do."""
    if outcome == "held":
        return "answer the hold: retrim retrain, or retrim policy acknowledge --reason WHY"
    if outcome == "paused":
        return "it is paused, and would have acted: if you agree, retrim policy pause --end --reason WHY"
    if outcome == "retrain":
        return "nothing, a retraining starts"
    if outcome == "rollback":
        return "nothing, an earlier version goes live again"
    return ""


def _verdict(code: VerdictCode, loss: str, cause: str = "", would_help: str = "", do: str = "") -> CheckVerdict:
    parts = (loss, cause, would_help, f"Do: {do}." if do else "")
    return CheckVerdict(code, " ".join(part for part in parts if part), loss, cause, would_help, do)
