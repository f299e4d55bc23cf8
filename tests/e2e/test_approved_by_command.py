"""A version that waits for a person, by the real commands: it is made, it waits, and it is approved."""

import getpass
from typing import Any

import pytest

from tests.builders.world import SHIPPED, make_world

pytestmark = pytest.mark.server


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory, server: str) -> dict[str, Any]:
    """What the commands printed, one after the other."""
    changes = {"release": {"approval": {"moves": ["first", "promote"]}}, **SHIPPED}
    world = make_world(tmp_path_factory.mktemp("asked"), server=server, changes=changes)
    world.land(world.day(25))
    made = world.ask("retrain", "--as-of", world.day(25), code=1)
    status = world.ask("status")
    screen = world.retrim("status").stdout
    early = world.retrim("versions", "approve", "1", "--reason", "", code=2).stderr
    said = world.ask("versions", "approve", "1", "--reason", "looked at it", "--now", world.day(26))
    again = world.retrim("versions", "reject", "1", "--reason", "no", "--now", world.day(26), code=1).stderr
    return {
        "made": made, "status": status, "screen": screen, "early": early, "said": said, "again": again,
        "live": world.ask("status")["champion"],
        "versions": world.ask("versions"),
        "aliases": world.workspace.registry.aliases(),
        "check": world.ask("check", "--now", world.day(26)), "then": world.ask("status")["champion"],
    }  # fmt: skip


def test_the_run_ends_waiting_and_nothing_is_live(asked: dict[str, Any]) -> None:
    assert (asked["made"]["state"], asked["made"]["version"]) == ("waiting", 1)
    assert (asked["status"]["champion"], len(asked["status"]["waiting"])) == (None, 1)


def test_the_status_says_what_to_type(asked: dict[str, Any]) -> None:
    assert "retrim versions approve 1 --reason" in " ".join(asked["screen"].split())


def test_a_reason_has_to_be_given(asked: dict[str, Any]) -> None:
    assert "--reason" in asked["early"]


def test_approved_it_is_live_in_the_store_and_in_mlflow(asked: dict[str, Any]) -> None:
    assert (asked["live"]["version"], asked["aliases"]) == (1, {"champion": 1})
    assert f"approved by {getpass.getuser()}: looked at it" in asked["live"]["reason"]


def test_the_login_is_who_answered_and_a_second_answer_is_refused(asked: dict[str, Any]) -> None:
    assert asked["versions"][0]["approval"] == {"version": 1, **asked["said"]}
    assert asked["said"]["by"] == getpass.getuser()
    assert "cannot be changed" in " ".join(asked["again"].lower().split())


def test_the_word_holds_for_both_fits(asked: dict[str, Any]) -> None:
    assert asked["versions"][0]["final"] is not None
    assert asked["check"]["resumed"] == []
    assert (asked["then"]["version"], asked["then"]["previous"]) == (1, None)
