"""Evidently: how many columns drifted by its defaults, any or half of them; and by KS and chi-squared, Bonferroni."""

from typing import Any

from evidently import DataDefinition, Dataset, Report
from evidently.metrics import DriftedColumnsCount
from windows import Alarms, Asked, Windows, run


def alarms(given: Windows, asked: Asked) -> Alarms:
    kinds = DataDefinition(numerical_columns=given.numbers, categorical_columns=given.categories)
    before = Dataset.from_pandas(given.before, data_definition=kinds)
    after = [Dataset.from_pandas(window.reset_index(drop=True), data_definition=kinds) for window in given.after]

    def drifted(**settings: Any) -> list[int]:
        """Columns that drifted, window by window."""
        report = Report([DriftedColumnsCount(**settings)])
        return [int(report.run(window, before).dict()["metrics"][0]["value"]["count"]) for window in after]

    usual = drifted()
    tuned = drifted(
        num_method="ks", num_threshold=asked.per_column, cat_method="chisquare", cat_threshold=asked.per_column
    )
    said = {"its default, any column": [count > 0 for count in usual]}
    if given.before.shape[1] == asked.columns:
        said["its default, half of the columns"] = [count >= asked.columns / 2 for count in usual]
    return {**said, "KS and chi-squared, Bonferroni": [count > 0 for count in tuned]}


run(alarms)
