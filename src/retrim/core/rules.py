"""The rules: each says whether it asks for a retraining, why, and what would have changed its answer."""

from retrim.core.account import NEWEST, Account
from retrim.core.evidence import RULES, Evidence, Said, TriggerParams
from retrim.core.timetable import next_due

FAR = 1000  # checks: what takes longer is not worth a number


@RULES.register("account", starts=True, repeats=False)
def account_rule(evidence: Evidence, params: TriggerParams) -> Said:
    """Fires when the account pays for a retraining, is clear of noise, and the gate would let the newest refit pass.

    What the account is held to the price with is its balance, and what the rows without labels
    and a few more checks would add if they are like the newest.
    """
    account, price, errors = evidence.account, evidence.price, evidence.errors
    ahead = evidence.ahead + evidence.pending
    pays = account.pays(price, errors=errors, ahead=ahead)
    refuses = pays and evidence.preview is not None and not evidence.preview.passes
    more = account.expected(ahead) - account.balance
    text = (
        f"account {account.balance:.4g}{f' and {more:.4g} to come' if more > 0 else ''} against price {price:.4g} "
        f"and {errors:g} standard errors ({errors * account.error:.4g})"
    )
    if refuses and evidence.preview is not None:
        text += f"; but the gate would refuse it: {evidence.preview.reason}"
    change = _account_change(evidence, pays=pays, refuses=refuses)
    return Said("account", pays and not refuses, text, change, stopped=refuses)


def _account_change(evidence: Evidence, *, pays: bool, refuses: bool) -> str:
    account, price, errors = evidence.account, evidence.price, evidence.errors
    ahead = evidence.ahead + evidence.pending
    expected = account.expected(ahead)
    if refuses:
        return "it would have fired had a refit passed the gate on the newest rows"
    if pays:
        clear = f", or at {account.balance / account.error:.3g} standard errors or more" if account.error > 0 else ""
        return f"it would not have fired at a price of {expected:.4g} or more{clear}"
    if account.balance <= 0:
        return "the account is empty: no price is low enough while a refit gains nothing"
    wanted = []
    if expected <= price:
        wanted.append(f"at a price below {expected:.4g}")
    if account.balance <= errors * account.error:
        wanted.append(f"at fewer than {account.balance / account.error:.3g} standard errors")
    said = f"it would have fired {' and '.join(wanted)}"
    more = checks_until(account, evidence.deposited, price=price, errors=errors, ahead=ahead)
    if more is not None:
        said += f", or after about {more} more check{'' if more == 1 else 's'} like this"
    return said


def checks_until(
    account: Account, deposited: Account | None, *, price: float, errors: float, ahead: float
) -> int | None:
    """After how many more checks that put in the same the account would pay; None if that is far or never."""
    if deposited is None or deposited.balance <= 0:
        return None
    for more in range(1, FAR + 1):
        grown = Account(
            account.balance + more * deposited.balance,
            account.variance + more * max(deposited.variance, 0.0),
            (*account.recent, *(deposited.balance for _ in range(min(more, NEWEST))))[-NEWEST:],
        )
        if grown.pays(price, errors=errors, ahead=ahead):
            return more
    return None


@RULES.register("drift", starts=True, repeats=True)
def drift_rule(evidence: Evidence, params: TriggerParams) -> Said:
    """Fires when m of the last n checks that had rows to look at found drift in the columns it looks at."""
    m, n = params.drift_checks
    if not evidence.looked:  # old findings start nothing a second time
        return Said("drift", False, "too few new rows to look at", "more new rows: drift.min_rows says how many")
    seen = [
        [column for column in columns if not params.drift_columns or column in params.drift_columns]
        for columns in evidence.drifted[-n:]
    ]
    count = sum(bool(columns) for columns in seen)
    named = ", ".join(sorted({column for columns in seen for column in columns})) or "no column"
    text = f"drift in {count} of the last {len(seen)} checks, {m} of {n} needed: {named}"
    if count >= m:
        return Said("drift", True, text, f"it would not have fired with drift in fewer than {m} of them")
    where = "these columns" if params.drift_columns else "any column"
    missing = m - count
    change = f"it would have fired with drift in {where} at {missing} more of the last {n} checks"
    if count:
        change += f", or with {count} of {n} needed"
    return Said("drift", False, text, change)


@RULES.register("schedule", starts=True, repeats=True)
def schedule_rule(evidence: Evidence, params: TriggerParams) -> Said:
    """Fires when the timetable is due, counted from the last run promoted or refused, or from its settlement since."""
    if evidence.last_run is None:
        return Said("schedule", False, "no run yet to count from", "a first run, from which the timetable is counted")
    start = max(evidence.last_run, evidence.timetable_settled or evidence.last_run)
    due = next_due(params.every, start)
    what = "the last run was as of" if start == evidence.last_run else "a person settled it at"
    since = f"{what} {start.isoformat()}, the next is due at {due.isoformat()}"
    fires = evidence.now >= due
    moment = "at any check before" if fires else "at the first check at or after"
    not_ = " not" if fires else ""
    return Said("schedule", fires, since, f"it would{not_} have fired {moment} {due.isoformat()}")


@RULES.register("performance", starts=True, repeats=True)
def performance_rule(evidence: Evidence, params: TriggerParams) -> Said:
    """Fires when the champion's realised loss lies above its reference band."""
    return _outside("performance", "loss", evidence.loss, "too few rows matured to measure the loss", evidence, params)


@RULES.register("estimate", starts=True, repeats=True)
def estimate_rule(evidence: Evidence, params: TriggerParams) -> Said:
    """Fires when the loss estimated without labels lies above the champion's reference band."""
    unknown = "no loss could be estimated without labels"
    return _outside("estimate", "estimated loss", evidence.estimate, unknown, evidence, params)


def _outside(rule: str, what: str, loss: float | None, unknown: str, evidence: Evidence, params: TriggerParams) -> Said:
    band = evidence.band
    if loss is None:
        return Said(rule, False, unknown, "rows enough to say it")
    if band is None:
        return Said(rule, False, f"{what} {loss:.4g}, with no band to hold it against", "more rows that judged it")
    top, unit = band.top(params.band), band.iqr if params.band.unit == "iqr" else band.sd
    reach = (loss - band.centre) / unit if unit > 0 else 0.0
    fires = loss > top
    text = (
        f"{what} {loss:.4g} against {top:.4g}, the top of the band "
        f"({band.centre:.4g} and {params.band.reach:g} {params.band.unit} of {unit:.4g})"
    )
    if fires:
        change = f"it would not have fired at {what} {top:.4g} or less"
        return Said(rule, True, text, change + (f", or with a reach of {reach:.3g} or more" if reach > 0 else ""))
    change = f"it would have fired at {what} above {top:.4g}"
    return Said(rule, False, text, change + (f", or with a reach below {reach:.3g}" if reach > 0 else ""))


@RULES.register("manual", starts=False, repeats=False)
def manual_rule(evidence: Evidence, params: TriggerParams) -> Said:
    """Never fires: with it every alarm of the others is a person's to decide on."""
    text = "nothing starts by itself: every alarm is a person's to decide on"
    return Said("manual", False, text, "a person: `retrim retrain --reason ...`; or another rule in its place")
