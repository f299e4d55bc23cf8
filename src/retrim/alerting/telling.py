"""People are told: what waits is claimed, sent and settled, for each address.

A claim is written before anything is sent, so two processes never send the same. One that dies while it sends leaves
its claim; after `LEASE` the alert is sent again: told twice rather than never.
"""

import logging
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from secrets import token_hex
from socket import gethostname

import pandas as pd

from retrim.adapters.database import iso
from retrim.adapters.landing_zone import Landing
from retrim.alerting.notify import AlertAddress, read_addresses, send_messages, send_ping
from retrim.decision.alerts import (
    KEPT,
    Alert,
    AlertKind,
    Message,
    Severity,
    WaitingAlert,
    alerts_due,
    compose_message,
    retry_after,
)
from retrim.decision.stored_rows import AlertRow, DeliveryRow
from retrim.errors import BadInputError, RetrimError
from retrim.lineage.workspace import Workspace

LOGGER = logging.getLogger("retrim.telling")
LEASE = pd.Timedelta("2min")
SHOWN_FOR = pd.Timedelta("7D")
"""For how long status shows what could not be sent."""
Send = Callable[[Sequence[AlertAddress], Sequence[Message]], list[str | None]]


@dataclass(frozen=True)
class Sending:
    """A message sent to an address.

    Args:
        address: Name of the address: protocol and a keyed digest.
        alerts: Number of alerts in the message.
        error: Why the message was not accepted, without secrets; None if it was.
    """

    address: str
    alerts: int
    error: str | None


def addresses_of(workspace: Workspace) -> dict[str, AlertAddress]:
    """The addresses of the environment by name; a name tells nothing that is secret, and stays when others change.

    Raises:
        BadInputError: The file of addresses cannot be read, or lies where git may take it.
    """
    env, paths = workspace.env, workspace.paths
    given = None if env.alerts is None else env.alerts.get_secret_value()
    addresses = read_addresses(given, env.alerts_file, root=paths.root, var=paths.var)
    return {_name(workspace, address): address for address in addresses}


def _name(workspace: Workspace, address: AlertAddress) -> str:
    signature = workspace.keys.sign(b"retrim alerts " + address.text.encode())
    return f"{address.protocol}-{sha256(signature.encode()).hexdigest()[:6]}"


def tell_people(workspace: Workspace, *, now: pd.Timestamp, send: Send = send_messages) -> list[Sending]:
    """Sends every address what is due. What an address does not take is tried again later.

    Raises:
        BadInputError: As `addresses_of`.
    """
    place = f"{gethostname()}, {workspace.paths.root}"
    claims: list[tuple[str, str, AlertAddress, Message, list[tuple[AlertRow, int]]]] = []
    addresses = addresses_of(workspace) if workspace.env.tells else {}
    for name, address in addresses.items():
        if not _choose(workspace, now, *_known(workspace, name)):  # nothing is due: nothing is written
            continue
        claim = token_hex(8)
        rows = workspace.store.claim_alerts(
            workspace.model, name, partial(_choose, workspace, now), claim=claim, now=iso(now), until=iso(now + LEASE)
        )
        if rows:
            message = compose_message(workspace.model, [_as_alert(row) for row, _ in rows], place=place)
            claims.append((claim, name, address, message, rows))
    if not claims:
        return []
    errors = send([address for _, _, address, _, _ in claims], [message for _, _, _, message, _ in claims])
    sendings = []
    for (claim, name, _, _, rows), error in zip(claims, errors, strict=True):
        queued = max(str(row.queued) for row, _ in rows)  # one that was recorded just now may be later than `now`
        if error is None:
            workspace.store.settle_claim(claim, sent=max(iso(now), queued), due=None, error=None)
        else:
            again = iso(now + retry_after(max(attempt for _, attempt in rows)))
            workspace.store.settle_claim(claim, sent=None, due=again, error=error)
            LOGGER.warning(
                "%d alerts were not sent to %s; the next attempt is at %s: %s", len(rows), name, again, error
            )
        sendings.append(Sending(name, len(rows), error))
    return sendings


def tell_people_quietly(workspace: Workspace, *, now: pd.Timestamp) -> None:
    """The same, where nothing else may fail because of it: what goes wrong is logged."""
    try:
        tell_people(workspace, now=now)
    except (RetrimError, OSError) as error:
        LOGGER.warning("alerts could not be sent; retrim tries again: %s", error)


def _known(workspace: Workspace, address: str) -> tuple[list[AlertRow], list[DeliveryRow]]:
    """All alerts that were to be told, and what an address was sent."""
    store, model = workspace.store, workspace.model
    alerts = [row for row in store.alerts(model) if row.queued is not None]
    return alerts, [row for row in store.deliveries(model) if row.address == address]


def tell_nobody() -> None:
    """Forgets whom this process was told to tell: what is replayed has happened long ago."""
    for name in ("RETRIM_ALERTS", "RETRIM_ALERTS_FILE", "RETRIM_PING", "RETRIM_PING_FILE"):
        os.environ.pop(name, None)


