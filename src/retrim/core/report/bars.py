"""Bars: what weighs how much."""

from collections.abc import Mapping, Sequence

from retrim.core.report.style import COLOURS, INK, MUTED, drawn, plain

MOST_BARS = 25


def importance(names: Sequence[str], gains: Sequence[float]) -> bytes:
    """Bars of each feature's share of the total gain, the largest on top; past 25 the rest in one bar.

    Args:
        names: Features.
        gains: Gain summed over the splits of each, 0 or more.
    """
    return _bars(dict(zip(names, gains, strict=True)), title="Feature importance", label="share of total gain, %")


def importance_by_contributions(gains: Mapping[str, float], weights: Mapping[str, float], *, rows: int) -> bytes:
    """Two bars of each feature: its share of the mean absolute contributions, and of the gain; the first orders them.

    Args:
        gains: Gain summed over the splits of each feature, 0 or more.
        weights: Mean absolute contribution of each, 0 or more; the same features.
        rows: Rows that the contributions were averaged over.
    """
    ranked = sorted(weights, key=lambda name: (-weights[name], name))
    top, rest = ranked[:MOST_BARS], ranked[MOST_BARS:]
    names = [plain(name) for name in top] + ([f"{len(rest)} others"] if rest else [])
    with drawn("Feature importance", height=1.9 + 0.42 * max(len(names), 2)) as (axes, made):
        most = 0.0
        for place, (values, label) in enumerate(
            ((weights, f"contributions, exact, on {rows:,} judged rows"), (gains, "gain of the splits in training"))
        ):
            whole = sum(values.values())
            shares = [100 * values[name] / whole if whole > 0 else 0.0 for name in top]
            if rest:
                shares.append(100 * sum(values[name] for name in rest) / whole if whole > 0 else 0.0)
            at = [number + (place - 0.5) * 0.38 for number in range(len(names))]
            axes.barh(at, shares, height=0.36, color=COLOURS[place] if place == 0 else "#b8c4d0", label=label)
            for height, share in zip(at, shares, strict=True):
                axes.annotate(
                    f"{share:.1f}",
                    (share, height),
                    (4, 0),
                    textcoords="offset points",
                    va="center",
                    color=MUTED,
                    size=8,
                )
            most = max([most, *shares])
        axes.set_yticks(range(len(names)), names)
        axes.set(xlabel="share of the whole, %", xlim=(0, 1.12 * most or 1), ylim=(len(names) - 0.4, -0.6))
        axes.grid(visible=False, axis="y")
        axes.tick_params(axis="y", length=0, labelcolor=INK)
        if names:
            axes.legend(
                loc="upper center", bbox_to_anchor=(0.5, -0.35 / (0.42 * max(len(names), 2) + 0.4) - 0.08), ncols=2
            )
    return made.getvalue()


def hyperparameter_importance(importances: Mapping[str, float]) -> bytes:
    """Bars of each hyperparameter's share in what moved the loss during the search.

    Args:
        importances: Of each hyperparameter, 0 or more.
    """
    return _bars(importances, title="Hyperparameter importance", label="share of the loss's variation in the search, %")


def _bars(values: Mapping[str, float], *, title: str, label: str) -> bytes:
    """Bars in percent of the whole; all 0 when the whole is."""
    ranked = sorted(values.items(), key=lambda item: (-item[1], item[0]))
    top, rest = ranked[:MOST_BARS], ranked[MOST_BARS:]
    if rest:
        top.append((f"{len(rest)} others", sum(value for _, value in rest)))
    whole = sum(values.values())
    shares = [100 * value / whole if whole > 0 else 0.0 for _, value in top]
    with drawn(title, height=1.4 + 0.3 * max(len(top), 2)) as (axes, made):
        colours = [COLOURS[0]] * MOST_BARS + [COLOURS[-1]]
        axes.barh(range(len(top)), shares, color=colours[: len(top)], height=0.7)
        axes.set_yticks(range(len(top)), [plain(name) for name, _ in top])
        for at, share in enumerate(shares):
            axes.annotate(f"{share:.1f}", (share, at), (4, 0), textcoords="offset points", va="center", color=MUTED)
        axes.set(xlabel=label, xlim=(0, 1.12 * max(shares, default=0) or 1), ylim=(len(top) - 0.4, -0.6))
        axes.grid(visible=False, axis="y")
        axes.tick_params(axis="y", length=0, labelcolor=INK)
    return made.getvalue()
