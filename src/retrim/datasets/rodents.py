"""Rodents of 12 species, 1977-2002: one comes that was never seen before. See data/samples/NOTICE."""

from retrim.datasets.shipped import DATASETS, Shipped

RODENTS = DATASETS.register("rodents")(
    Shipped(sample="data/samples/rodents.csv.gz", data="data/samples/rodents.params.yaml", time="date")
)
