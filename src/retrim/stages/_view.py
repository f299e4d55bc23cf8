"""The rows of the feature view, as the stages that fit models read them."""

import pandas as pd

from retrim.datasets.pieces import read_frame
from retrim.paths import Paths
from retrim.stages._room import read_json


def read_view(paths: Paths) -> pd.DataFrame:
    """The rows of the view in total order; categories of features are codes, where no step takes their text."""
    view = read_json(paths.features / "view.json")
    coded = [] if "steps" in view else [each["name"] for each in view["features"] if each["type"] == "category"]
    return read_frame(paths.view, coded=coded)
