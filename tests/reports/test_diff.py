"""What changed between two versions without servers: data, rows, slices; with commits, code and settings."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sqlalchemy as sa

from retrim.adapters import git
from retrim.adapters.migrations.schema import VERSIONS
from retrim.card.diff import StepChange
from retrim.cli import render
from retrim.cli.screens.versions import diff_report
from retrim.errors import BadInputError
from retrim.files import folder_digest, write_file
from retrim.release.versions import load_stored_version
from retrim.reports.version_diff import diff
from retrim.stats.codec import to_record
from retrim.stats.metrics import row_losses
from retrim.table.data import assemble, mature
from retrim.training.bundle import SETTINGS
from tests.builders.desk import Desk, copy_of, make_desk, with_params
from tests.builders.landed import read_landed


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Desk:
    """Two versions, made six days apart, the second with three batches more."""
    made = make_desk(
        tmp_path_factory.mktemp("diff"), drift={"kind": "concept", "size": 3.0, "since": "2024-01-13"}, version_at=12
    )
    for day in (14, 16, 18):
        made.land(made.rows(day - 2, day), day)
    made.make_version(18)
    return made


@pytest.fixture(scope="module")
def found(desk: Desk) -> dict[str, Any]:
    return to_record(diff(desk.workspace, 1, 2, top=5, now=desk.day(18)))


def test_the_batches_between_the_two_are_named(found: dict[str, Any]) -> None:
    assert [(each["rows"], each["kind"], each["arrived"][:10]) for each in found["data"]["came"]] == [
        (48, "rows", "2024-01-15"),
        (48, "rows", "2024-01-17"),
        (48, "rows", "2024-01-19"),
    ]
    assert found["data"]["gone"] == []


def test_rows_and_windows_of_both_are_told(found: dict[str, Any]) -> None:
    older, newer = found["data"]["from"], found["data"]["to"]

    assert newer["rows"]["train"] - older["rows"]["train"] == 144
    assert older["judged_until"] < newer["judged_from"]


def test_both_are_measured_on_rows_that_neither_was_trained_on(desk: Desk, found: dict[str, Any]) -> None:
    workspace, rows = desk.workspace, found["rows"]
    ripe = mature(assemble(*read_landed(workspace.landing.root), workspace.params.data, as_of=desk.day(18)))
    last = ripe.iloc[-48:]
    predictors = {version: load_stored_version(workspace, version).predictor for version in (1, 2)}

    assert (rows["rows"], rows["block_of"]) == (48, 2)
    assert all(each.used_until < last["_event"].min() for each in predictors.values())
    for version, each in predictors.items():
        loss = row_losses("mae", each.view.actual(last), each.predict(last)).mean()
        assert found["metrics"][str(version)]["mae"] == pytest.approx(loss)


def test_the_rows_that_moved_most_come_first(desk: Desk, found: dict[str, Any]) -> None:
    moves = [abs(each["to"]["value"] - each["from"]["value"]) for each in found["moved"]]

    assert len(moves) == 5
    assert moves == sorted(moves, reverse=True)
    assert moves == pytest.approx([each["by"] for each in found["moved"]])


def test_the_slices_say_what_both_lost(found: dict[str, Any]) -> None:
    (one, *_) = [each for each in found["slices"] if each["rows"] >= 10] or [None]

    assert one is None or one["saved"][0] == pytest.approx(one["other"] - one["loss"])
    assert all(np.isfinite(each["saved"]).all() for each in found["slices"])


def test_the_other_way_round_it_is_the_opposite(desk: Desk, found: dict[str, Any]) -> None:
    back = to_record(diff(desk.workspace, 2, 1, top=5, now=desk.day(18)))

    assert [each["batch"] for each in back["data"]["gone"]] == [each["batch"] for each in found["data"]["came"]]
    assert back["metrics"] == found["metrics"]
    assert [each["key"] for each in back["moved"]] == [each["key"] for each in found["moved"]]


def test_without_its_commit_a_version_says_what_cannot_be_told(found: dict[str, Any]) -> None:
    assert found["code"] is found["environment"]["packages"] is None
    assert found["notes"][-1].startswith("packages: version 2 ")


def test_a_version_against_itself_has_not_changed(desk: Desk) -> None:
    same = to_record(diff(desk.workspace, 2, 2, top=3, now=desk.day(18)))

    assert same["hyperparameters"] == {}
    assert same["data"]["came"] == same["data"]["gone"] == []
    assert {each["by"] for each in same["moved"]} == {0.0}


def test_a_version_that_is_not_there_is_refused(desk: Desk) -> None:
    with pytest.raises(BadInputError, match="version 9"):
        diff(desk.workspace, 1, 9, top=5, now=desk.day(18))


def test_code_and_packages_are_read_from_the_two_commits(desk: Desk) -> None:
    root = desk.workspace.paths.root
    texts = (
        {
            "code.py": "a\nb\n",
            "requirements.lock": "numpy==2.0.0 \\\n",
        },
        {
            "code.py": "a\nc\nd\n",
            "requirements.lock": "numpy==2.1\nscipy==1.0\n",
        },
    )
    (root / ".gitignore").write_text("var\n", encoding="utf-8")
    git.git(root, "init", "-q", "-b", "main")
    for version, files in enumerate(texts, start=1):
        for name, text in files.items():
            write_file(root / name, text.encode())
        git.git(root, "add", "-A")
        git.git(root, *git.IDENTITY, "commit", "-q", "-m", f"version {version}")
        commit = git.git(root, "rev-parse", "HEAD")
        lineage = {"snapshot": commit, "commit": commit, "raw_digest": f"{version}" * 9, "python": "3.11"}
        with desk.workspace.store.begin() as connection:
            connection.execute(sa.update(VERSIONS).where(VERSIONS.c.version == version).values(lineage=lineage))
    told = to_record(diff(desk.workspace, 1, 2, top=1, now=desk.day(18)))

    assert {"file": "code.py", "added": 2, "removed": 1} in told["code"]["files"]
    assert told["environment"]["packages"] == {"numpy": ["2.0.0", "2.1"], "scipy": [None, "1.0"]}
    assert told["data"]["same"] is False
    assert not any(note.startswith(("packages: ", "code: ")) for note in told["notes"])


def test_settings_that_counted_are_compared_wherever_they_were_stated(desk: Desk, tmp_path: Path) -> None:
    """Of the bundles: a default that counted is told like a stated value, whatever the commits hold."""
    later = with_params(copy_of(desk, tmp_path / "desk"), gate={"min_gain": 0.04})
    later.make_version(18.5)
    told = to_record(diff(later.workspace, 1, 3, top=1, now=later.day(18)))

    assert told["parameters"] == {"gate.min_gain": [desk.workspace.params.gate.min_gain, 0.04]}


def test_settings_of_a_bundle_that_keeps_none_cannot_be_told(desk: Desk, tmp_path: Path) -> None:
    older = copy_of(desk, tmp_path / "desk")
    (older.shelf.folders[2] / SETTINGS).unlink()
    digest = folder_digest(older.shelf.folders[2])
    with older.workspace.store.begin() as connection:
        connection.execute(sa.update(VERSIONS).where(VERSIONS.c.version == 2).values(bundle=digest))
    told = to_record(diff(older.workspace, 1, 2, top=1, now=older.day(18)))

    assert told["parameters"] is None
    assert any(note.startswith("settings: version 2 ") for note in told["notes"])


def test_versions_without_common_rows_say_so(tmp_path: Path) -> None:
    desk = make_desk(tmp_path, version_at=12)
    desk.make_version(12.5)
    (desk.shelf.folders[1] / "note").write_bytes(b"")
    desk.land(desk.rows(12, 30), 30)
    desk.make_version(30)
    told = to_record(diff(desk.workspace, 2, 3, top=1, now=desk.day(12.5)))  # the rows of version 3 have not come yet

    assert told["rows"] is told["metrics"] is None
    assert any(note.startswith("metrics: ") for note in told["notes"])


def test_what_steps_learned_stands_on_the_screen(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    learned = {"moments.km": ([1.5], [2.5])}
    steps = (StepChange("StandardScaler of km", "other", learned), StepChange("clip of fee", "came", None))
    render.show_report(diff_report(replace(diff(desk.workspace, 1, 2, top=5, now=desk.day(18)), steps=steps)))
    shown = capsys.readouterr().out

    assert "moments.km: [1.5] to [2.5]" in shown
    assert [step.step for step in steps if step.step not in shown] == []
