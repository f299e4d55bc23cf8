"""A policy is written into params.yaml by line: nothing else changes, and what is not understood is refused."""

from pathlib import Path

import pytest

from retrim.errors import BadInputError, RefusedError, UnknownNameError
from retrim.files import write_file
from retrim.lineage.workspace import Workspace
from retrim.paths import WorkspacePaths
from retrim.reports.policy_report import NEWEST, edit, set_policy
from retrim.settings import Env, load_params
from retrim.stats.canonical import to_json

ROOT = Path(__file__).resolve().parents[2]
SHIPPED = (ROOT / "params.yaml").read_text(encoding="utf-8")
TRIED = {
    "policies": [
        {"name": "account-0.25", "changes": {"triggers.rules": ["account"], "account.price": 0.25}},
        {
            "name": "always",
            "changes": {"triggers.rules": ["schedule"], "triggers.every": "12h", "triggers.loop_checks": 0},
        },
        {"name": "performance-1sd", "changes": {"triggers.rules": ["performance"], "triggers.band.reach": 1.0}},
        {"name": "nonsense", "changes": {"account.price": -1.0}},
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
    set_policy(workspace, "account-0.25")
    (line,) = differing(SHIPPED, workspace.paths.params.read_text(encoding="utf-8"))

    assert [text.index("#") for text in line] == [line[0].index("#")] * 2
    assert line[0].split("#")[1] == line[1].split("#")[1]


def test_the_file_says_what_the_policy_says(workspace: Workspace) -> None:
    set_policy(workspace, "account-0.25")

    assert load_params(workspace.paths.params).account.price == 0.25


def test_a_key_within_braces_changes_alone(workspace: Workspace) -> None:
    set_policy(workspace, "performance-1sd")
    band = load_params(workspace.paths.params).triggers.band

    assert (band.unit, band.reach) == ("iqr", 1.0)


def test_what_it_says_already_changes_nothing(workspace: Workspace) -> None:
    set_policy(workspace, "account-0.25")
    once = workspace.paths.params.read_bytes()

    assert set_policy(workspace, "account-0.25") == {}
    assert workspace.paths.params.read_bytes() == once


def test_a_policy_that_is_not_valid_leaves_the_file_alone(workspace: Workspace) -> None:
    with pytest.raises(RefusedError, match="would not be valid"):
        set_policy(workspace, "nonsense")

    assert workspace.paths.params.read_text(encoding="utf-8") == SHIPPED


def test_an_unknown_policy_names_those_that_were_tried(workspace: Workspace) -> None:
    with pytest.raises(UnknownNameError, match=r"account-0\.25.*Did you mean 'always'"):
        set_policy(workspace, "alway")


def test_one_for_comparison_cannot_be_set(workspace: Workspace) -> None:
    with pytest.raises(BadInputError, match="shown for comparison"):
        set_policy(workspace, "psi")


def test_without_a_backtest_it_says_what_to_do(workspace: Workspace) -> None:
    (workspace.paths.policy / NEWEST).unlink()

    with pytest.raises(BadInputError, match="retrim policy backtest"):
        set_policy(workspace, "always")


@pytest.mark.parametrize(
    "text",
    [
        "triggers:\n  rules:\n    - account\n",  # a list over several lines
        "triggers: {rules: [account]}\n",  # the whole section on one line
        "triggers:\n    rules: [account]\n",  # another indent
        "triggers:\n  rules: [account\n    ]\n",  # a value that goes on below
        "triggers:\n  rules: &names [account]\nother: *names\n",  # a value that stands for another too
        'triggers:\n  rules: ["a # b"]\n',  # a sign of a comment that is none
    ],
)
def test_a_way_of_writing_that_it_does_not_know_is_refused(text: str) -> None:
    with pytest.raises(RefusedError, match="by hand"):
        edit(text, {"triggers.rules": ["drift"]})


def test_a_key_of_the_same_name_in_another_section_stays() -> None:
    text = "gate:\n  every: 1D\ntriggers:\n  every: 2D   # often\nschedule:\n  every: 3D\n"

    assert edit(text, {"triggers.every": "9D"})[0] == text.replace("2D", "9D")


def test_a_missing_key_is_asked_for_by_hand() -> None:
    with pytest.raises(RefusedError, match="add it by hand"):
        edit("triggers:\n  rules: []\n", {"triggers.every": "9D"})
