"""Where things lie: in a workspace, and in a run directory."""

from dataclasses import dataclass
from pathlib import Path

from retrim.errors import BadInputError

NO_CHAMPION = "none.json"
BEFORE_FILE = "mitigation/before.parquet"
"""In the folder of a challenger fitted on weighted rows: what it would have predicted without weights."""


@dataclass(frozen=True)
class WorkspacePaths:
    """A checkout a person works in; all runtime state is under `var/`."""

    root: Path

    @classmethod
    def find(cls, start: Path) -> "WorkspacePaths":
        """The workspace that holds `start`: the nearest folder above with a params.yaml and a dvc.yaml.

        Raises:
            BadInputError: No such folder.
        """
        start = start.resolve()
        for folder in (start, *start.parents):
            if (folder / "params.yaml").is_file() and (folder / "dvc.yaml").is_file():
                return cls(folder)
        raise BadInputError(f"{start} is in no retrim workspace (no params.yaml with dvc.yaml above it); cd into one")

    @property
    def params(self) -> Path:
        return self.root / "params.yaml"

    @property
    def lock(self) -> Path:
        return self.root / "requirements.lock"

    @property
    def var(self) -> Path:
        return self.root / "var"

    @property
    def landing(self) -> Path:
        return self.var / "landing"

    @property
    def quarantine(self) -> Path:
        return self.var / "quarantine"

    @property
    def inbox(self) -> Path:
        return self.var / "inbox"

    @property
    def runs(self) -> Path:
        return self.var / "runs"

    @property
    def trials(self) -> Path:
        return self.var / "trials"

    @property
    def policy(self) -> Path:
        return self.var / "policy"

    @property
    def environments(self) -> Path:
        return self.var / "environments"

    @property
    def keys(self) -> Path:
        return self.var / "keys"

    @property
    def attestations(self) -> Path:
        return self.var / "attestations"

    @property
    def prefect(self) -> Path:
        return self.var / "prefect"

    @property
    def ui_password(self) -> Path:
        """The file with the password of the pages that `retrim ui` shows."""
        return self.var / "ui" / "password"

    @property
    def demo(self) -> Path:
        return self.var / "demo"

    @property
    def replays(self) -> Path:
        return self.var / "replay"


@dataclass(frozen=True)
class Paths:
    """The files of a run directory. Each stage owns one folder of the bundle `data/candidate/`."""

    root: Path

    @property
    def raw(self) -> Path:
        return self.root / "data" / "raw"

    @property
    def pins(self) -> Path:
        return self.root / "data" / "pins.json"

    @property
    def settings(self) -> Path:
        """Every setting that the run was made with, defaults among them."""
        return self.root / "data" / "settings.json"

    @property
    def champion(self) -> Path:
        return self.root / "data" / "champion"

    @property
    def has_champion(self) -> bool:
        """Whether a champion was laid into the room; before version 1 a marker file says there is none."""
        return not (self.champion / NO_CHAMPION).exists()

    @property
    def former(self) -> Path:
        """Previous champions that compete, a folder each: `v3`; a marker file says that there is none."""
        return self.root / "data" / "former"

    @property
    def has_formers(self) -> bool:
        """Whether previous champions were laid into the room."""
        return self.former.is_dir() and not (self.former / NO_CHAMPION).exists()

    @property
    def table(self) -> Path:
        """The mature rows, in total order: made by validate, outside the bundle."""
        return self.root / "data" / "table.parquet"

    @property
    def view(self) -> Path:
        """The feature view's rows: made by features, outside the bundle."""
        return self.root / "data" / "view.parquet"

    @property
    def candidate(self) -> Path:
        return self.root / "data" / "candidate"

    @property
    def format(self) -> Path:
        """The number of the bundle's format."""
        return self.candidate / "format.json"

    @property
    def validation(self) -> Path:
        return self.candidate / "validation"

    @property
    def features(self) -> Path:
        return self.candidate / "features"

    @property
    def tuning(self) -> Path:
        return self.candidate / "tuning"

    @property
    def models(self) -> Path:
        return self.candidate / "models"

    @property
    def backtest(self) -> Path:
        return self.candidate / "backtest"

    @property
    def verdict(self) -> Path:
        return self.candidate / "verdict"
