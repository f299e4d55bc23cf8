"""NannyML: distances of chunks, held against those of the reference's own chunks; 3 standard deviations by default.

Its best: as many standard deviations as one column's part of the rate asks, and the missing values looked at beside.
"""

from typing import Any

import nannyml
import numpy as np
import pandas as pd
from nannyml.thresholds import StandardDeviationThreshold
from windows import Alarms, Asked, Windows, run


def alarms(given: Windows, asked: Asked) -> Alarms:
    after = pd.concat(given.after, ignore_index=True)
    names = list(given.before)
    univariate = nannyml.UnivariateDriftCalculator(column_names=names, chunk_size=given.rows)
    univariate.fit(given.before)
    far = univariate.calculate(after)
    usual = flagged(far)
    # The same limits at another number of standard deviations, without another pass: mean and spread of the reference.
    history, now = (
        far.filter(period=period).to_df().xs("value", axis=1, level=-1).to_numpy("float64")
        for period in ("reference", "analysis")
    )
    tuned = (now > np.nanmean(history, axis=0) + asked.sds * np.nanstd(history, axis=0)).any(axis=1)
    limit = StandardDeviationThreshold(std_lower_multiplier=asked.sds, std_upper_multiplier=asked.sds)
    missing = nannyml.MissingValuesCalculator(column_names=names, chunk_size=given.rows, threshold=limit)
    missing.fit(given.before)
    return {
        "Jensen-Shannon, 3 sd, its default": usual.tolist(),
        f"the same, {asked.sds:.1f} sd, and missing values": (tuned | flagged(missing.calculate(after))).tolist(),
    }


def flagged(result: Any) -> np.ndarray:
    """Chunks after the reference in which any column alerts."""
    found = result.filter(period="analysis").to_df()
    return found[[column for column in found.columns if column[-1] == "alert"]].to_numpy(dtype=bool).any(axis=1)


run(alarms)
