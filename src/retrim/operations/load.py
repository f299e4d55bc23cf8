"""Which load needs what machine: arithmetic on what one core of this machine does."""

from dataclasses import dataclass
from math import ceil

from retrim.stats.codec import written

DAY = 86_400
MONTH_DAYS = 30
USED = 0.6
"""Share of a core that work may take on average: above it what comes at once waits long."""
IDLE_GB = 1.2
"""What the services of an installation take before any work: Prefect, MLflow, a worker, the pages."""
PER_MODEL_GB = 0.25
"""A process that answers requests for a model."""
BASE_GB = 0.6
"""A retraining before it has read a row."""
CELL_BYTES = 12
"""Memory of a retraining for each cell, rows times features: the most of its stages at 10,000,000 x 50
(`python bench/scale.py`), with DVC beside it."""


@dataclass(frozen=True)
class CoreRates:
    """What one core of a machine does, by the time that the processor worked.

    Args:
        landing: Rows a second that land, checked against the contract; None: not measured.
        predicting: Rows a second that the live version predicts.
        requests: Requests of one row a second over HTTP; None: not measured.
        fitting: Rows times boosting rounds a second of the live version's recipe.
        check_seconds: Of a check: its start, reading, drift, and its probe.
        retraining_work: Rows times rounds of a retraining at the size of today.
        rows: That have landed.
        features: Of the live version.
        row_bytes: That a landed row takes on the disk.
    """

    landing: float | None
    predicting: float
    requests: float | None
    fitting: float
    check_seconds: float
    retraining_work: int
    rows: int
    features: int
    row_bytes: float

    @written
    def retraining_seconds(self) -> float:
        """Of a core, for a retraining at the size of today."""
        return self.retraining_work / self.fitting


@dataclass(frozen=True)
class ModelLoad:
    """What is asked of an installation.

    Args:
        models: How many, all like this one.
        rows_a_day: That land for each model, and are predicted.
        requests_a_second: For each model, of one row.
        checks_a_day: Of each model.
        retrainings_a_month: Of each model.
        years: Of rows that are kept.
    """

    models: int
    rows_a_day: float
    requests_a_second: float
    checks_a_day: float
    retrainings_a_month: float
    years: float

    @property
    def rows(self) -> float:
        """Rows that a model has in the end."""
        return self.rows_a_day * 365 * self.years


@dataclass(frozen=True)
class MachineNeed:
    """The machine that a load needs.

    Args:
        landing: Cores at work on average, and so the others.
        predicting: Rows that land.
        requests: Over HTTP.
        checks: Of all models.
        retraining: Of all models, with as many rows as are kept.
        memory_gb: Services, a process for each model that answers requests, and one retraining at a time.
        disk_gb: Landed rows of all years, and their predictions.
    """

    landing: float
    predicting: float
    requests: float
    checks: float
    retraining: float
    memory_gb: float
    disk_gb: float

    @written
    def busy(self) -> float:
        """Cores at work on average."""
        return self.landing + self.predicting + self.requests + self.checks + self.retraining

    @written
    def cores(self) -> int:
        """Cores to have, so that none is at work for more than six tenths of the time."""
        return max(ceil(self.busy / USED), 1)


def machine_for(load: ModelLoad, rates: CoreRates) -> MachineNeed:
    """The machine for a load, from what a core does here; a core elsewhere may be faster or slower.

    A retraining's work grows with the rows, and a check's time with its probe: both are scaled from the rows of today.
    """
    grown = max(load.rows / max(rates.rows, 1), 1.0)
    rows = load.models * load.rows_a_day
    answers = load.models * load.requests_a_second
    retraining = rates.retraining_seconds * grown * load.retrainings_a_month / (MONTH_DAYS * DAY)
    memory = IDLE_GB + BASE_GB + max(load.rows, rates.rows) * rates.features * CELL_BYTES / 1e9
    return MachineNeed(
        landing=rows / DAY / rates.landing if rates.landing else 0.0,
        predicting=rows / DAY / rates.predicting,
        requests=answers / rates.requests if rates.requests else 0.0,
        checks=load.models * load.checks_a_day * rates.check_seconds / DAY,
        retraining=load.models * retraining,
        memory_gb=memory + (load.models * PER_MODEL_GB if load.requests_a_second else 0.0),
        disk_gb=load.models * load.rows * 2 * rates.row_bytes / 1e9,
    )
