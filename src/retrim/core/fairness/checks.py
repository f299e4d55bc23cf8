"""The gate's checks on fairness: one a limit and column, and one a proxy that refuses."""

from collections.abc import Sequence

from retrim.core.fairness.params import FairnessParams, ProxyParams
from retrim.core.fairness.proxies import Proxy
from retrim.core.fairness.standing import ColumnStanding, Standing
from retrim.core.gate import Check


def fairness_checks(standing: Standing, params: FairnessParams) -> list[Check]:
    """A check a declared limit and column: fails where a difference between two groups exceeds it for certain.

    Args:
        standing: The challenger's, after mitigation.
        params: Limits.
    """
    return [
        _limit(column, measure, limit)
        for column in standing.columns
        for measure, limit in params.limits().items()
        if measure in column.differences
    ]


def proxy_checks(warned: Sequence[Proxy], params: ProxyParams) -> list[Check]:
    """A check that fails a forbidden column that can be told from the features, by the best that tells it."""
    checks = []
    for name in dict.fromkeys(proxy.column for proxy in warned):
        best = max((proxy for proxy in warned if proxy.column == name), key=lambda proxy: proxy.auc)
        by = "all features together" if best.feature is None else best.feature
        text = (
            f"{by} tell the forbidden column {name}: area under the curve {best.auc:.2f} "
            f"({best.interval[0]:.2f} to {best.interval[1]:.2f}), below {params.warn_at:g} needed"
        )
        checks.append(Check(f"proxy: {name}", False, best.auc, params.warn_at, text, best.interval))
    return checks


def _limit(column: ColumnStanding, measure: str, limit: float) -> Check:
    said = measure.replace("_", " ")
    name = f"fairness: {column.column} {said}"
    found, small = column.differences[measure], column.small(measure)
    aside = f"; not judged, as fewer than {column.least_rows} rows: {', '.join(small)}" if small else ""
    if found is None:
        text = f"{said} by {column.column}: fewer than two groups to compare{aside}"
        return Check(name, True, 0.0, limit, text, None)
    low, high = found.interval
    text = (
        f"{said} of {column.column} {found.high} {found.high_figure:.3g} against {found.low_figure:.3g} "
        f"of {found.low}: {found.figure:.3g} apart, between {low:.3g} and {high:.3g}, at most {limit:g} allowed{aside}"
    )
    return Check(name, low <= limit, found.figure, limit, text, found.interval)
