"""What the demo shows at its end: the table, the sentence with the figures, and where to look next."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from retrim import screens
from retrim.ops.demo import NO_LOSS, Loss
from retrim.ops.house import House

if TYPE_CHECKING:
    from flows.demo import Beat


def show(house: House, beats: "Sequence[Beat]", *, as_json: bool) -> None:
    """The demo's result, as a table and a sentence or as JSON."""
    summary = summarise(house, beats)
    if as_json:
        screens.show_json({"beats": [_record(beat) for beat in beats], "summary": summary})
        return
    screens.show_table(
        ("date", "rows", "loss", "account", "live", "decision and its reason"),
        [_line(beat) for beat in beats],
        brief_last=True,
    )
    screens.OUT.print()
    screens.OUT.print("The evidence of a line, in var/demo: retrim why DATE", highlight=False)
    screens.OUT.print()
    screens.OUT.print(_sentence(house, summary), highlight=False)
    screens.OUT.print()
    screens.OUT.print("Look at it, from this folder:", highlight=False)
    newest = beats[-1].live
    for command in (
        "make ui WORKSPACE=var/demo",
        "cd var/demo",
        "../../.venv/bin/retrim status",
        "../../.venv/bin/retrim versions",
        f"../../.venv/bin/retrim reproduce {newest}",
        f"../../.venv/bin/retrim reproduce {newest} --prove",
    ):
        screens.OUT.print(f"  {command}", highlight=False, markup=False, soft_wrap=True)


def summarise(house: House, beats: "Sequence[Beat]") -> dict[str, Any]:
    """Losses over the replayed time of the system, the frozen first model, and retraining at every check."""
    system, frozen, always = NO_LOSS, NO_LOSS, NO_LOSS
    for beat in beats:
        system, frozen, always = system + beat.system, frozen + beat.frozen, always + beat.always
    ended = [beat.run["state"] for beat in beats if beat.run is not None]
    states = [state for state in ended if state not in ("restored", "rolled back")]
    checks = sum(beat.check is not None and beat.check["reading"] is not None for beat in beats)
    return {
        "loss": house.params.judge.loss,
        "rows": system.rows,
        "system": system.mean,
        "frozen": frozen.mean,
        "always": always.mean,
        "totals": _totals(house, beats, frozen=frozen, always=always, checks=checks),
        "retrainings": len(states) - 1,
        "promoted": states.count("promoted") + states.count("waiting") - 1,
        "refused": states.count("refused"),
        "restored": ended.count("restored"),
        "rolled_back": ended.count("rolled back"),
        "checks": checks,
    }


def _sentence(house: House, summary: dict[str, Any]) -> str:
    if not summary["rows"]:
        return "No rows matured in the replayed time, so there is no loss to speak of."
    name = summary["loss"].upper()
    totals = summary["totals"]
    places = _places(totals["price"])
    return (
        f"Over {summary['rows']:,} rows replayed, {name} was {summary['system']:.{places}f} with "
        f"{_counted(summary['retrainings'])} ({summary['promoted']} promoted, {summary['refused']} refused), "
        f"{summary['frozen']:.{places}f} had the first model stayed (0 retrainings), and "
        f"{summary['always']:.{places}f} retraining at every check "
        f"({_counted(summary['checks'])}, read off the probe's fits). "
        f"At a price of {totals['price']:.{places}f} a retraining the whole cost, in mean loss x checks, was "
        f"{totals['system']:.{places - 1}f} ({totals['system_with_probes']:.{places - 1}f} with the probes), "
        f"{totals['frozen']:.{places - 1}f} and {totals['always']:.{places - 1}f}."
    )


def _places(price: float) -> int:
    """Decimals that tell losses apart where a retraining costs so much."""
    return 1 if price >= 1 else 3


def _totals(
    house: House, beats: "Sequence[Beat]", *, frozen: Loss, always: Loss, checks: int
) -> dict[str, float] | None:
    """Total cost in mean loss x checks: the system without and with its probes, version 1 kept, always retraining."""
    last = next((beat.check for beat in reversed(beats) if beat.check is not None), None)
    if last is None:
        return None
    usual, price, so_far = house.params.account.usual_rows, last["price"], last["totals"]
    return {
        "price": price,
        "system": so_far["without_probes"],
        "system_with_probes": so_far["with_probes"],
        "frozen": frozen.total / usual,
        "always": always.total / usual + price * checks,
    }


def _counted(retrainings: int) -> str:
    return f"{retrainings} retraining{'' if retrainings == 1 else 's'}"


def _line(beat: "Beat") -> tuple[Any, ...]:
    check, run = beat.check, beat.run
    came = "" if run is None else f"{run['state']}: {run['reason']}"
    if check is None:
        return beat.date, beat.rows, None, None, beat.live, f"version 1 {came}"
    reading = check["reading"]
    places = _places(check["price"])
    loss = None if reading is None else f"{reading['champion_loss']:.{places}f}"
    account = f"{check['account']['balance']:.{places}f} of {check['price']:.{places}f}"
    said = f"{check['outcome']}, {came}" if came else f"{check['outcome']}: {check['reason']}"
    return beat.date, beat.rows, loss, account, beat.live, said


def _record(beat: "Beat") -> dict[str, Any]:
    return {
        "date": beat.date,
        "rows": beat.rows,
        "check": beat.check,
        "run": beat.run,
        "live": beat.live,
        "system": beat.system.mean,
        "frozen": beat.frozen.mean,
        "always": beat.always.mean,
    }
