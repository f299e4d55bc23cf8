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
    """Measured rates of one core, by processor time.

    Args:
        landing: Rows per second that land and are checked against the contract; None if not measured.
        predicting: Rows per second that the live version predicts.
        requests: Requests per second of one row each, over HTTP; None if not measured.
        fitting: Rows times boosting rounds per second, for the live version's recipe.
        check_seconds: Seconds for a check: its start, reading, drift tests and probe.
        retraining_work: Rows times boosting rounds of a retraining at today's size.
        rows: Landed rows.
        features: Features of the live version.
        row_bytes: Bytes on disk per landed row.
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
        """Processor seconds for a retraining at today's size."""
        return self.retraining_work / self.fitting


@dataclass(frozen=True)
class ModelLoad:
    """The load to plan for.

    Args:
        models: Number of models, all like this one.
        rows_a_day: Rows per day that land and are predicted, for each model.
        requests_a_second: Requests per second of one row each, for each model.
        checks_a_day: Checks per day, for each model.
        retrainings_a_month: Retrainings per month, for each model.
        years: Years for which rows are kept.
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
        landing: Average number of busy cores for landing rows.
        predicting: Average number of busy cores for predicting landed rows.
        requests: Average number of busy cores for HTTP requests.
        checks: Average number of busy cores for the checks of all models.
        retraining: Average number of busy cores for the retrainings of all models, with all rows that are kept.
        memory_gb: Memory in GB for the services, one process for each model that answers requests, and one retraining
            at a time.
        disk_gb: Disk space in GB for the landed rows of all years and their predictions.
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
        """Average number of busy cores in total."""
        return self.landing + self.predicting + self.requests + self.checks + self.retraining

    @written
    def cores(self) -> int:
        """Cores to provide, so that each is busy at most 60% of the time."""
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
