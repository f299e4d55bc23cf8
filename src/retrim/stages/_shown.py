"""What the checks of the champion's life have shown, as pinned for the run that they started."""

from collections.abc import Mapping
from typing import Any

from retrim.core.challengers import REFITTED
from retrim.core.gate import GateParams, Judged, Shown, Support, support_of


def support_in(pins: Mapping[str, Any], judged: Judged, gate: GateParams) -> dict[str, Support] | None:
    """What earlier checks showed of the champion's recipe refitted, by the name of the challenger that is such a refit.

    None where no check started the run, or nothing judges.
    """
    if pins.get("shown") is None or not len(judged.rows):
        return None
    begin = judged.rows["_event"].iloc[0]
    shown = [Shown.from_record(each).before(begin) for each in pins["shown"]]
    most = 0.0 if gate.harm is None else gate.harm.most
    prefix = "" if pins["mode"] == "refit" else REFITTED
    kinds = {name: name.removeprefix(prefix) for name in judged.challengers if name.startswith(prefix)}
    return {name: support_of(shown, kind, most=most) for name, kind in kinds.items()}
