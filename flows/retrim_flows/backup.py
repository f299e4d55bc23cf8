"""The scheduled backup, at the place that the environment of the schedule names."""

from prefect import flow

from retrim.operations.backup import back_up_here
from retrim.operations.backup_record import BackupMade
from retrim_flows.context import open_workspace, say
from retrim_flows.reconcile import SIGNED
from retrim_flows.schedule import due_once


@flow(name="backup", **SIGNED)
def backup(now: str | None = None) -> BackupMade | None:
    """Makes one backup for all due times; returns None if there is nothing to do."""
    with due_once("backup", now) as at:
        if at is None:
            return None
        snapshot = back_up_here(open_workspace(), None)
        say("backed up", f"{snapshot.name} at {snapshot.where}, {snapshot.new_bytes} new bytes")
        if snapshot.damaged:
            say("damaged", f"{len(snapshot.damaged)} contents of earlier backups, such as {snapshot.damaged[0]}")
        return snapshot
