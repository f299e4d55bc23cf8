"""The server of `retrim serve` for a measurement: it answers with the live version and keeps its answers elsewhere.

python -m retrim.operations.scratch_server WORKSPACE SCRATCH
"""

import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from retrim.adapters.mlflow_server import bind
from retrim.files import WorkspacePaths
from retrim.lineage.workspace import Workspace, open_workspace
from retrim.serving.models import Looks, all_at_work, open_model
from retrim.serving.server import run_server


@dataclass(frozen=True)
class ScratchPaths(WorkspacePaths):
    """A workspace whose answers wait elsewhere to be stored.

    Args:
        scratch: Where.
    """

    scratch: Path

    @property
    def requests(self) -> Path:
        return self.scratch / "requests"


def open_scratch(root: Path, scratch: Path) -> Workspace:
    """The workspace at `root`, whose answers are stored below `scratch` and never beside its predictions."""
    here = open_workspace(root)
    env = here.env.model_copy(update={"predictions": str(scratch / "predictions")})
    return Workspace(ScratchPaths(here.paths.root, scratch), here.params, env)


def main() -> None:
    """Prints the port, and serves until it is interrupted."""
    root, scratch = (Path(each) for each in sys.argv[1:3])
    listener = bind(0)
    model = open_model(
        lambda: open_scratch(root, scratch),
        None,
        is_local=True,
        is_durable=False,
        now=lambda: pd.Timestamp.now("UTC"),
    )
    sys.stdout.write(f"{listener.getsockname()[1]}\n")
    sys.stdout.flush()
    with all_at_work([model], Looks()) as by_name, suppress(KeyboardInterrupt):
        run_server(by_name, listener)


if __name__ == "__main__":
    main()
