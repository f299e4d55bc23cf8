"""Every shipped table by name. Stages do not import it, so a new table makes none of them stale."""

from retrim.datasets import bank, bike, rodents
from retrim.datasets.shipped import DATASETS

__all__ = ["DATASETS", "bank", "bike", "rodents"]