def _choose(
    workspace: Workspace, now: pd.Timestamp, alerts: Sequence[AlertRow], sent: Sequence[DeliveryRow]
) -> list[str]:
    """The alerts that go to an address now, by id."""
    of_alert = {row.alert: row for row in sent}
    busy = (pd.Timestamp(row.tried) for row in sent if row.sent is not None or row.claim is not None)
    last = max(busy, default=None)
    waits = [row for row in alerts if _waits(row, of_alert.get(row.id), now)]
    if any(row.kind == AlertKind.BATCH_OVERDUE for row in waits):  # those that waited while the batch came are dropped
        newest = max(Landing(workspace.paths.landing).arrivals(), default=None)
        waits = [row for row in waits if not _has_come(row, newest)]
    waiting = [_waiting(row, of_alert.get(row.id)) for row in waits]
    return [due.alert.id for due in alerts_due(waiting, last_sent=last, now=now)]


def _waits(row: AlertRow, sent: DeliveryRow | None, now: pd.Timestamp) -> bool:
    """Whether an alert is still to be sent: it was queued since it was last sent, and not too long ago."""
    assert row.queued is not None
    is_unsent = sent is None or sent.sent is None or sent.sent < row.queued
    return is_unsent and now - pd.Timestamp(row.queued) <= KEPT


def _has_come(row: AlertRow, newest: pd.Timestamp | None) -> bool:
    """Whether an alert is of a batch that was overdue and has come since, by the newest arrival."""
    return row.kind == AlertKind.BATCH_OVERDUE and newest is not None and newest > pd.Timestamp(row.at)


def _waiting(row: AlertRow, sent: DeliveryRow | None) -> WaitingAlert:
    if sent is None or sent.sent is not None:
        return WaitingAlert(_as_alert(row), 0, None, claimed=False)
    due = None if sent.due is None else pd.Timestamp(sent.due)
    return WaitingAlert(_as_alert(row), sent.attempts, due, claimed=sent.claim is not None)


def _as_alert(row: AlertRow) -> Alert:
    return Alert(row.id, AlertKind(row.kind), row.about, row.text, pd.Timestamp(row.at))


@dataclass(frozen=True)
class UnsentAlerts:
    """Alerts that an address has not accepted.

    Args:
        address: Name of the address.
        alerts: Number of alerts.
        attempts: Largest number of attempts for one of them.
        next_try: Time of the next attempt; None if there will be none.
        error: Why the last attempt failed, without secrets.
    """

    address: str
    alerts: int
    attempts: int
    next_try: str | None
    error: str | None


def unsent_alerts(workspace: Workspace, *, now: pd.Timestamp) -> tuple[UnsentAlerts, ...]:
    """What was tried and not taken in the last days, by address; first what is still tried.

    An address that this environment no longer names, while it names others, was corrected or removed: nobody tries it.
    """
    here = _names_here(workspace)
    alerts = {row.id: row for row in workspace.store.alerts(workspace.model) if row.queued is not None}
    groups: dict[tuple[bool, str], list[DeliveryRow]] = {}
    for sent in workspace.store.deliveries(workspace.model):
        row = alerts.get(sent.alert)
        if row is None or row.queued is None or sent.sent is not None or (here and sent.address not in here):
            continue
        age = now - pd.Timestamp(row.queued)
        if age <= SHOWN_FOR and (sent.claim is None or pd.Timestamp(str(sent.due)) < now):
            groups.setdefault((age > KEPT, sent.address), []).append(sent)
    return tuple(
        UnsentAlerts(
            address,
            len(rows),
            max(row.attempts for row in rows),
            None if given_up else min(str(row.due) for row in rows),
            max(rows, key=lambda row: row.tried).error,
        )
        for (given_up, address), rows in sorted(groups.items())
    )


def _names_here(workspace: Workspace) -> set[str]:
    """Names of the addresses of this environment; none where it has none, or they cannot be read."""
    try:
        return set(addresses_of(workspace)) if workspace.env.tells else set()
    except (RetrimError, OSError):
        return set()


def send_test(workspace: Workspace, *, now: pd.Timestamp, send: Send = send_messages) -> list[Sending]:
    """Sends each address a test message, whatever was sent before.

    Raises:
        BadInputError: No address is set, or as `addresses_of`.
    """
    addresses = addresses_of(workspace)
    if not addresses:
        raise BadInputError(
            "no alert address is set; set RETRIM_ALERTS to one or more addresses, separated by spaces, such as "
            "mailto://user:password@host?to=you@example.com, or set RETRIM_ALERTS_FILE to a file with one address per "
            "line"
        )
    body = f"Alerts from {workspace.model} reach this address. This is a test message, sent at {iso(now)}."
    message = Message(Severity.INFO, f"retrim {workspace.model}: test", body)
    errors = send(list(addresses.values()), [message] * len(addresses))
    return [Sending(name, 0, error) for name, error in zip(addresses, errors, strict=True)]


def ping_watcher(workspace: Workspace) -> str | None:
    """Tells the watcher at `RETRIM_PING`, if there is one, that the schedule is alive; why that failed, or None."""
    ping = workspace.env.ping
    return None if ping is None else send_ping(ping.get_secret_value())
