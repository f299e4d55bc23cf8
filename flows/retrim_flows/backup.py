"""The scheduled backup, at the place that the environment of the schedule names."""

from prefect import flow

from retrim.operations.backup import back_up_here
from retrim.operations.backup_record import BackupMade
from retrim_flows.lines import say
from retrim_flows.moment import due_once, open_workspace
from retrim_flows.recovery import SIGNED


@flow(name="backup", **SIGNED)
def backup(now: str | None = None) -> BackupMade | None:
    """Makes one backup for all due times; returns None if there is nothing to do."""
    with due_once("backup", now) as at:
        if at is None:
            return None
        made = back_up_here(open_workspace(), None, keep=None)
        say("backed up", f"{made.name} at {made.where}, {made.new_bytes} new bytes")
        return made
