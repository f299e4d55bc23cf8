"""How the next version of this workspace is made."""

from retrim.lineage.workspace import Workspace
from retrim.release.versions import find_live_version, live_kind
from retrim.training.mode import ChosenMode


def mode_now(workspace: Workspace) -> ChosenMode:
    """The mode of the next version: as params.yaml says, or a search where there is no recipe to start from."""
    retrain = workspace.params.retrain
    if find_live_version(workspace) is None:
        return ChosenMode("search", "no version is live")
    kind, wanted = live_kind(workspace), workspace.params.train.model
    if kind != wanted and retrain.mode != "search":
        return ChosenMode(
            "search", f"train.model is {wanted}, but the live version is a {kind}, so there is no recipe to start from"
        )
    return ChosenMode(retrain.mode, "retrain.mode")
