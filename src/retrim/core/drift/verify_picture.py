"""Pictures of a verification as PNG bytes: the rate asked against the rate achieved, and each column."""

import numpy as np

from retrim.core.drift.verify import Verified
from retrim.core.report import COLOURS, INK, MUTED, drawn, plain

MOST_COLUMNS = 25
POINTS = 40  # rates that the curve is drawn at


def asked_and_achieved(found: Verified) -> bytes:
    """The share of checks without drift that raised an alarm, over the rate asked for, with its 95 % interval.

    Both axes are in percent and logarithmic; the diagonal is a rate that is kept to the letter. The point is the rate
    of params.yaml. Where no check raised an alarm only the top of the interval is drawn.
    """
    least = min(found.asked / 4, 1 / len(found.p_values) if found.p_values else 1.0)
    rates = np.geomspace(least, 0.5, POINTS)
    shares, ends = zip(*(found.achieved_at(rate) for rate in rates), strict=True)
    low, high = np.transpose(ends)
    floor = 100 * least / 4
    with drawn("False alarms, asked and achieved", width=7.2, height=5.0) as (axes, made):
        axes.plot(100 * rates, 100 * rates, color=MUTED, linewidth=1.0, linestyle="--", label="as asked")
        axes.fill_between(
            100 * rates,
            np.maximum(100 * low, floor),
            np.maximum(100 * high, floor),
            color=COLOURS[0],
            alpha=0.15,
            linewidth=0,
            label="95 % interval",
        )
        drawn_at = np.asarray(shares) > 0
        axes.plot(
            100 * rates[drawn_at], 100 * np.asarray(shares)[drawn_at], color=COLOURS[0], linewidth=1.8, label="achieved"
        )
        bottom, top = (max(100 * end, floor) for end in found.interval)
        middle = max(100 * found.achieved, floor)
        axes.errorbar(
            [100 * found.asked],
            [middle],
            yerr=[[max(middle - bottom, 0.0)], [max(top - middle, 0.0)]],  # the interval need not hold the share
            fmt="o",
            color=COLOURS[1],
            capsize=4,
            zorder=3,
        )
        axes.annotate(
            f"asked {found.asked:.2%}\nachieved {found.achieved:.2%}",
            (100 * found.asked, middle),
            (9, -4),
            textcoords="offset points",
            va="top",
            color=INK,
            fontsize=9,
        )
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.set(
            xlabel="rate asked for, % of checks",
            ylabel="checks without drift that raise an alarm, %",
            ylim=(floor, 100),
        )
        axes.legend(loc="upper left")
    return made.getvalue()


def alarms_by_column(found: Verified) -> bytes:
    """Bars of the share of checks without drift in which each column alone raised an alarm, most on top."""
    top = list(found.columns.items())[:MOST_COLUMNS]
    shares = [100 * share for _, share in top]
    with drawn("False alarms by column", height=1.4 + 0.3 * max(len(top), 2)) as (axes, made):
        axes.barh(range(len(top)), shares, color=COLOURS[0], height=0.7)
        axes.set_yticks(range(len(top)), [plain(name) for name, _ in top])
        axes.axvline(100 * found.asked, color=MUTED, linewidth=0.9, linestyle="--")
        for at, share in enumerate(shares):
            axes.annotate(f"{share:.2f}", (share, at), (4, 0), textcoords="offset points", va="center", color=MUTED)
        most = max(*shares, 100 * found.asked) if shares else 1.0
        axes.set(
            xlabel="checks without drift in which it alone raised an alarm, % (dashed: asked of all columns together)",
            xlim=(0, 1.15 * most),
            ylim=(len(top) - 0.4, -0.6),
        )
        axes.grid(visible=False, axis="y")
    return made.getvalue()
