"""What a model was made from, in short: the profiles that its bundle holds and a check reads."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from retrim.drift.draws import ExpectedWindows, keep
from retrim.drift.profile import FILES, NULLS, TARGET, Profile, ProfileParams, make_profile, score_columns, score_types
from retrim.features.view import FeatureView
from retrim.table.data import ColumnType

TIME = "_event"


@dataclass(frozen=True)
class Reference:
    """The rows a model was made from, and its predictions for those that it was judged on.

    Args:
        rows: Features and the target (`_target`) from its oldest training row to the newest that judged it.
        scores: Its predictions for the judging block; None where that is empty.
    """

    rows: Profile
    scores: Profile | None

    def as_files(self) -> dict[str, bytes]:
        """Names and bytes of the files that hold it."""
        files = {f"rows/{name}": content for name, content in self.rows.as_files().items()}
        if self.scores is not None:
            files |= {f"scores/{name}": content for name, content in self.scores.as_files().items()}
        return files

    @classmethod
    def from_files(cls, files: Mapping[str, bytes]) -> "Reference":
        """The reference that `as_files` wrote.

        Raises:
            KeyError: A file is missing.
        """
        rows, scores = ({name: files.get(f"{part}/{name}") for name in (*FILES, NULLS)} for part in ("rows", "scores"))
        return cls(_whole(rows, "rows"), _whole(scores, "scores") if any(scores.values()) else None)


def _whole(files: Mapping[str, bytes | None], part: str) -> Profile:
    found = {name: content for name, content in files.items() if content is not None}
    if missing := set(FILES) - set(found):
        raise KeyError(f"{part}/{min(missing)}")
    return Profile.from_files(found)


def make_reference(
    rows: pd.DataFrame,
    judged: pd.DataFrame,
    predicted: np.ndarray,
    view: FeatureView,
    params: ProfileParams,
    usual: ExpectedWindows,
) -> Reference:
    """The reference of a model.

    Args:
        rows: From its oldest training row to its newest judging one, in order, with features, target and `_event`.
        judged: The judging block.
        predicted: Its predictions for that block.
        view: Its own.
        params: What is kept.
        usual: What later checks will ask.
    """
    target: ColumnType = "number" if view.task == "regression" else "category"
    kept = make_profile(
        rows.assign(**{TARGET: rows[view.target]}), {**view.features, TARGET: target}, params, time=TIME
    )
    features = tuple(name for name in kept.columns if name != TARGET)
    kept = keep(kept, usual, alone=(features, (TARGET,)), together=features)
    if not len(judged):
        return Reference(kept, None)
    scores = score_columns(predicted, view).assign(**{TIME: judged[TIME].array})
    scored = make_profile(scores, score_types(view.task), params, time=TIME)
    return Reference(kept, keep(scored, usual, alone=(tuple(scored.columns),), together=()))


def load_reference(files: Mapping[str, bytes], winner: str) -> Reference | None:
    """The reference of a bundle's winner, from the bytes of the bundle's files; None where an older bundle has none."""
    prefix = f"models/{winner}/profile/"
    own = {name.removeprefix(prefix): content for name, content in files.items() if name.startswith(prefix)}
    return Reference.from_files(own) if own else None
