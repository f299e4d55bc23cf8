"""What a run directory is pinned to: `data/pins.json`, on which every stage depends."""

from dataclasses import dataclass

from retrim.gate.losses import EarlierVerdict
from retrim.gate.size import Size
from retrim.gate.support import ShownEvidence
from retrim.stats.codec import Absent, Moment
from retrim.training.mode import Mode


@dataclass(frozen=True)
class PinnedFile:
    """The file of a custom model: its name in the workspace and its SHA-256."""

    file: str
    sha256: str


@dataclass(frozen=True)
class Pins:
    """What the workspace sets for a run. Digests are SHA-256.

    Args:
        as_of: Rows that were mature by then are used.
        mode: How the run makes its version.
        champion: The version that is live; None before version 1.
        judged: Earlier verdicts, with the rows of each.
        shown: Results of the checks since the champion went live; None if no check started the run.
        size: Number of holdout rows; None: as in the settings.
        changed: Event time from which the table differs from what the champion was judged on; None: nothing says so.
        params_digest: Digest of the contents of params.yaml.
        settings_digest: Digest of `data/settings.json`.
        code_digest: Digest of the package whose stages run.
        own: File of the custom model; None if the model is not custom.
        raw_digest: Digest of the landed batches.
        champion_digest: Digest of the champion's bundle.
        previous_digest: Digest of the previous champions' bundles.
    """

    as_of: Moment
    mode: Mode
    model: str = ""
    champion: int | None = None
    judged: tuple[EarlierVerdict, ...] = ()
    shown: tuple[ShownEvidence, ...] | None = None
    size: Size | None = None
    changed: Absent[Moment] = None
    python: str = ""
    platform: str = ""
    params_digest: str = ""
    settings_digest: str = ""
    code_digest: str = ""
    own: Absent[PinnedFile] = None
    raw_digest: str = ""
    champion_digest: str = ""
    previous_digest: str = ""
