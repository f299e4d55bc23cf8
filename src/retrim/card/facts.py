"""What a model card is written from, and what it is made of before it is Markdown or HTML."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from pydantic import Field

from retrim.card.report import Facts, Table
from retrim.decision.stored_rows import EnvelopeRow, ReleaseRow, VersionRow
from retrim.features.view import FeatureView
from retrim.gate.fairness import FairnessRecord
from retrim.gate.verdict import SlicesRecord, VerdictRecord
from retrim.stats.plugins import SettingsSection as Settings
from retrim.training.bundle import FitRecord, SplitRecord
from retrim.training.predicted import Importance
from retrim.training.recipe import BacktestRecord, FoundRecord

if TYPE_CHECKING:  # every stage reads the settings of this file, and none looks at checks
    from retrim.decision.check_record import StoredCheck

VERDICT = "verdict/verdict.json"
STORE = "store: "


class CardParams(Settings):
    """Facts that only a person knows about a model; its model cards show them."""

    purpose: str | None = Field(
        default=None,
        description="what the model's predictions are for and must not be used for, and who is responsible; null: not "
        "stated",
    )


@dataclass(frozen=True)
class VersionFacts:
    """Everything known of one version.

    Args:
        final: What the final fit was fitted on; None where there is none.
        importance: Exact contributions by feature; None where the model has none.
        fairness: Figures by group; None where no groups are declared.
        run: MLflow's id of its run; None where the registry does not say.
        digests: SHA-256 of every file of the bundle, by name.
        releases: Rows of the release log, all of the model, oldest first.
        envelope: Rows of the version's envelope, oldest first.
        checks: Checks at which it was live, oldest first.
        pictures: Names of the pictures there are.
        min_rows: Holdout rows that the gate asks for.
    """

    model: str
    version: VersionRow
    verdict: VerdictRecord
    outcome: str
    view: FeatureView
    fit: FitRecord
    final: FitRecord | None
    split: SplitRecord
    found: FoundRecord
    trials: int
    backtest: BacktestRecord
    slices: SlicesRecord
    importance: Importance | None
    fairness: FairnessRecord | None
    run: str | None
    stated: CardParams
    digests: Mapping[str, str]
    judged: pd.DataFrame
    releases: Sequence[ReleaseRow]
    envelope: Sequence[EnvelopeRow]
    checks: "Sequence[StoredCheck]"
    pictures: frozenset[str]
    min_rows: int

    @property
    def number(self) -> int:
        return self.version.version

    @property
    def fit_file(self) -> str:
        return f"models/{self.verdict.winner}/fit.json"

    @property
    def live_spans(self) -> list[tuple[str, str | None]]:
        """When it went live, and when something else did; None: it still is."""
        ends = [*(after.at for after in self.releases[1:]), None]
        return [(row.at, end) for row, end in zip(self.releases, ends, strict=False) if row.version == self.number]

    def predicted(self) -> np.ndarray:
        """What the winner's judged fit predicts for the judged rows: shape (n,), or (n, classes)."""
        winner = self.verdict.winner
        names = [f"{winner}_{number}" for number in range(len(self.view.classes))]
        return np.asarray(self.judged[winner if winner in self.judged else names])


@dataclass(frozen=True)
class Source:
    """Where figures come from.

    Args:
        name: What the card calls it, such as `verdict`.
        address: `runs:/ID/PATH` of a file of the run in MLflow, or a table of the store; no host stands in it.
        digest: SHA-256 of the file; None for rows of the store.
    """

    name: str
    address: str
    digest: str | None


@dataclass(frozen=True)
class CardSection:
    """A section of the card; an empty one is left out."""

    title: str
    anchor: str
    sentences: tuple[str, ...] = ()
    tables: tuple[Facts | Table, ...] = ()
    pictures: tuple[tuple[str, str], ...] = ()  # file name and title

    @property
    def empty(self) -> bool:
        return not (self.sentences or self.tables or self.pictures)


@dataclass(frozen=True)
class Card:
    """A card."""

    title: str
    summary: tuple[Facts, ...]
    sections: tuple[CardSection, ...]
    sources: tuple[Source, ...]
