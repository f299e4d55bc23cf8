"""What a check knows of the training rows: the profiles in the bundle, and distances of windows drawn from them."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import pandas as pd

from retrim.drift.alarms import LEAST_STRETCHES, AlarmParams, KeptTogether, Null, Nulls
from retrim.drift.joint import JOINT_TESTS, LEAST_WINDOWS, JointParams, code, thinned_rows, usual_strays
from retrim.drift.profile import (
    FILES,
    NULLS,
    TARGET,
    Profile,
    ProfileParams,
    drift_name,
    make_profile,
    score_columns,
    score_types,
)
from retrim.drift.watched import ContrastNoise, ContrastReference, furthest, noise_of, watch
from retrim.features.view import FeatureView
from retrim.table.clock_columns import clock_columns
from retrim.table.data import ColumnType

LEAST_RUNS = 4  # a drawn window is made of that many runs at least, so that there are many different ones
AT_ONCE = 100  # windows drawn together ...
EACH = 5  # ... that many of them for each reference
DIGITS = 6  # kept of a distance: what a machine's own order of sums changes lies below
TIME = "_event"


def draw(watched: ContrastReference, noise: ContrastNoise, *, rows: int, draws: int, seed: int) -> Null:
    """How far windows of `rows` rows stray from the reference while nothing drifts.

    Windows are put together from runs of neighbouring blocks of the reference, all columns alike, so that columns which
    move together count once; each contrast is scaled to the long-run variance of whole windows, which runs shorter
    than a window fall short of. They are held against a reference whose blocks weigh otherwise, as a reference is a
    sample too. The same weights move its mean and its measured noise: a reference that happened to hold few bursts of
    something rare puts both too low, and a window with usual bursts then lies far out.

    Source:
        Politis and Romano (1992), circular blocks; Westfall and Young (1993), Resampling-Based Multiple Testing, the
        maximum over all tests.
    """
    n, wide = watched.strays.shape
    blocks = max(round(rows / watched.block_rows), 1)
    run = max(min(round(n ** (1 / 3)), blocks // LEAST_RUNS), 1)
    whole, rest = divmod(blocks, run)
    around = np.concatenate([watched.strays, watched.strays[:run]])
    sums = np.concatenate([np.zeros((1, wide)), np.cumsum(around, axis=0)])
    runs, rests = (sums[run:] - sums[:-run])[:n], (sums[rest:] - sums[: len(sums) - rest])[:n]
    spread = np.sqrt(np.mean(runs**2, axis=0) / run)
    scale = np.sqrt(noise.variance / rows / blocks) / np.where(spread > 0, spread, 1)
    error = np.sqrt(watched.fitted * noise.variance / watched.rows)
    of_mean, of_noise = _unit(watched.strays), _unit(watched.strays**2 - np.mean(watched.strays**2, axis=0))
    rng = np.random.default_rng(seed)
    furthest_strays = []
    for _ in range(-(-draws // AT_ONCE)):
        window = np.zeros((AT_ONCE, wide))
        for starts in rng.integers(0, n, size=(whole, AT_ONCE)):
            window += runs[starts]
        if rest:
            window += rests[rng.integers(0, n, size=AT_ONCE)]
        weights = rng.standard_normal((AT_ONCE // EACH, n))
        moved = np.repeat(weights @ of_mean * error, EACH, axis=0)
        again = noise.again(np.repeat(weights @ of_noise, EACH, axis=0))
        furthest_strays.append(furthest(watched, window * scale - moved, again, rows, watched.means + moved))
    return Null(tuple(watched.weights), rows, np.sort(np.round(np.concatenate(furthest_strays), DIGITS)))


def _unit(values: np.ndarray) -> np.ndarray:
    """Columns of length 1: standard normal weights of rows give standard normal numbers, correlated as columns are."""
    length = np.linalg.norm(values, axis=0)
    return np.asarray(values / np.where(length > 0, length, 1))


@dataclass(frozen=True)
class ExpectedWindows:
    """What later checks will ask."""

    rows: int  # of a usual window
    alarms: AlarmParams | None  # how many false alarms are wanted, of windows drawn how; None: none are drawn
    joint: JointParams  # the joint tests
    cores: int  # cores to use; changes no result


def keep(
    profile: Profile, usual: ExpectedWindows, *, alone: Sequence[tuple[str, ...]], together: tuple[str, ...]
) -> Profile:
    """The profile with the nulls that a check of usual length needs.

    Args:
        together: Columns of the joint tests; fewer than two: none.
    """
    drawn = []
    alarms = usual.alarms if len(profile.blocks) >= LEAST_STRETCHES else None
    for columns in alone:
        if columns and alarms is not None:
            watched = watch(replace(profile, columns={name: profile.columns[name] for name in columns}))
            noise = noise_of(watched, usual.rows)
            drawn.append(draw(watched, noise, rows=usual.rows, draws=alarms.draws, seed=alarms.seed))
    rows, strayed = thinned_rows(profile, usual.rows), []
    if len(together) > 1 and rows is not None and len(profile.sample) >= LEAST_WINDOWS * rows:
        sample, joint = code(profile, profile.sample, together), usual.joint
        for name, arguments in joint.tests.items():
            given = {**arguments, "seed": joint.seed}
            test = partial(JOINT_TESTS[name], **given)
            distances = usual_strays(test, sample, rows=rows, windows=joint.windows, cores=usual.cores)
            strayed.append(KeptTogether(name, given, together, rows, tuple(np.round(distances, DIGITS).tolist())))
    return replace(profile, nulls=Nulls(tuple(drawn), tuple(strayed)))


@dataclass(frozen=True)
class Reference:
    """The rows a model was made from, and its predictions for those that it was judged on."""

    rows: Profile  # features and the target (`target`) from its oldest training row to the newest that judged it
    scores: Profile | None  # its predictions for the judging block; None where that is empty

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
        profiles: dict[str, Profile] = {}
        for part in ("rows", "scores"):
            present = {name: files[f"{part}/{name}"] for name in (*FILES, NULLS) if f"{part}/{name}" in files}
            missing = set(FILES) - set(present)
            if missing and (present or part == "rows"):
                raise KeyError(f"{part}/{min(missing)}")
            if present:
                profiles[part] = Profile.from_files(present)
        return cls(profiles["rows"], profiles.get("scores"))


def make_reference(
    rows: pd.DataFrame,
    judged: pd.DataFrame,
    predicted: np.ndarray,
    view: FeatureView,
    params: ProfileParams,
    usual: ExpectedWindows,
    *,
    calendar: Collection[str],
    zone: str,
) -> Reference:
    """The reference of a model: all features but those that are computed from the event time.

    The hour or the month of a window says when it was, not that anything changed.
    """
    target: ColumnType = "number" if view.task == "regression" else "category"
    named = rows.rename(columns={name: drift_name(name) for name in view.features})
    types = {drift_name(name): kind for name, kind in view.features.items()}
    profile = make_profile(named.assign(**{TARGET: rows[view.target]}), {**types, TARGET: target}, params, time=TIME)
    sampled = [name for name in profile.columns if name != TARGET]
    profile = profile.without({drift_name(name) for name in calendar} | {*clock_columns(profile.sample, sampled, zone)})
    features = tuple(name for name in profile.columns if name != TARGET)
    profile = keep(profile, usual, alone=(features, (TARGET,)), together=features)
    if not len(judged):
        return Reference(profile, None)
    scores = score_columns(predicted, view).assign(**{TIME: judged[TIME].array})
    scored = make_profile(scores, score_types(view.task), params, time=TIME)
    return Reference(profile, keep(scored, usual, alone=(tuple(scored.columns),), together=()))


def load_reference(files: Mapping[str, bytes], folder: str) -> Reference | None:
    """The reference of a fit, from the files of its bundle and its folder there; None where an older one has none."""
    prefix = f"{folder}/profile/"
    stored = {name.removeprefix(prefix): content for name, content in files.items() if name.startswith(prefix)}
    return Reference.from_files(stored) if stored else None
