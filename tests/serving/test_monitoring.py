"""The alert rules and the dashboard that ship ask for figures that a server has, by their names."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from tests.builders.desk import Desk, make_desk
from tests.builders.http_client import running, serving_of

FOLDER = Path(__file__).parents[2] / "docs" / "monitoring"
RULES = YAML(typ="safe").load((FOLDER / "rules.yaml").read_text(encoding="utf-8"))["groups"][0]["rules"]
DASHBOARD: dict[str, Any] = json.loads((FOLDER / "dashboard.json").read_bytes())
SHOWN = [target["expr"] for panel in DASHBOARD["panels"] for target in panel["targets"]]


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Desk:
    desk = make_desk(tmp_path_factory.mktemp("desk") / "workspace", version_at=10)
    desk.land(desk.rows(10, 12), 12)
    desk.check(12)
    return desk


@pytest.mark.slow
def test_every_figure_that_is_asked_for_is_there(desk: Desk) -> None:
    with running(serving_of(desk)) as client:
        client.ask("POST", "/predict", b"{}")
        text = client.ask("GET", "/metrics")[1].decode()
    there = set(re.findall(r"^(retrim_\w+)", text, re.MULTILINE))
    asked = set(re.findall(r"retrim_\w+", " ".join([*SHOWN, *(rule["expr"] for rule in RULES)])))

    assert len(asked) == 13
    assert asked <= there


def test_every_alert_says_what_to_do() -> None:
    assert len({rule["alert"] for rule in RULES}) == len(RULES)
    assert all(set(rule["annotations"]) == {"summary", "description"} for rule in RULES)


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed (Debian's package prometheus)")
def test_prometheus_takes_the_rules() -> None:
    command = ["promtool", "check", "rules", str(FOLDER / "rules.yaml")]
    done = subprocess.run(command, check=False, capture_output=True, text=True)

    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{len(RULES)} rules found" in done.stdout
