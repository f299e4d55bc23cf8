"""Which drift people are told of at once: what calls for something. The rest is a line in a weekly digest."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from retrim.decision.check_record import CheckRecord
from retrim.drift.profile import CONFIDENCE, SCORE, TARGET, TOGETHER

LEANED_ON = 0.05
"""Share of the model's gain from which it leans on a column."""
DIGEST_EVERY = pd.Timedelta("7D")


@dataclass(frozen=True)
class DriftNews:
    """Drift that calls for something.

    Args:
        about: What calls: `loss`, `target`, `predictions`, `confidence` or the columns that the model leans on.
    """

    about: str
    why: str


def drift_news(record: CheckRecord) -> DriftNews | None:
    """What the drift of a check calls for; None: nothing drifted, or nothing has to be done about it.

    It calls for something if the loss (the estimated one while labels are late) is above what was expected, if
    predictions or target moved, or if a column drifted that carries at least 5 % of the model's gain.
    """
    if not record.drift.drifted:
        return None
    about, reasons = [], []
    comparison = record.performance.comparison
    if comparison is not None and comparison.above_expected:
        about.append("loss")
        reasons.append(f"the {'estimated ' if comparison.estimated else ''}loss is above what was expected")
    moved = [name for name in (TARGET, SCORE, CONFIDENCE) if name in record.drift.drifted]
    if moved:
        about += moved
        reasons.append(f"{' and '.join(moved)} moved")
    leaned_on = {
        finding.column: finding.importance
        for finding in record.drift.findings
        if finding.over and finding.importance >= LEANED_ON
    }
    columns = sorted(name for name in leaned_on if name not in (TARGET, SCORE, CONFIDENCE, TOGETHER))
    if columns:
        about += columns
        shares = ", ".join(f"{name} ({leaned_on[name]:.0%} of its gain)" for name in columns)
        reasons.append(f"the model leans on {shares}")
    return DriftNews(", ".join(about), "; ".join(reasons)) if reasons else None


def drift_digest(checks: Sequence[CheckRecord], *, now: pd.Timestamp) -> str | None:
    """The drift of some checks that nobody was told of, in a sentence; None until it is a week old."""
    unsaid = [check for check in checks if check.drift.drifted and drift_news(check) is None]
    if not unsaid or now - unsaid[0].as_of < DIGEST_EVERY:
        return None
    counted = Counter(name for check in unsaid for name in check.drift.drifted)
    columns = ", ".join(f"{name} at {n}" for name, n in sorted(counted.items(), key=lambda item: (-item[1], item[0])))
    many = f"{len(checks)} check{'' if len(checks) == 1 else 's'}"
    span = f"{checks[0].as_of:%Y-%m-%d} to {now:%Y-%m-%d}"
    return f"columns drifted that call for nothing; of {many} from {span}: {columns}"
