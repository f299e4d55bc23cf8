"""Settings that a text names are set as it says, and it is said no more."""

from pathlib import Path

import pytest

from tests.builders.desk import Desk, make_desk
from tests.cures_settings.case import Case, names, said, says
from tests.cures_settings.files import FILES
from tests.cures_settings.functions import FUNCTIONS
from tests.cures_settings.loading import LOADING
from tests.cures_settings.looks import LOOKS
from tests.cures_settings.placed import PLACED
from tests.cures_settings.stages import STAGES
from tests.cures_settings.workspaces import WORKSPACES

QUICK, SLOW = (*LOADING, *PLACED, *FUNCTIONS, *FILES), (*WORKSPACES, *STAGES, *LOOKS)
CASES = (*QUICK, *SLOW)


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Desk:
    """Version 1 of 12 days, and version 2 of 18."""
    desk = make_desk(tmp_path_factory.mktemp("made") / "workspace")
    for since, until in ((0, 12), (12, 18)):
        desk.land(desk.rows(since, until), until)
        desk.make_version(until)
    return desk


@pytest.mark.parametrize(
    "case", [*QUICK, *(pytest.param(case, marks=pytest.mark.slow) for case in SLOW)], ids=lambda case: case.says[:60]
)
def test_the_setting_that_is_named_cures(case: Case, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    made = request.getfixturevalue("made") if case.made else None
    wrong, _ = said(case, case.wrong, tmp_path / "wrong", made)

    assert says(case.says, wrong), wrong
    for number, cure in enumerate(case.cures):
        assert [key for key in cure if not names(wrong, key, placed=case.placed)] == [], wrong
        cured, raised = said(case, {**case.wrong, **cure}, tmp_path / f"cured-{number}", made)
        assert not says(case.says, cured), cured
        assert not raised or (case.then and says(case.then, cured)), cured
