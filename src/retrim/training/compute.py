"""Where fits are made. None of it changes a result: a run rebuilt elsewhere gives the same bytes."""

from typing import Literal

from pydantic import Field

from retrim.stats.plugins import SettingsSection


class ComputeParams(SettingsSection):
    """Where the fits of a retraining run."""

    engine: Literal["local", "dask"] = Field(
        default="local",
        description=(
            "where fits run; local: in threads of one process; dask: on the Dask cluster at RETRIM_DASK or, "
            "if that is not set, a cluster that retrim starts on this machine"
        ),
    )
    workers: int | None = Field(
        default=None,
        ge=1,
        le=1024,
        description="number of worker processes, with one core each, in a cluster that retrim starts; null: "
        "one per core",
    )
