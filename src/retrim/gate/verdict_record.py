"""What a bundle keeps of a verdict: verdict.json with all that stands beside the checks, and the losses by slice."""

from dataclasses import dataclass, field

from retrim.drift.slices import SliceLoss
from retrim.gate.verdict import Check


@dataclass(frozen=True)
class LookAtPrevious:
    """What is read of a verdict on previous champions: the version that goes live again; None: none does."""

    restore: int | None


@dataclass(frozen=True)
class DetectableGain:
    """The smallest relative gain over the champion that could have been seen, and the sentence on it of its day."""

    gain: float
    text: str


@dataclass(frozen=True)
class VerdictRecord:
    """A verdict as its bundle and the store keep it; what is younger than the oldest bundle has a default.

    Args:
        winner: The challenger with the least loss on the judging rows.
        promote: Whether it may go live.
        reason: What decided, in a sentence.
        losses: Mean loss on the judging rows, by model.
        rows: Judging rows.
        checks: All of the gate.
        metrics: Of each challenger, by name.
        judged_from: Event time of the first judging row; None without any.
        judged_until: Of the last.
        detectable: The smallest gain that could have been seen; None where nothing was live.
        notes: Sentences beside the checks.
        previous_champions: Previous champions that it looked at; None where there were none.
        agreement: The version whose recipe was fitted once more, and on whose verdict it stands; None of any other.
    """

    winner: str
    promote: bool
    reason: str
    losses: dict[str, float]
    rows: int
    checks: tuple[Check, ...] = ()
    metrics: dict[str, dict[str, float]] = field(default_factory=dict)
    judged_from: str | None = None
    judged_until: str | None = None
    detectable: DetectableGain | None = None
    notes: tuple[str, ...] = ()
    previous_champions: LookAtPrevious | None = None
    agreement: int | None = None


@dataclass(frozen=True)
class SlicesRecord:
    """Mean losses by slice, of the winner and the champion, and what they are called."""

    loss: str
    slices: tuple[SliceLoss, ...]

    @property
    def worse(self) -> list[SliceLoss]:
        """Those in which the winner clearly loses more than the champion."""
        return [each for each in self.slices if each.saved is not None and each.saved[2] < 0]
