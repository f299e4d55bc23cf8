"""Who decides at a check of a backtest: given dates, or the rules that run live, fed records of the same shape."""

from collections.abc import Callable, Collection

from retrim.core.band import Band, reference_band
from retrim.core.evidence import Evidence, TriggerParams
from retrim.core.history import standing
from retrim.core.policy.played import Answer, Asks, Live, Seen, Setting
from retrim.core.triggers import decide

Drifted = Callable[[Live, int], tuple[str, ...] | None]
"""Columns over a threshold in a window, against the rows that a model was made from; None: too few rows to look at."""


def at_checks(checks: Collection[int]) -> Asks:
    """Retrains at these checks, whatever is seen."""
    wanted = frozenset(checks)
    return lambda seen: Answer(retrain=seen.check in wanted)


def every(number: int, windows: int) -> Asks:
    """Retrains at every check that is a multiple of `number`."""
    return at_checks(range(number, windows, number))


def by_rules(
    setting: Setting,
    triggers: TriggerParams,
    *,
    price: float,
    errors: float,
    ahead: float,
    drifted: Drifted | None,
    seed: int,
) -> Asks:
    """Asks `retrim.core.triggers.decide`, as a check does.

    No loss is estimated in a backtest, and nobody releases what is held.

    Args:
        setting: What the policy is played under.
        triggers: The rules and what keeps them back.
        price: Of a retraining, in mean loss times checks.
        errors: Standard errors of itself that the account must exceed.
        ahead: Checks like the newest ones that are added before it is held to the price.
        drifted: What the drift tests say; None where no rule looks at it.
        seed: Of the reference bands' draws.
    """
    bands: dict[tuple[int, int], Band | None] = {}

    def band_of(live: Live) -> Band | None:
        """The band of the first window that a model has not seen."""
        key = (live.model, live.kind)
        if key not in bands:
            losses = setting.matrix.part_means(live.model, live.kind, live.model)
            bands[key] = reference_band(losses, rows=len(losses), block_rows=1, draws=DRAWS, seed=seed)
        return bands[key]

    def ask(seen: Seen) -> Answer:
        live, window = seen.live, seen.window
        found = None if drifted is None else drifted(live, seen.check - 1)
        version = sum(run.state == "promoted" for run in seen.past.runs)
        loss, band = None, None
        if window is not None and window >= live.model:
            loss = setting.matrix.mean_loss(seen.measured.model, seen.measured.kind, window)
            band = band_of(live) if window > live.model else None
        evidence = Evidence(
            now=setting.moments[seen.check],
            champion=version,
            account=seen.account,
            deposited=seen.deposited,
            price=price,
            errors=errors,
            ahead=ahead,
            pending=float(setting.matrix.share[0 if window is None else window + 1 : seen.check].sum()),
            preview=seen.preview,
            loss=loss,
            estimate=None,
            band=band,
            labels_until=(setting.labels_until or setting.moments)[seen.check],
            **standing(seen.past, champion=version, drifted=found),
        )
        decision = decide(evidence, triggers)
        return Answer(
            retrain=decision.outcome == "retrain",
            waits=decision.outcome == "held",
            debit=price,
            rules=decision.fired,
            held=decision.held,
            drifted=found,
            stopped=decision.stopped,
        )

    return ask


DRAWS = 500  # of a reference band
