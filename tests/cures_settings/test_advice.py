"""What a text advises to set where nothing was refused: it is accepted, and does what is said of it."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from retrim.adapters import git
from retrim.adapters.landing_zone import Landing
from retrim.cli.policy import assignments
from retrim.errors import BadInputError
from retrim.features.fitted import TrainingTargets, learn_steps
from retrim.landing.ingest import examine
from retrim.lineage.own_code import pinned_code
from retrim.onboarding import desk
from retrim.reading.table import read_content
from retrim.table.data import DataParams
from retrim.table.reading import ReadingParams
from tests.builders.raw_tables import ROWS, csv, looked_at, said, table
from tests.cures_settings.case import Asked, Settings, load
from tests.cures_settings.files import NOW, ROW, lines, offered
from tests.cures_settings.functions import rows_of
from tests.cures_settings.loading import OWN
from tests.gate import test_gate_size

SELECT = {"step": "select_uncorrelated", "columns": ["level", "slope", "noise"], "at_most": 0.5}
ACCEPTED: dict[str, tuple[str, Settings]] = {
    ". If you need a yes or no, set the cost of each error in decide.threshold": (
        "binary", {"decide.threshold": {"false_positive": 1.0, "false_negative": 5.0}}),
    "add a sliding window to train.windows": ("regression", {"train.windows": ["all", "sliding"]}),
    "compare with the year before, or set train.windows to [all, sliding]": (
        "regression", {"train.windows": ["all", "sliding"]}),
    "set judge.loss to log_loss, and leave accuracy out of judge.metrics": (
        "binary", {"judge.loss": "log_loss", "judge.metrics": ["log_loss", "auc"]}),
    "models accept missing values, or prepare.steps can fill them": (
        "regression", {"prepare.steps": [{"step": "fill_median", "columns": ["level"]}]}),
    "add a step to prepare.steps that drops columns, such as select_uncorrelated": (
        "regression", {"prepare.steps": [SELECT]}),
    "set RETRIM_BACKUP and schedule.backup": ("regression", {"schedule.backup": "0 2 * * *"}),
    "retrim backup, and set schedule.backup": ("regression", {"schedule.backup": "1D"}),
}  # fmt: skip
"""Pieces of texts of a profile or of a draft, and what they advise."""


def asked(folder: Path, settings: Settings | None = None, task: str = "regression") -> Asked:
    return Asked(settings or {}, folder, task, None)


@pytest.mark.parametrize("piece", ACCEPTED)
def test_what_is_advised_is_accepted(piece: str, tmp_path: Path) -> None:
    task, settings = ACCEPTED[piece]

    load(asked(tmp_path, settings, task))


def test_the_step_that_is_named_takes_a_weighted_sum_away(tmp_path: Path) -> None:
    params = asked(tmp_path, {"prepare.steps": [SELECT]}).params
    rows = rows_of(asked(tmp_path))
    rows = rows.assign(noise=rows["level"] + rows["slope"])
    outcome = TrainingTargets(rows["outcome"].to_numpy(), ())
    _, sheet = learn_steps(rows, params.data.features, outcome, params.prepare.steps, strict=True)
    kept = [name for name in ("level", "slope", "noise") if name in sheet.kinds]

    assert len(kept) == 2
    assert np.linalg.matrix_rank(rows[kept].to_numpy()) == 2


def test_a_key_tells_rows_that_were_sent_twice(tmp_path: Path) -> None:
    twice = lines(*[ROW.format("2024-10-20T10:00:00Z")] * 2)
    offered(twice)(asked(tmp_path / "none", {"data.key": []}))

    with pytest.raises(BadInputError, match="is unique in the batch"):
        offered(twice)(asked(tmp_path / "key", {"data.key": ["number"]}))


def test_a_setting_that_is_tried_is_written_as_the_error_says() -> None:
    with pytest.raises(BadInputError, match=r"is not of the form KEY=VALUE, such as train\.windows=\[sliding\]"):
        assignments(["train.windows"])

    assert assignments(["train.windows=[sliding]"]) == {"train.windows": ["sliding"]}


def test_dates_that_were_read_the_wrong_way_are_read_as_declared() -> None:
    days = pd.date_range("2024-01-01", periods=3 * ROWS, freq="1D", tz="UTC").to_series()
    days = days[days.dt.day <= 12].iloc[:ROWS].reset_index(drop=True)
    content = csv(table(ROWS, at=days.dt.strftime("%m/%d/%Y"))[: len(days)])
    drafted = looked_at(content)
    note, (form,) = said(drafted, "dates"), drafted.reading.dates["at"]
    other = {"%d/%m/%Y": "%m/%d/%Y", "%m/%d/%Y": "%d/%m/%Y"}[form]
    changed = ReadingParams.model_validate(drafted.reading.model_dump() | {"dates": {"at": [other]}})
    taken, otherwise = (
        read_content(content, drafted.data, labels=False, reading=each).frame for each in (drafted.reading, changed)
    )

    assert (f"read as {form}" in note, "reading.dates" in note) == (True, True)
    assert taken is not None
    assert otherwise is not None
    assert (taken["at"].dt.month == otherwise["at"].dt.day).all()


def test_rows_known_before_their_event_land_once_it_is_said_how_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    times = pd.Series(pd.date_range(end="2024-11-01T20:00", periods=ROWS, freq="1h", tz="UTC"))
    content = csv(table(ROWS, at=times))
    monkeypatch.setattr(desk, "clock", lambda: NOW)
    drafted = looked_at(content)
    faults = []
    for ahead in (drafted.data.times_ahead, "20h"):
        how = DataParams.model_validate(drafted.data.model_dump() | {"times_ahead": ahead}), drafted.reading
        landing = Landing(tmp_path / "landing")
        faults.append(examine(content, "rows", landing=landing, how=how, now=NOW, correction=False)[1])

    assert "data.times_ahead" in said(drafted, "misplaced")
    assert len(faults[0]) == 1
    assert faults[1] == ()


def test_code_that_git_ignores_is_kept_once_it_is_not(tmp_path: Path) -> None:
    files = {"params.yaml": f"train:\n  model: {OWN}\n", ".gitignore": "models/\n", "models/m.py": "# ours\n"}
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(content, encoding="utf-8")
    git.git(tmp_path, "init", "-q")

    with pytest.raises(BadInputError, match=r"models/m\.py .*\.gitignore"):
        pinned_code(tmp_path, committed(tmp_path))
    (tmp_path / ".gitignore").write_text("", encoding="utf-8")
    pinned = pinned_code(tmp_path, committed(tmp_path))
    assert pinned is not None
    assert pinned.file == "models/m.py"


def committed(root: Path) -> str:
    git.git(root, "add", "-A")
    git.git(root, *git.IDENTITY, "commit", "-q", "-m", "as it is")
    return git.git(root, "rev-parse", "HEAD").strip()


APART = {
    "if a row was sent twice, list the columns that identify a row in data.key": (
        test_a_key_tells_rows_that_were_sent_twice
    ),
    "{} is not of the form KEY=VALUE, such as train.windows=[sliding]": (
        test_a_setting_that_is_tried_is_written_as_the_error_says
    ),
    "read as {}; if this is wrong, change reading.dates": (
        test_dates_that_were_read_the_wrong_way_are_read_as_declared
    ),
    "later than now; if rows are known before their event, set data.times_ahead": (
        test_rows_known_before_their_event_land_once_it_is_said_how_long
    ),
    "split.judge_rows: {}": test_gate_size.test_each_setting_that_is_named_would_show_it,
    "train.model: {} is not in commit {}; create it, remove it from .gitignore, and commit it": (
        test_code_that_git_ignores_is_kept_once_it_is_not
    ),
}
"""Pieces of texts, and the test that does what they say."""
