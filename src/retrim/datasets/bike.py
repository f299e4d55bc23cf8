"""Hourly bike rentals, 2011-2012: the system grows, and there are seasons. See data/samples/NOTICE."""

from retrim.datasets.shipped import DATASETS, Shipped

BIKE = DATASETS.register("bike")(Shipped(sample="data/samples/bike.csv.gz", data="params.yaml", time="hour_start"))
