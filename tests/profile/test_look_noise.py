"""Labels that are likely wrong: those that were turned are found, better than chance by far."""

import numpy as np
import pytest

from retrim.profile.findings import findings
from tests.builders.look_tables import looked

ROWS = 3000


def flipped(seed: int, *, share: float) -> tuple[dict[str, np.ndarray], list[str], np.ndarray]:
    """Two classes that two features tell well, and labels of which some were turned."""
    draw = np.random.default_rng(seed)
    one, two = draw.normal(size=ROWS), draw.normal(size=ROWS)
    truth = one + two + draw.normal(scale=0.2, size=ROWS) > 0
    turned = draw.uniform(size=ROWS) < share
    return {"a": one, "b": two}, list(np.where(truth ^ turned, "yes", "no")), turned


@pytest.mark.parametrize("seed", [1, 2])
def test_most_of_the_surest_suspects_were_turned_and_are_named_by_their_keys(seed: int) -> None:
    columns, target, turned = flipped(seed, share=0.05)
    look = looked(columns, target)

    assert look.noise is not None
    # Chance finds 5%.
    assert np.mean([turned[row] for row in look.noise.shown]) >= 0.9
    assert look.noise.keys[0] == f"key-{look.noise.shown[0]}"
    assert [note.weight for note in findings(look) if note.about == "label noise"] == ["warn"]
    assert looked(columns, target).noise == look.noise


def test_labels_that_nothing_tells_are_none() -> None:
    draw = np.random.default_rng(1)
    target = list(np.where(draw.uniform(size=ROWS) < 0.1, "yes", "no"))
    found = findings(looked({"a": draw.normal(size=ROWS), "b": draw.normal(size=ROWS)}, target))

    assert [note.about for note in found if note.about == "label noise" and note.weight == "warn"] == []


def test_a_slip_of_the_decimal_point_is_a_far_residual() -> None:
    draw = np.random.default_rng(1)
    one = draw.normal(size=ROWS)
    target = 50 + 5 * one + draw.normal(size=ROWS)
    slipped = draw.choice(ROWS, 10, replace=False)
    target[slipped] *= 10
    look = looked({"a": one, "b": draw.normal(size=ROWS)}, target, task="regression")

    assert look.noise is not None
    assert set(look.noise.shown[:10]) == set(slipped.tolist())


def test_residuals_of_a_normal_law_are_no_suspects() -> None:
    draw = np.random.default_rng(1)
    one = draw.normal(size=ROWS)
    look = looked({"a": one}, 5 * one + draw.normal(size=ROWS), task="regression")

    assert look.noise is not None
    assert look.noise.suspects <= 2
