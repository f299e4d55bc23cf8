"""What a run directory is pinned to: `data/pins.json`, on which every stage depends."""

from dataclasses import dataclass

from retrim.gate.losses import EarlierVerdict
from retrim.gate.size import Size
from retrim.gate.support import ShownEvidence
from retrim.stats.codec import Absent, Moment
from retrim.training.mode import FINAL, RunMode


@dataclass(frozen=True)
class PinnedFile:
    """The file of an own model, by its name in the workspace and its SHA-256."""

    file: str
    sha256: str


@dataclass(frozen=True)
class Pins:
    """What the machine sets for a run. Digests are SHA-256.

    Args:
        as_of: Rows that were mature by then make the version.
        mode: How the run makes its version.
        model: Name in the registry.
        champion: The version that is live; None before version 1.
        judged: Earlier verdicts, with the rows that each was given on.
        shown: What the checks of the champion's life have shown; None where no check started the run.
        size: How many rows judge; None: as the setting says.
        python: Version of the interpreter.
        platform: System and processor.
        params_digest: Of what params.yaml states.
        settings_digest: Of `data/settings.json`.
        code_digest: Of the package whose stages run.
        own: The own model's file, where the model is one.
        raw_digest: Of the landed batches.
        champion_digest: Of the champion's bundle.
        previous_digest: Of the previous champions' bundles.
    """

    as_of: Moment
    mode: RunMode
    model: str = ""
    champion: int | None = None
    judged: tuple[EarlierVerdict, ...] = ()
    shown: tuple[ShownEvidence, ...] | None = None
    size: Size | None = None
    python: str = ""
    platform: str = ""
    params_digest: str = ""
    settings_digest: str = ""
    code_digest: str = ""
    own: Absent[PinnedFile] = None
    raw_digest: str = ""
    champion_digest: str = ""
    previous_digest: str = ""

    @property
    def is_final(self) -> bool:
        """Whether the run fits the champion's recipe once more, on the rows that judged the champion too."""
        return self.mode == FINAL
