"""The gate: each check fails alone, equal models stay out, and it is closed where nothing is known."""

import json
import re
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from retrim.gate.losses import judge
from retrim.gate.verdict import GateParams, Verdict
from retrim.stats.bootstrap import mean_error
from retrim.stats.codec import to_json, to_record
from tests.builders.gates import make_gate

ROWS = 400


def gate(**changed: Any) -> GateParams:
    return make_gate(**{"min_rows": 100, "min_gain": 0.01, **changed})


def losses(mean: float, *, seed: int, rows: int = ROWS, noise: float = 0.2) -> np.ndarray:
    """Losses about `mean`; the same noise for the same seed, so that models can be paired."""
    return mean + np.random.default_rng(seed).normal(scale=noise, size=rows)


def verdict(
    challengers: dict[str, np.ndarray],
    champion: np.ndarray | None,
    *,
    floor: float = 20.0,
    params: GateParams | None = None,
    draws: int = 500,
    block_rows: int = 10,
    uses: float = 0.0,
) -> Verdict:
    rows = len(next(iter(challengers.values())))
    floors = {"mean": np.full(rows, floor)}
    return judge(
        challengers,
        champion,
        floors,
        params or gate(),
        draws=draws,
        block_rows=block_rows,
        uses=uses,
    )


def failed(found: Verdict) -> list[str]:
    return [check.name for check in found.checks if not check.passed]


def test_a_challenger_that_is_better_everywhere_is_promoted() -> None:
    found = verdict({"all": losses(8.0, seed=1)}, losses(10.0, seed=2))

    assert found.promote
    assert [check.name for check in found.checks] == ["rows", "gain", "non-inferiority", "worst fold", "baseline: mean"]


# --- each check alone


def test_too_few_rows_says_how_many_are_missing() -> None:
    found = verdict({"all": losses(8.0, seed=1, rows=90)}, losses(10.0, seed=2, rows=90))

    assert failed(found) == ["rows"]
    assert re.search(r"\b90 holdout rows\b.*\b100 needed\b.*\b10 are missing", found.reason)


def test_a_gain_below_the_least_gain_is_refused() -> None:
    champion = losses(10.0, seed=2)

    assert failed(verdict({"all": champion * 0.995}, champion)) == ["gain"]


def test_a_gain_that_may_be_chance_is_refused() -> None:
    # One row of 400 makes the whole gain of 2.5%.
    champion = np.full(ROWS, 10.0)
    challenger = champion.copy()
    champion[7] += 100.0

    found = verdict({"all": challenger}, champion)

    assert failed(found) == ["gain"]
    assert found.checks[1].figure > 0.01


def test_a_gain_that_is_no_chance_but_may_yet_be_a_loss_is_refused() -> None:
    # A gain of 1.85 standard errors: above 0 at 95%, but at 99% it may be a loss of 0.6 of them, 0.9%.
    champion, noise = losses(10.0, seed=2, noise=1.0), losses(0.0, seed=12, noise=3.0)
    noise -= noise.mean()
    good = champion - noise - 1.85 * mean_error(noise, block_rows=10)
    found = verdict({"all": good}, champion, draws=4000)

    assert failed(found) == ["non-inferiority"]
    assert "at worst +" in found.reason


def test_harm_is_not_asked_for_where_it_is_not_set() -> None:
    found = verdict({"all": losses(8.0, seed=1)}, losses(10.0, seed=2), params=gate(non_inferiority=None))

    assert "non-inferiority" not in [check.name for check in found.checks]


def test_the_worst_fold_is_reported_and_refuses_nothing() -> None:
    challenger = np.concatenate([np.full(300, 2.0), np.full(100, 13.0)])
    found = verdict({"all": challenger}, losses(10.0, seed=2))
    fold = next(check for check in found.checks if check.name == "worst fold")

    assert found.promote
    assert (fold.threshold, fold.figure) == (None, pytest.approx(0.3, abs=0.02))


def test_a_model_no_better_than_a_naive_one_is_refused() -> None:
    found = verdict({"all": losses(8.0, seed=1)}, losses(10.0, seed=2), floor=7.95)

    assert failed(found) == ["baseline: mean"]


def test_every_check_runs_also_after_one_has_failed() -> None:
    found = verdict({"all": losses(30.0, seed=1, rows=50)}, losses(10.0, seed=2, rows=50))

    assert failed(found) == ["rows", "gain", "non-inferiority", "baseline: mean"]


def test_the_reason_holds_every_check_that_failed_and_no_other() -> None:
    found = verdict({"all": losses(8.0, seed=1, rows=50)}, losses(10.0, seed=2, rows=50), floor=7.9)

    assert re.search(r"\b50 holdout rows\b.*\b100 needed\b", found.reason)
    assert "naive mean" in found.reason
    assert "champion" not in found.reason


# --- before the first version, and where nothing is known


def test_a_first_version_has_to_beat_the_floor_alone() -> None:
    better, worse = (verdict({"all": losses(mean, seed=1)}, None, floor=10.0) for mean in (8.0, 12.0))

    assert better.promote
    assert failed(worse) == ["baseline: mean"]


def test_a_gate_without_a_floor_is_refused() -> None:
    # It would let any first version pass.
    with pytest.raises(ValidationError, match="baselines"):
        gate(baselines=[])


