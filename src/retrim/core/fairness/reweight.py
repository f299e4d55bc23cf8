"""Weights of training rows that make group and label independent."""

import numpy as np
import pandas as pd

GROUP = "_group"
"""Column of a training frame that holds each row's group, of all declared columns together."""


def reweighting(groups: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Weight of each row: rows its group and label would have were they independent, over those they have.

    The weights sum to the rows, in each group and for each label too. In a group that has its labels in the
    same shares as all rows, each weight is 1.

    Args:
        groups: Group of each row, shape (n,).
        labels: Class of each row, shape (n,).

    Returns:
        Above 0, shape (n,).

    Source:
        Kamiran and Calders (2012), Knowledge and Information Systems 33(1), 1-33, section 5.2.
    """
    own, places = pd.factorize(groups)[0], pd.factorize(labels)[0]
    n, classes = len(own), int(places.max(initial=0)) + 1
    both = np.bincount(own * classes + places, minlength=(int(own.max(initial=0)) + 1) * classes)
    by_group, by_label = np.bincount(own), np.bincount(places)
    return np.asarray(by_group[own] * by_label[places] / (n * both[own * classes + places]))
