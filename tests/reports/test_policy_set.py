"""A policy is written into params.yaml and nothing else changes."""

from pathlib import Path

import pytest

from retrim.decision.rules import BudgetParams
from retrim.errors import BadInputError, RefusedError, UnknownNameError
from retrim.files import WorkspacePaths, write_file
from retrim.lineage.workspace import Workspace
from retrim.reports.policy_report import NEWEST, set_policy
from retrim.settings import Env, load_params
from retrim.stats.codec import to_json

ROOT = Path(__file__).resolve().parents[2]
SHIPPED = (
    (ROOT / "params.yaml").read_text(encoding="utf-8")
    + """
gain:
  cost: 0.5                       # the gain that pays for one retraining
  cost_unit: first_loss            # of the cost

triggers:                          # what may start a retraining
  rules: [gain]                    # any one of them suffices
  every: 90D                       # the schedule rule
  loop_checks: 5                   # checks after a promotion
"""
)
TRIED = {
    "policies": [
        {"name": "gain-0.25", "changes": {"triggers.rules": ["gain"], "gain.cost": 0.25}},
        {
            "name": "always",
            "changes": {"triggers.rules": ["schedule"], "triggers.every": "12h", "triggers.loop_checks": 0},
        },
        {"name": "frugal", "changes": {"triggers.rules": ["performance"], "triggers.budget.runs": 4}},
        {"name": "nonsense", "changes": {"gain.cost": -1.0}},
        {"name": "psi", "changes": None},
    ]
}


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    (tmp_path / "params.yaml").write_text(SHIPPED, encoding="utf-8")
    write_file(tmp_path / "var" / "policy" / NEWEST, to_json(TRIED))
    return Workspace(WorkspacePaths(tmp_path), load_params(tmp_path / "params.yaml"), Env())


def differing(before: str, after: str) -> list[tuple[str, str]]:
    pairs = zip(before.split("\n"), after.split("\n"), strict=True)
    return [(old, new) for old, new in pairs if old != new]


def test_only_the_lines_of_the_policy_change(workspace: Workspace) -> None:
    changed = set_policy(workspace, "always")
    lines = differing(SHIPPED, workspace.paths.params.read_text(encoding="utf-8"))

    assert set(changed) == {"triggers.rules", "triggers.every", "triggers.loop_checks"}
    assert [new.split("#")[0].strip() for _, new in lines] == ["rules: [schedule]", "every: 12h", "loop_checks: 0"]


def test_comments_stay_in_their_column(workspace: Workspace) -> None:
    set_policy(workspace, "gain-0.25")
    (line,) = differing(SHIPPED, workspace.paths.params.read_text(encoding="utf-8"))

    assert [text.index("#") for text in line] == [line[0].index("#")] * 2
    assert line[0].split("#")[1] == line[1].split("#")[1]


def test_what_the_file_did_not_state_is_added(workspace: Workspace) -> None:
    text = (ROOT / "params.yaml").read_text(encoding="utf-8")
    workspace.paths.params.write_text(text, encoding="utf-8")

    set_policy(workspace, "frugal")

    assert load_params(workspace.paths.params).triggers.budget == BudgetParams(runs=4)
    assert workspace.paths.params.read_text(encoding="utf-8").startswith(text)


def test_the_file_says_what_the_policy_says(workspace: Workspace) -> None:
    set_policy(workspace, "gain-0.25")

    assert load_params(workspace.paths.params).gain.cost == 0.25


def test_a_key_within_braces_changes_alone(workspace: Workspace) -> None:
    workspace.paths.params.write_text(SHIPPED + "  budget: {runs: 9}                # at most\n", encoding="utf-8")
    set_policy(workspace, "frugal")

    assert workspace.paths.params.read_text(encoding="utf-8").endswith("  budget: {runs: 4}                # at most\n")


def test_what_it_says_already_changes_nothing(workspace: Workspace) -> None:
    set_policy(workspace, "gain-0.25")
    once = workspace.paths.params.read_bytes()

    assert set_policy(workspace, "gain-0.25") == {}
    assert workspace.paths.params.read_bytes() == once


def test_a_policy_that_is_not_valid_leaves_the_file_alone(workspace: Workspace) -> None:
    with pytest.raises(RefusedError, match="would not be valid"):
        set_policy(workspace, "nonsense")

    assert workspace.paths.params.read_text(encoding="utf-8") == SHIPPED


def test_an_unknown_policy_names_those_that_were_tried(workspace: Workspace) -> None:
    with pytest.raises(UnknownNameError, match=r"gain-0\.25.*'always'"):
        set_policy(workspace, "alway")


def test_one_for_comparison_cannot_be_set(workspace: Workspace) -> None:
    with pytest.raises(BadInputError, match=r"^psi .*: .*\bgain-0\.25\b"):
        set_policy(workspace, "psi")


def test_without_a_backtest_it_says_what_to_do(workspace: Workspace) -> None:
    (workspace.paths.policy / NEWEST).unlink()

    with pytest.raises(BadInputError, match="retrim policy backtest"):
        set_policy(workspace, "always")
