"""What a check adds to: the sums that each check carries on, and the account."""

from typing import Any

from retrim.adapters.store import Row
from retrim.core.account import Account
from retrim.core.modes import FINAL
from retrim.core.totals import NOTHING, Totals
from retrim.ops.house import House
from retrim.ops.mode import share_of_refit


def totals(house: House, previous: Row | None, record: dict[str, Any]) -> Totals:
    """The sums up to this check, from those of the check before."""
    before = None if previous is None else previous.record.get("totals")
    window, probed = record["window"], record["probe"]
    releases = house.store.releases(house.model)
    first = None if not releases else house.store.version(house.model, releases[0].version)
    ended = [run for run in house.store.runs(house.model) if run.state in ("promoted", "refused", "waiting")]
    since = [run for run in ended if first is not None and run.as_of > first.as_of]
    refits = sum(run.mode == FINAL for run in since)
    return (NOTHING if before is None else Totals.from_record(before)).after(
        loss=record["loss"],
        share=0.0 if window is None else window["rows"] / house.params.account.usual_rows,
        probe_cost=None if probed is None else probed["cost"],
        retrainings=len(since) - refits,
        price=record["price"],
        refits=refits,
        refit_share=share_of_refit(house),
    )


def deposited(record: dict[str, Any], account: Account) -> Account | None:
    """What this check put into the account, which may be less than nothing; None where it had no reading."""
    if record["reading"] is None:
        return None
    before = record["account_before"]
    return Account(account.balance - before["balance"], account.variance - before["variance"])
