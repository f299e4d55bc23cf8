"""What a model took in a month: retrainings, checks, hours, money; and what it keeps on the disk."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from retrim.checking.history import runs_paid
from retrim.decision.check_record import EarlierCheck
from retrim.decision.stored_rows import DecisionRow
from retrim.lineage.workspace import Workspace
from retrim.stats.codec import read_record


@dataclass(frozen=True)
class MonthCost:
    """What a model cost in a calendar month, UTC.

    Args:
        month: Month, such as 2026-11.
        retrainings: Retrainings that were paid for, without deferred ones.
        hours: Elapsed time of their stages, in hours.
        checks: Number of checks.
        probes: Cost of the probes, in retrainings.
        money: Cost of the retrainings; None if `gain.money` is not set.
        probe_money: Cost of the probes, as their share of a retraining.
        currency: Currency of both.
        budget: Limit for the cost of the retrainings; None if there is no limit.
        kept_gb: Size of the workspace folder now, in GB; None if the month is over or storage has no price.
        storage_money: Monthly cost of that storage, in addition to the retrainings.
    """

    month: str
    retrainings: int
    hours: float
    checks: int
    probes: float
    money: float | None
    probe_money: float | None
    currency: str | None
    budget: float | None
    kept_gb: float | None = None
    storage_money: float | None = None

    @property
    def line(self) -> str:
        count = "1 retraining" if self.retrainings == 1 else f"{self.retrainings} retrainings"
        checks = "1 check" if self.checks == 1 else f"{self.checks} checks"
        sentence = f"{self.month}: {count} in {self.hours:.2g} h, {checks}"
        if self.money is None:
            return sentence
        limit = "" if self.budget is None else f" of {self.budget:.6g}"
        storage = (
            "" if self.kept_gb is None else f"; {self.kept_gb:.3g} GB kept: {self.storage_money:.3g} {self.currency}"
        )
        return f"{sentence}; {self.money:.6g}{limit} {self.currency}{storage}"


def cost_of_month(
    workspace: Workspace, checks: Sequence[DecisionRow], *, month: str, kept_gb: float | None = None
) -> MonthCost:
    """What a model took in a month; `checks` are at least those of that month."""
    paid = runs_paid(workspace, month)
    seconds = workspace.store.seconds_of_runs(workspace.model)
    in_month = [check for check in checks if check.as_of.startswith(month)]
    probes = sum(_probe(check) for check in in_month)
    money = workspace.params.gain.money
    return MonthCost(
        month=month,
        retrainings=len(paid),
        hours=sum(seconds.get(run.id, 0.0) for run in paid) / 3600,
        checks=len(in_month),
        probes=probes,
        money=None if money is None else money.cost * len(paid),
        probe_money=None if money is None else money.cost * probes,
        currency=None if money is None else money.currency,
        budget=None if money is None else money.budget,
        kept_gb=kept_gb,
        storage_money=None if money is None or kept_gb is None else (money.gb_month or 0.0) * kept_gb,
    )


def priced_gb(workspace: Workspace) -> float | None:
    """GB in the folder of a workspace; None where `gain.money` does not say what one costs, as counting takes time."""
    money = workspace.params.gain.money
    if money is None or money.gb_month is None:
        return None
    root, seen = workspace.paths.root, set[tuple[int, int]]()
    return sum(_size(folder, seen) for folder in (workspace.paths.var, root / ".dvc", root / ".git")) / 1e9


def _probe(check: DecisionRow) -> float:
    """The probe of a check as a share of a retraining; 0 where there was none."""
    cost = read_record(EarlierCheck, check.text).probe.cost
    return cost.work / cost.retraining if cost is not None and cost.retraining else 0.0


def _size(folder: Path, seen: set[tuple[int, int]]) -> int:
    """Bytes of all files in a folder that were not counted yet, as links to one file count once."""
    total = 0
    for file in folder.rglob("*"):
        try:
            facts = file.lstat()
        except OSError:  # it went meanwhile
            continue
        if file.is_file() and (facts.st_dev, facts.st_ino) not in seen:
            seen.add((facts.st_dev, facts.st_ino))
            total += facts.st_size
    return total
