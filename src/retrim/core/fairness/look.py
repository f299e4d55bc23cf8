"""All that a verdict says of fairness: standings, checks, and what a person should read."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from retrim.core.fairness.checks import fairness_checks, proxy_checks
from retrim.core.fairness.figures import Bootstrap
from retrim.core.fairness.outcomes import Outcomes
from retrim.core.fairness.params import FairnessParams
from retrim.core.fairness.proxies import Proxy, proxy_warnings
from retrim.core.fairness.standing import Standing, stand
from retrim.core.gate import Check

CHALLENGER, BEFORE, CHAMPION = "challenger", "challenger before mitigation", "champion"


@dataclass(frozen=True)
class Given:
    """One model on the judged rows.

    Args:
        of: Whose: `CHALLENGER` first, then `BEFORE` and `CHAMPION` where there are such.
        outcomes: What its predictions did.
        losses: Shape (n,).
    """

    of: str
    outcomes: Outcomes
    losses: np.ndarray


@dataclass(frozen=True)
class Looked:
    """What was found.

    Args:
        record: Of verdict/fairness.json; None where no groups are declared.
        checks: The gate's.
        notes: Sentences beside them: small groups, proxies that refuse nothing.
    """

    record: dict[str, Any] | None
    checks: list[Check]
    notes: list[str]


def look(
    models: Sequence[Given],
    rows: pd.DataFrame,
    proxies: Sequence[Proxy],
    params: FairnessParams,
    how: Bootstrap,
) -> Looked:
    """Looks at the models by group, and at the proxies that were found when the view was made.

    Args:
        models: The challenger first.
        rows: Judged rows in time order, with the columns of the groups.
        proxies: Of the forbidden columns.
        params: Groups, limits, mitigation.
        how: Blocks and draws.
    """
    warned = proxy_warnings(list(proxies), params.proxies, confidence=params.confidence)
    checks = proxy_checks(warned, params.proxies) if params.proxies.refuse else []
    notes = [] if params.proxies.refuse else [proxy_in_words(proxy) for proxy in warned]
    if not params.groups or len(rows) < 2:
        return Looked(None, checks, notes)
    standings = [stand(given.of, given.outcomes, given.losses, rows, params, how) for given in models]
    record = {
        "rows": len(rows),
        "threshold": params.threshold,
        "confidence": params.confidence,
        "mitigate": params.mitigate,
        "equalise": params.equalise if params.mitigate == "thresholds" else None,
        "limits": params.limits(),
        "models": [standing.as_record() for standing in standings],
    }
    return Looked(record, [*fairness_checks(standings[0], params), *checks], [*_small(standings[0]), *notes])


def proxy_in_words(proxy: Proxy) -> str:
    """The sentence on one proxy."""
    low, high = proxy.interval
    by = "all features together" if proxy.feature is None else proxy.feature
    return (
        f"forbidden column {proxy.column} can be told from {by}: area under the curve {proxy.auc:.2f} "
        f"({low:.2f} to {high:.2f}), {proxy.chance:.2f} by chance"
    )


def _small(standing: Standing) -> list[str]:
    """A sentence a column with groups of too few judging rows."""
    notes = []
    for column in standing.columns:
        pairs = zip(column.groups, column.rows, strict=True)
        few = [f"{name} ({count})" for name, count in pairs if count < column.least_rows]
        if few:
            notes.append(
                f"groups of {column.column} not judged, as fewer than {column.least_rows} rows: {', '.join(few)}"
            )
    return notes
