"""Settings that a text names are set as it says, and it is said no more."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from retrim.errors import RetrimError
from tests.cures_settings.case import Asked, Case, Settings, names, says
from tests.cures_settings.functions import FUNCTIONS
from tests.cures_settings.loading import LOADING

CASES = (*LOADING, *FUNCTIONS)


def said(case: Case, settings: Settings, folder: Path) -> tuple[str, bool]:
    """What is said with settings, and whether it is an error."""
    folder.mkdir()
    try:
        given = case.ask(Asked(settings, folder, case.task))
    except RetrimError as error:
        return str(error), True
    return "" if given is None else str(given), False


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.says[:60])
def test_the_setting_that_is_named_cures(case: Case, tmp_path: Path) -> None:
    wrong, _ = said(case, case.wrong, tmp_path / "wrong")

    assert says(case.says, wrong), wrong
    for number, cure in enumerate(case.cures):
        assert [key for key in cure if not names(wrong, key)] == [], wrong
        cured, raised = said(case, {**case.wrong, **cure}, tmp_path / f"cured-{number}")
        assert not says(case.says, cured), cured
        assert not raised or (case.then and says(case.then, cured)), cured
