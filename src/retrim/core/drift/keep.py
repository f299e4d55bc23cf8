"""What a profile keeps of how far windows without drift stray, worked out once, when a model is made."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from retrim.core.drift import multivariate as _multivariate  # noqa: F401 - enters its tests in their table
from retrim.core.drift.alarms import LEAST_STRETCHES, AlarmParams
from retrim.core.drift.draws import DIGITS, draw
from retrim.core.drift.joint import JOINT_TESTS, LEAST_WINDOWS, JointParams, code, thinned_rows, usual_strays
from retrim.core.drift.null import KeptNull, KeptTogether, Nulls
from retrim.core.drift.profile import Profile
from retrim.core.drift.watched import noise_of, watch


@dataclass(frozen=True)
class Usual:
    """What later checks will ask.

    Args:
        rows: Of a usual window.
        alarms: How many false alarms are wanted, of windows drawn how; None: none are drawn.
        joint: The joint tests.
        cores: Cores to use; changes no result.
    """

    rows: int
    alarms: AlarmParams | None
    joint: JointParams
    cores: int


def keep(profile: Profile, usual: Usual, *, alone: Sequence[tuple[str, ...]], together: tuple[str, ...]) -> Profile:
    """The profile with the nulls that a check of usual length needs.

    Args:
        profile: Of the reference.
        usual: What is asked of it.
        alone: Sets of columns that are looked at one by one, each at a moment of its own.
        together: Columns of the joint tests; fewer than two: none.
    """
    sets = [columns for columns in alone if columns] if len(profile.blocks) >= LEAST_STRETCHES else []
    if usual.alarms is None:
        sets = []
    return replace(
        profile,
        nulls=Nulls(
            tuple(_alone(profile, columns, usual.rows, usual.alarms) for columns in sets if usual.alarms),
            tuple(_together(profile, usual, together)) if len(together) > 1 else (),
        ),
    )


def _alone(profile: Profile, columns: tuple[str, ...], rows: int, alarms: AlarmParams) -> KeptNull:
    watched = watch(replace(profile, columns={name: profile.columns[name] for name in columns}))
    null = draw(watched, noise_of(watched, rows), rows=rows, draws=alarms.draws, seed=alarms.seed)
    return KeptNull(columns, rows, null)


def _together(profile: Profile, usual: Usual, columns: tuple[str, ...]) -> list[KeptTogether]:
    rows = thinned_rows(profile, usual.rows)
    if rows is None or len(profile.sample) < LEAST_WINDOWS * rows:
        return []
    sample, found = code(profile, profile.sample, columns), []
    for name, arguments in usual.joint.tests.items():
        given = {**arguments, "seed": usual.joint.seed}
        test = partial(JOINT_TESTS[name], **given)
        strayed = usual_strays(test, sample, rows=rows, windows=usual.joint.windows, cores=usual.cores)
        kept = tuple(np.round(strayed, DIGITS).tolist())
        found.append(KeptTogether(name, given, columns, rows, kept))
    return found
