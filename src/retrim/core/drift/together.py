"""Findings of all features together, by the joint tests that params.yaml names."""

from functools import partial

import pandas as pd

from retrim.core.drift.alarms import Asked, promise
from retrim.core.drift.finding import Extent, Finding
from retrim.core.drift.joint import JOINT_TESTS, TOGETHER, judge_joint, thinned_rows
from retrim.core.drift.params import DriftParams
from retrim.core.drift.profile import Profile
from retrim.core.drift.scores import TARGET


def together(
    profile: Profile, current: pd.DataFrame, params: DriftParams, *, time: str, alarms: Asked | None, cores: int
) -> list[Finding]:
    """Every joint test of the features that the profile and the current window share.

    Args:
        profile: The rows the model was made from.
        current: Rows seen since, with `time`.
        params: Tests, thresholds, least rows.
        time: Name of the column of event times.
        alarms: How often these tests may raise a false alarm; None: one is over when its effect exceeds the threshold
            of params.yaml and no window of the reference strayed as far. Over is nothing that was held against fewer
            than 8 windows of the reference.
        cores: Cores to use; changes no result.

    Returns:
        A finding a test, of the column `_together`; none where the window has fewer than `params.min_rows` rows, is too
        small to be thinned as the sample is, or shares fewer than two columns.
    """
    columns = tuple(name for name in profile.columns if name in current.columns and name != TARGET)
    if len(current) < params.min_rows or len(columns) < 2:
        return []
    ordered = current.sort_values(time, kind="stable", ignore_index=True)
    extents = Extent.of_profile(profile), Extent.of(current[time])
    joint, found = params.joint, []
    for name, arguments in joint.tests.items():
        given = {**arguments, "seed": joint.seed}
        test = partial(JOINT_TESTS[name], **given)
        rows = thinned_rows(profile, len(current)) or 0
        usual = (kept.strayed for kept in profile.nulls.together if kept.serves(name, given, columns, rows))
        result = judge_joint(
            test,
            profile,
            ordered,
            columns,
            windows=joint.windows,
            seed=joint.seed,
            cores=cores,
            usual=next(usual, None),
        )
        if result is None:
            continue
        limit, p_value, told = params.thresholds[name], result.p_value, None
        over = result.beyond and result.effect > limit
        if alarms is not None:
            share = alarms.share / len(joint.tests)
            kept = promise(alarms.rate * share, result.windows)
            told = f"{kept}: the history covers 1 in {result.windows}" if kept == "cannot be promised" else kept
            over = p_value is not None and p_value <= alarms.rate * share
            p_value = None if p_value is None else min(p_value / share, 1.0)
        numbers = (result.statistic, result.effect, p_value, limit, over)
        rank = result.effect / limit
        found.append(Finding(TOGETHER, name, *numbers, result.about or None, None, None, None, told, rank, *extents))
    return found
