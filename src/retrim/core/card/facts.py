"""What a card is written from: the bundle's records, the store's rows, and what a person says of the model."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from pydantic import Field

from retrim.core.section import Section as Settings


class CardParams(Settings):
    """What only a person can say of a model; it stands in its cards."""

    owner: str | None = Field(description="who answers for the model; null: not said")
    purpose: str | None = Field(description="what its predictions are for; null: not said")
    limits: str | None = Field(description="what they must not be used for, what is known to be wrong; null: not said")


@dataclass(frozen=True)
class Facts:
    """Everything known of one version.

    Args:
        model: Name of the model.
        version: The version's row in the store, by column.
        run: MLflow's id of its run; None where the registry does not say.
        said: What a person says.
        records: JSON files of the bundle, by name; those that it lacks are not in it.
        digests: SHA-256 of every file of the bundle, by name.
        judged: The judged rows.
        releases: Rows of the release log, all of the model, oldest first.
        envelope: Rows of the version's envelope, oldest first.
        checks: Checks at which it was live, oldest first.
        pictures: Names of the pictures there are.
        min_rows: Judging rows that the gate asks for.
        least_rows: Rows of a slice below which nothing is said of it.
    """

    model: str
    version: Mapping[str, Any]
    run: str | None
    said: CardParams
    records: Mapping[str, Any]
    digests: Mapping[str, str]
    judged: pd.DataFrame
    releases: Sequence[Mapping[str, Any]]
    envelope: Sequence[Mapping[str, Any]]
    checks: Sequence[Mapping[str, Any]]
    pictures: frozenset[str]
    min_rows: int
    least_rows: int

    @property
    def number(self) -> int:
        return int(self.version["version"])

    @property
    def verdict(self) -> dict[str, Any]:
        return dict(self.records["verdict/verdict.json"])

    @property
    def view(self) -> dict[str, Any]:
        return dict(self.records["features/view.json"])

    @property
    def fit_file(self) -> str:
        return f"models/{self.verdict['winner']}/fit.json"

    @property
    def live_spans(self) -> list[tuple[str, str | None]]:
        """When it went live, and when something else did; None: it still is."""
        moves = list(self.releases)
        ends = [str(after["at"]) for after in moves[1:]]
        return [
            (str(row["at"]), ends[place] if place < len(ends) else None)
            for place, row in enumerate(moves)
            if row["version"] == self.number
        ]

    def predicted(self) -> np.ndarray:
        """What the winner said of the judged rows: shape (n,), or (n, classes)."""
        winner = self.verdict["winner"]
        if winner in self.judged:
            return np.asarray(self.judged[winner])
        names = [f"{winner}_{place}" for place in range(len(self.view["classes"]))]
        return np.asarray(self.judged[names])
