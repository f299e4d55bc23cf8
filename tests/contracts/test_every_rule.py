"""Laws that hold for every trigger rule: quiet on quiet evidence, a reason with every answer, no memory."""

from dataclasses import replace

import pandas as pd
import pytest

from retrim.core.account import EMPTY, Account
from retrim.core.triggers import RULES, Evidence, Rule, TriggerParams, decide

PARAMS = TriggerParams.model_validate(
    {
        "rules": [entry.name for entry in RULES],
        "drift_columns": [],
        "drift_checks": [1, 2],
        "cooldown_checks": 1,
        "refusals_to_hold": 2,
    }
)
QUIET = Evidence(
    now=pd.Timestamp("2024-03-01", tz="UTC"),
    champion=1,
    account=EMPTY,
    price=1.0,
    errors=2.0,
    drifted=((), ()),
    looked=True,
    checks_since_run=None,
    refusals=0,
    deferred_until=None,
    going_on=None,
)
LOUD = replace(QUIET, account=Account(1e6, 1.0), drifted=(("level",), ("level",)))


@pytest.mark.parametrize(("name", "rule"), [pytest.param(e.name, e.value, id=e.name) for e in RULES])
class TestEveryRule:
    def test_is_quiet_where_nothing_happened(self, name: str, rule: Rule):
        assert not rule(QUIET, PARAMS).fires

    def test_fires_where_everything_happened(self, name: str, rule: Rule):
        assert rule(LOUD, PARAMS).fires

    @pytest.mark.parametrize("evidence", [QUIET, LOUD], ids=["quiet", "loud"])
    def test_says_under_its_name_why(self, name: str, rule: Rule, evidence: Evidence):
        said = rule(evidence, PARAMS)

        assert said.rule == name
        assert len(said.text) > 20

    def test_answers_the_same_when_asked_again(self, name: str, rule: Rule):
        assert [rule(LOUD, PARAMS), rule(QUIET, PARAMS), rule(LOUD, PARAMS)][::2] == [rule(LOUD, PARAMS)] * 2

    def test_starts_a_retraining_alone(self, name: str, rule: Rule):
        assert decide(LOUD, PARAMS.model_copy(update={"rules": (name,)})).outcome == "retrain"

    def test_cannot_pass_a_hold(self, name: str, rule: Rule):
        assert decide(replace(LOUD, refusals=2), PARAMS.model_copy(update={"rules": (name,)})).outcome == "held"
