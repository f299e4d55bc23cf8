"""Verification of the joint tests: how often windows of a reference's sample raise an alarm against the others.

Verification: the rate of false alarms that calibration achieves on the reference's own history.

Pictures of a verification as PNG bytes: the rate asked against the rate achieved, and each column.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from retrim.drift.alarms import Promise, promise
from retrim.drift.calibration import calibrate
from retrim.drift.joint import JOINT_TESTS, LEAST_WINDOWS, JointParams, code, distance, thinned_rows, usual_strays
from retrim.drift.profile import Profile
from retrim.drift.watched import ContrastReference, block_waves, watch, years_of
from retrim.errors import RefusedError
from retrim.stats.charts import COLOURS, INK, MUTED, drawn, plain

MOST_WINDOWS = 60  # each is a fit or more
DRAWN = 20  # choices of the windows that each is held against


@dataclass(frozen=True)
class VerifiedTest:
    """What verification found of one joint test.

    Args:
        test: Its name.
        asked: False alarms for each check that it may have.
        achieved: Share of the windows that raised one.
        interval: Of that share, 95 %.
        windows: Of the sample, each looked at in turn.
        promise: Whether as many windows as a check holds against can keep the rate.
    """

    test: str
    asked: float
    achieved: float
    interval: tuple[float, float]
    windows: int
    promise: Promise

    def as_record(self) -> dict[str, Any]:
        """Plain JSON types."""
        return {**{name: getattr(self, name) for name in self.__dataclass_fields__}, "interval": list(self.interval)}


def verify_together(
    profile: Profile, columns: tuple[str, ...], joint: JointParams, *, rows: int, rate: float, cores: int
) -> list[VerifiedTest]:
    """How often a joint test would have raised an alarm on windows of its own reference.

    The sample is cut into windows of usual length. Each is held against as many of the others as a check is, drawn anew
    several times.

    Args:
        profile: Of the reference.
        columns: Those that are looked at together.
        joint: The tests.
        rows: Of a usual check.
        rate: Of false alarms for each check, of all joint tests together.
        cores: Cores to use; changes no result.

    Returns:
        One a test; none where the sample has 8 windows or fewer, or there are fewer than two columns.
    """
    thinned = thinned_rows(profile, rows)
    if thinned is None or len(profile.sample) // thinned <= LEAST_WINDOWS or len(columns) < 2:
        return []
    sample, found = code(profile, profile.sample, columns), []
    for name, arguments in joint.tests.items():
        test = partial(JOINT_TESTS[name], **arguments, seed=joint.seed)
        strayed = usual_strays(test, sample, rows=thinned, windows=MOST_WINDOWS, cores=cores)
        n, asked = len(strayed), rate / len(joint.tests)
        held = min(joint.windows, n - 1)
        rng = np.random.default_rng(joint.seed)
        alarms = []
        for place in range(n):
            others = np.delete(strayed, place)
            for _ in range(DRAWN):
                p_value = distance(strayed[place], others[np.sort(rng.permutation(n - 1)[:held])])[1]
                alarms.append(p_value is not None and p_value <= asked)
        achieved = float(np.mean(alarms))
        found.append(VerifiedTest(name, asked, achieved, interval_of(achieved, n), n, promise(asked, held)))
    return found


def interval_of(achieved: float, checks: float) -> tuple[float, float]:
    """What a rate lies between with 95 % confidence, after that many independent checks.

    Its low end is 0 where no check raised an alarm, and its high end 1 where each did. It need not hold a rate close
    to either: one alarm in very many checks lies below its low end.

    Source:
        Jeffreys's interval: Brown, Cai and DasGupta (2001), Statistical Science 16(2), 101-133.
    """
    from scipy.special import betaincinv

    ends = betaincinv(achieved * checks + 0.5, (1 - achieved) * checks + 0.5, [0.025, 0.975])
    return 0.0 if achieved == 0 else float(ends[0]), 1.0 if achieved == 1 else float(ends[1])


LEAST_BLOCKS = 40  # a part of a history of fewer does not show how anything strays
HELD_OUT = 5  # one part in that many is held out
DRAWN_ONLY = ("p_values", "known")  # what a picture needs, and a record does not


@dataclass(frozen=True)
class VerifiedRates:
    """What verification found.

    Args:
        asked: False alarms for each check.
        achieved: Share of the checks without drift that raised one.
        interval: Of that share, 95 %: as many checks as the history holds windows count as independent.
        checks: How many were made.
        rows: Of a check.
        promise: Whether the history can keep the rate.
        reach: The history covers 1 in this many, by its median column.
        columns: Share of the checks in which each column strayed so far that it alone raised an alarm; most first.
        p_values: Of the column that strayed furthest, one a check.
        known: Windows that the history holds.
        years: That it covers.
        season: Whether what a year brings back was taken out, as parts of the history showed it often enough.
    """

    asked: float
    achieved: float
    interval: tuple[float, float]
    checks: int
    rows: int
    promise: Promise
    reach: float
    columns: Mapping[str, float]
    p_values: tuple[float, ...]
    known: float
    years: float
    season: bool

    def achieved_at(self, rate: float) -> tuple[float, tuple[float, float]]:
        """The share of the checks that would have raised an alarm at another rate, and its 95 % interval."""
        share = float(np.mean(np.asarray(self.p_values) <= rate))
        return share, interval_of(share, self.known)

    def as_record(self) -> dict[str, Any]:
        """Plain JSON types."""
        shown = {name: getattr(self, name) for name in self.__dataclass_fields__ if name not in DRAWN_ONLY}
        return {**shown, "interval": list(self.interval), "columns": dict(self.columns)}


def verify(
    profile: Profile, *, rows: int, rate: float, draws: int, splits: int, checks: int, seed: int
) -> VerifiedRates:
    """How often windows from one part of a history raise an alarm against the rest of it.

    A stretch of neighbouring blocks is held out at a random place, as long as a fifth of the history or as two windows;
    thresholds are calibrated on the rest, and windows of neighbouring blocks are drawn from the stretch. Then anew. The
    history is taken as a circle, so that every block is held out as often.

    Args:
        profile: Of the reference.
        rows: Of a usual check.
        rate: Of false alarms that is asked for, for each check.
        draws: Windows drawn for each calibration.
        splits: How often a stretch is held out.
        checks: Windows for each.
        seed: Same seed, same answer.

    Raises:
        RefusedError: The history has too few blocks, or is shorter than four windows.
    """
    sizes = profile.blocks["rows"].to_numpy(dtype="float64")
    n, window = len(sizes), max(round(rows / sizes.mean()), 1)
    if n < LEAST_BLOCKS:
        raise RefusedError(
            f"the reference has {n} blocks ({sizes.sum():.0f} rows); to be parted it needs {LEAST_BLOCKS}: train on a "
            "longer history"
        )
    if 4 * window > n:
        raise RefusedError(
            f"the reference has {sizes.sum():.0f} rows, a check {rows} (account.usual_rows); to be parted it needs the "
            "rows of four checks: train on a longer history, or look at windows of fewer rows"
        )
    rng = np.random.default_rng(seed)
    held = max(n // HELD_OUT, 2 * window)
    seen: list[np.ndarray] = []
    alone: dict[str, list[float]] = {name: [] for name in profile.columns}
    reach, waves, removed = [], block_waves(profile.blocks), True
    for _ in range(splits):
        circle = np.roll(np.arange(n), -int(rng.integers(0, n)))
        watched = watch(profile, circle[held:])
        reach.append(float(np.median(watched.reach)))
        null = calibrate(watched, rows=rows, draws=draws, seed=int(rng.integers(2**31)))
        starts = rng.integers(0, held - window + 1, size=checks)
        taken = circle[starts[:, None] + np.arange(window)]
        sums = np.concatenate(
            [profile.columns[name].counts @ each.weights for name, each in watched.columns.items()], axis=1
        )
        means = sums[taken].sum(axis=1) / sizes[taken].sum(axis=1)[:, None]
        over = (waves * sizes[:, None])[taken].sum(axis=1) / sizes[taken].sum(axis=1)[:, None]
        far = null.strayed_of(means - watched.expected(over))
        removed &= watched.season is not None
        seen.append(null.null.p_value(far.max(axis=1)))
        for name, p_values in _by_column(watched, far, null.null.p_value).items():
            alone[name].append(float(np.mean(p_values <= rate)))
    p_values, known = np.concatenate(seen), n / window
    achieved = float(np.mean(p_values <= rate))
    covers = float(np.median(reach)) * n / (n - held)
    shares = {name: float(np.mean(each)) for name, each in alone.items() if each}
    return VerifiedRates(
        asked=rate,
        achieved=achieved,
        interval=interval_of(achieved, known),
        checks=splits * checks,
        rows=rows,
        promise=promise(rate, covers),
        reach=covers,
        columns=dict(sorted(shares.items(), key=lambda item: (-item[1], item[0]))),
        p_values=tuple(p_values.tolist()),
        known=known,
        years=years_of(profile.blocks),
        season=removed,
    )


def _by_column(
    watched: ContrastReference, far: np.ndarray, p_value: Callable[[np.ndarray], np.ndarray]
) -> dict[str, np.ndarray]:
    """The p-value of each column in each window, as one of all that are looked at: shape (windows,) each."""
    found, begin = {}, 0
    for name, column in watched.columns.items():
        end = begin + column.weights.shape[1]
        found[name] = p_value(far[:, begin:end].max(axis=1))
        begin = end
    return found


MOST_COLUMNS = 25
POINTS = 40  # rates that the curve is drawn at


def asked_and_achieved(found: VerifiedRates) -> bytes:
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


def alarms_by_column(found: VerifiedRates) -> bytes:
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
