"""Alerts: what a person has to know, told once, kept in the store and in the log."""

import logging
from hashlib import sha256

import pandas as pd

from retrim.adapters.store import iso
from retrim.ops.house import House

LOGGER = logging.getLogger("retrim.alerts")


def alert(house: House, kind: str, text: str, *, now: pd.Timestamp) -> bool:
    """Tells once; False if the same was told before."""
    identity = sha256(f"{house.model}\0{kind}\0{text}".encode()).hexdigest()[:16]
    row = {"id": identity, "model": house.model, "kind": kind, "at": iso(now), "text": text}
    fresh = house.store.add_alert(row)
    if fresh:
        LOGGER.warning("%s: %s", kind, text)
    return fresh


def tell_suspicious(house: House, *, now: pd.Timestamp) -> None:
    """An alert for every suspicious batch that stands, once: so none is lost to a kill right after it landed."""
    for batch in house.landing.standing():
        if batch.suspicious:
            alert(house, "suspicious batch", f"{batch.batch} landed; {batch.suspicious}", now=now)
