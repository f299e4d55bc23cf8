"""An upgrade moves params.yaml of an earlier version: backed up, committed, every comment kept."""

from pathlib import Path

import pandas as pd
import pytest

from retrim.adapters import git
from retrim.errors import BadInputError, RefusedError
from retrim.files import WorkspacePaths, dump_yaml
from retrim.lineage.settings_file import moved_settings
from retrim.onboarding.new import Upgrade, upgrade_workspace
from retrim.settings import load_params
from tests.builders.desk import make_desk

NOW = pd.Timestamp("2026-01-02T03:04", tz="UTC")
EARLIER = """
gate:                              # ours
  folds: 4
  min_gain: 0.02                   # as agreed

batches: {look: false}
"""


def workspace(folder: Path, settings: str) -> WorkspacePaths:
    """A workspace whose code is its own, with these settings beside its table, committed."""
    made = make_desk(folder / "workspace").workspace
    place = made.paths
    data = dump_yaml({"data": made.params.as_stated()["data"]})
    place.params.write_text(data + settings, encoding="utf-8")
    (place.root / "requirements.lock").write_text("", encoding="utf-8")
    (place.root / ".gitignore").write_text("/var/\n", encoding="utf-8")
    git.git(place.root, "add", "-A")
    git.git(place.root, *git.IDENTITY, "commit", "-q", "-m", "table")
    return place


def upgraded(place: WorkspacePaths) -> Upgrade:
    return upgrade_workspace(place, now=NOW)


def test_what_moved_is_said_backed_up_and_committed(tmp_path: Path) -> None:
    place = workspace(tmp_path, EARLIER)
    before = place.params.read_text(encoding="utf-8")
    done = upgraded(place)

    assert done.settings == (
        "batches.look: removed; set batches.skip: all to switch it off",
        "gate.folds: removed, because it is now fixed at 4",
    )
    assert (done.changed, done.backup) == (("params.yaml",), "var/upgrade/20260102T030400Z")
    assert (place.root / str(done.backup) / "params.yaml").read_text(encoding="utf-8") == before
    assert git.git(place.root, "status", "--porcelain") == ""
    text = place.params.read_text(encoding="utf-8")
    assert text.endswith("\ngate:                              # ours\n  min_gain: 0.02                   # as agreed\n"
                         "\nbatches: {skip: all}\n")  # fmt: skip
    assert load_params(place.params).batches.skip == "all"


def test_settings_that_are_gone_are_read_once_they_are_moved(tmp_path: Path) -> None:
    place = workspace(tmp_path, EARLIER)
    with pytest.raises(BadInputError):
        load_params(place.params)
    upgraded(place)

    assert load_params(place.params).gate.min_gain == 0.02


def test_a_section_that_is_called_otherwise_keeps_its_values(tmp_path: Path) -> None:
    place = workspace(tmp_path, "\naccount:\n  price: 2.0\n  price_unit: loss\n")
    done = upgraded(place)

    assert [told.split(":")[0] for told in done.settings] == ["account"]
    gain = load_params(place.params).gain
    assert (gain.cost, gain.cost_unit) == (2.0, "loss")


def test_a_rule_that_is_called_otherwise_keeps_its_place(tmp_path: Path) -> None:
    place = workspace(tmp_path, "\ntriggers: {rules: [schedule, account]}   # ours\n")
    with pytest.raises(BadInputError, match=r"rule account .*gain"):
        load_params(place.params)
    upgraded(place)

    assert load_params(place.params).triggers.rules == ("schedule", "gain")
    assert "triggers: {rules: [schedule, gain]}" in place.params.read_text(encoding="utf-8")


def test_a_second_one_has_nothing_to_move(tmp_path: Path) -> None:
    place = workspace(tmp_path, EARLIER)
    upgraded(place)

    with pytest.raises(RefusedError, match="code in src/"):
        upgraded(place)


def test_one_that_was_killed_before_its_commit_is_finished(tmp_path: Path) -> None:
    place = workspace(tmp_path, EARLIER)
    place.params.write_text(
        moved_settings(place.params.read_text(encoding="utf-8"), "params.yaml")[0], encoding="utf-8"
    )
    done = upgraded(place)

    assert done.changed == ("params.yaml",)
    assert git.git(place.root, "status", "--porcelain") == ""


def test_lines_end_as_they_did(tmp_path: Path) -> None:
    place = workspace(tmp_path, EARLIER)
    place.params.write_bytes(place.params.read_bytes().replace(b"\n", b"\r\n"))
    git.git(place.root, *git.IDENTITY, "commit", "-qam", "by CRLF")
    upgraded(place)

    assert place.params.read_bytes().count(b"\r\n") == place.params.read_bytes().count(b"\n")
    assert load_params(place.params).batches.skip == "all"


def test_an_edit_that_nobody_committed_is_not_lost(tmp_path: Path) -> None:
    place = workspace(tmp_path, EARLIER)
    text = place.params.read_text(encoding="utf-8") + "seed: 8\n"
    place.params.write_text(text, encoding="utf-8")

    with pytest.raises(RefusedError, match=r"^params\.yaml: .*\bcommit them first\b"):
        upgraded(place)
    assert place.params.read_text(encoding="utf-8") == text


def test_what_only_a_person_can_say_is_left_to_one(tmp_path: Path) -> None:
    place = workspace(tmp_path, EARLIER.replace("folds: 4", "folds: 5"))
    text = place.params.read_text(encoding="utf-8")

    with pytest.raises(BadInputError, match=r"gate\.folds .*\b5 is"):
        upgraded(place)
    assert place.params.read_text(encoding="utf-8") == text
