"""Calls of a bank, 2008-2010: a crisis, then fewer and better aimed calls. See data/samples/NOTICE."""

from retrim.datasets.shipped import DATASETS, Shipped

BANK = DATASETS.register("bank")(
    Shipped(sample="data/samples/bank.csv.gz", data="data/samples/bank.params.yaml", time="date")
)