def test_a_season_of_no_length_is_refused() -> None:
    with pytest.raises(ValidationError, match="'0h' is zero"):
        gate(season="0h")


def test_no_rows_at_all_are_refused_with_a_verdict() -> None:
    found = verdict({"all": np.array([]), "sliding": np.array([])}, np.array([]))

    assert not found.promote
    assert found.losses == {}
    assert "100 are missing" in found.reason


def test_one_row_is_refused_with_a_verdict() -> None:
    found = verdict({"all": np.array([1.0])}, np.array([2.0]))

    assert failed(found) == ["rows"]


def test_a_verdict_is_written_with_every_check_it_made() -> None:
    record = json.loads(to_json(to_record(verdict({"all": losses(8.0, seed=1)}, losses(10.0, seed=2)))))

    assert (record["winner"], record["promote"], record["rows"]) == ("all", True, ROWS)
    assert [check["name"] for check in record["checks"] if check["passed"]] == [
        "rows",
        "gain",
        "non-inferiority",
        "worst fold",
        "baseline: mean",
    ]


# --- losses of zero


def test_two_perfect_models_are_equal_and_nothing_is_promoted() -> None:
    zeros = np.zeros(ROWS)

    assert failed(verdict({"all": zeros}, zeros)) == ["gain"]


def test_nothing_is_promoted_over_a_perfect_champion() -> None:
    found = verdict({"all": losses(5.0, seed=1)}, np.zeros(ROWS))

    assert failed(found) == ["gain", "non-inferiority"]
    assert json.loads(to_json(to_record(found)))["promote"] is False


@pytest.mark.parametrize("loss", [0.0, 1e-300])
def test_a_loss_that_is_all_but_zero_is_told_in_losses_not_in_shares_of_it(loss: float) -> None:
    found = verdict({"all": np.full(ROWS, 5.0)}, np.full(ROWS, loss), floor=loss)

    assert found.reason.count(": mean loss 5 against ") == 2  # the champion's, and the naive mean's
    assert "beyond +100000%" in found.reason
    assert "inf" not in found.reason
    assert len(found.reason) < 400


def test_a_perfect_challenger_is_promoted() -> None:
    assert verdict({"all": np.zeros(ROWS)}, losses(5.0, seed=1)).promote


# --- two challengers


def test_the_challenger_with_the_least_loss_is_the_one_judged() -> None:
    found = verdict({"all": losses(9.0, seed=1), "sliding": losses(8.0, seed=3)}, losses(10.0, seed=2))

    assert found.winner == "sliding"
    assert set(found.losses) == {"all", "sliding", "champion", "mean"}


def test_of_equal_challengers_the_first_by_name_wins() -> None:
    same = losses(8.0, seed=1)

    assert verdict({"sliding": same, "all": same}, losses(10.0, seed=2)).winner == "all"


def test_the_best_of_two_is_asked_for_twice_the_confidence() -> None:
    # 5% shared by two tries: the gain is asked for at 97.5%.
    champion = losses(10.0, seed=2)
    found = verdict({"all": losses(9.0, seed=1), "sliding": losses(9.5, seed=3)}, champion)

    assert "with 97.5% confidence" in found.checks[1].text


def test_a_gain_that_passes_alone_can_fail_as_the_best_of_two() -> None:
    # A gain of 1.85 standard errors: more than the 1.68 of t with 39 degrees at 95%, less than its 2.02 at 97.5%.
    champion, noise = losses(10.0, seed=2, noise=1.0), losses(0.0, seed=12)
    noise -= noise.mean()
    good = champion - noise - 1.85 * mean_error(noise, block_rows=10)
    alone = verdict({"all": good}, champion, params=gate(min_gain=0.0), draws=4000)
    of_two = verdict({"all": good, "bad": champion + 1}, champion, params=gate(min_gain=0.0), draws=4000)

    assert alone.promote
    assert failed(of_two) == ["gain"]


# --- chance


def promoted_share(challengers: int, *, rows: int, tries: int) -> float:
    """Share of tries in which one of equal models is promoted; their losses are autocorrelated (AR(1), 0.5)."""
    from scipy.signal import lfilter

    draw = np.random.default_rng(11)

    def one() -> np.ndarray:
        return 10 + np.asarray(lfilter([1.0], [1.0, -0.5], draw.normal(size=rows + 100)))[100:]

    params = gate(min_gain=0.0, min_rows=2)
    return float(
        np.mean(
            [
                verdict(
                    {str(n): one() for n in range(challengers)}, one(), params=params, draws=200, block_rows=20
                ).promote
                for _ in range(tries)
            ]
        )
    )


@pytest.mark.parametrize(("challengers", "rows"), [(1, 60), (1, 160), (2, 320)])
def test_equal_models_are_promoted_in_about_one_of_twenty_tries(challengers: int, rows: int) -> None:
    # Two standard errors of a share of 5% in 300 tries are 2.5 points.
    assert promoted_share(challengers, rows=rows, tries=300) <= 0.075


def test_a_verdict_depends_on_its_seed_alone() -> None:
    pair = {"all": losses(9.7, seed=1, noise=3.0)}, losses(10.0, seed=2, noise=3.0)

    assert verdict(*pair) == verdict(*pair)
