"""A run that has made all of its files while the DVC remote was away: it waits, and is finished when that is back."""

import pandas as pd

from retrim.adapters.store import Row, iso
from retrim.ops.alerts import alert
from retrim.ops.house import House
from retrim.ops.live import live
from retrim.ops.rooms import Room

UNPUSHED = "unpushed"  # state of the run
ROOM = "room"  # in the detail of a run: the room whose stages have all run


def wait_for_remote(house: House, run: Row, room: Room, *, why: str, now: pd.Timestamp) -> None:
    """Ends a run *unpushed* and tells it; its room stays."""
    found = house.store.run(run.id)
    kept = {} if found is None else found.detail
    said = "the DVC remote does not take its files; retrim check, retrain and the schedule finish it once it is back"
    alert(house, "remote away", f"{run.id}: {said}", now=now)  # first: a kill between tells it twice
    detail = {**kept, "reason": f"{said} ({why})", ROOM: room.as_record()}
    house.store.end_run(run.id, state=UNPUSHED, ended=iso(now), version=None, detail=detail)


def finished_room(house: House, run: Row) -> Room | None:
    """The room of an earlier attempt in which every stage has run, if its champion is still live; else None."""
    if ROOM not in run.detail:
        return None
    room, now_live = Room.from_record(run.detail[ROOM]), live(house)
    champion = None if now_live is None else now_live.version
    return room if room.folder.is_dir() and room.champion == champion else None
