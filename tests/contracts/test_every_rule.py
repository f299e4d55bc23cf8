"""Laws that hold for every trigger rule: quiet on quiet evidence, a reason with every answer, no memory."""

from dataclasses import replace

import pandas as pd
import pytest

from retrim.decision.accumulated_gain import AccumulatedGain
from retrim.decision.band import Band
from retrim.decision.rules import decide
from retrim.decision.triggers import RULES, BudgetParams, Evidence, Rule, TriggerParams

NOW = pd.Timestamp("2024-03-01", tz="UTC")
STARTING = [entry.name for entry in RULES if entry.facts["starts"]]
PARAMS = TriggerParams.model_validate(
    {
        "rules": STARTING,
        "drift_checks": [1, 2],
        "every": "90D",
        "band": {"unit": "sd", "reach": 3.0},
        "cooldown_checks": 1,
        "loop_checks": 4,
        "refusals_to_hold": 2,
        "budget": None,
        "max_wait": None,
    }
)
QUIET = Evidence(
    now=NOW,
    champion=1,
    accumulated_gain=AccumulatedGain.empty(),
    deposited=None,
    retraining_cost=1.0,
    errors=2.0,
    pending=0.0,
    preview=None,
    drifted=((), ()),
    looked=True,
    loss=1.0,
    estimate=1.0,
    band=Band(centre=1.0, iqr=0.1, sd=0.1),
    labels_until=NOW - pd.Timedelta("1D"),
    last_run=NOW - pd.Timedelta("5D"),
    checks_since_run=None,
    promoted_by=(),
    refusals=0,
    deferral=None,
    going_on=None,
    waiting=None,
    held=(),
    spent=(),
)
LOUD = replace(
    QUIET,
    accumulated_gain=AccumulatedGain(1e6, 1.0),
    drifted=(("level",), ("level",)),
    loss=2.0,
    estimate=2.0,
    last_run=NOW - pd.Timedelta("90D"),
)
each_rule = pytest.mark.parametrize(("name", "rule"), [pytest.param(e.name, e.value, id=e.name) for e in RULES])


@each_rule
class TestEveryRule:
    def test_is_quiet_where_nothing_happened(self, name: str, rule: Rule):
        assert not rule(QUIET, PARAMS).fires

    def test_fires_where_everything_happened_if_it_can_start_anything(self, name: str, rule: Rule):
        assert rule(LOUD, PARAMS).fires == RULES.entry(name).facts["starts"]

    @pytest.mark.parametrize("evidence", [QUIET, LOUD], ids=["quiet", "loud"])
    def test_says_under_its_name_why(self, name: str, rule: Rule, evidence: Evidence):
        said = rule(evidence, PARAMS)

        assert said.rule == name
        assert len(said.text) > 20

    @pytest.mark.parametrize("evidence", [QUIET, LOUD], ids=["quiet", "loud"])
    def test_says_what_would_have_changed_its_answer(self, name: str, rule: Rule, evidence: Evidence):
        assert len(rule(evidence, PARAMS).change) > 20

    def test_answers_the_same_when_asked_again(self, name: str, rule: Rule):
        assert [rule(LOUD, PARAMS), rule(QUIET, PARAMS), rule(LOUD, PARAMS)][::2] == [rule(LOUD, PARAMS)] * 2

    def test_says_something_where_little_is_known(self, name: str, rule: Rule):
        little = replace(QUIET, drifted=(), looked=False, loss=None, estimate=None, band=None, last_run=None)

        assert not rule(little, PARAMS).fires
        assert rule(little, PARAMS).text

    def test_starts_a_retraining_alone_if_it_can_start_any(self, name: str, rule: Rule):
        alone = decide(LOUD, PARAMS.model_copy(update={"rules": (name,)}))

        assert (alone.outcome, alone.fired) == (("retrain", (name,)) if name in STARTING else ("none", ()))

    def test_cannot_pass_a_hold(self, name: str, rule: Rule):
        alone = decide(replace(LOUD, refusals=2), PARAMS.model_copy(update={"rules": (name,)}))

        assert alone.outcome == ("held" if name in STARTING else "none")

    def test_cannot_pass_manual(self, name: str, rule: Rule):
        assert decide(LOUD, PARAMS.model_copy(update={"rules": (name, "manual")})).outcome != "retrain"

    def test_cannot_pass_a_used_up_budget(self, name: str, rule: Rule):
        budget = BudgetParams(runs=1, checks=30)
        alone = decide(replace(LOUD, spent=(1,)), PARAMS.model_copy(update={"rules": (name,), "budget": budget}))

        assert alone.outcome == "none"

    def test_goes_to_a_person_right_after_its_own_promotion_if_it_repeats(self, name: str, rule: Rule):
        again = replace(LOUD, promoted_by=(name,), checks_since_run=2)
        alone = decide(again, PARAMS.model_copy(update={"rules": (name,)}))

        assert (alone.outcome == "held") == RULES.entry(name).facts["repeats"]
