"""What an error tells a reader to type or to set exists."""

import pytest

from retrim.settings import DERIVED, MOVED
from tests.builders.printed import Printed, commands, cures, is_setting, missing, named, printed

CURES, SETTINGS = cures(), [each for each in printed() if each.settings()]


@pytest.mark.parametrize("cure", CURES, ids=lambda cure: f"{cure.file}:{cure.line}")
def test_a_printed_command_exists_with_its_options(cure: Printed) -> None:
    for words in cure.calls():
        name = named(words)
        options = {word.split("=")[0] for word in words if word.startswith("--")}

        assert name is not None, str(cure)
        assert options <= commands()[name], str(cure)
        assert missing(words) == [], str(cure)


@pytest.mark.parametrize("text", SETTINGS, ids=lambda text: f"{text.file}:{text.line}")
def test_a_printed_setting_exists(text: Printed) -> None:
    assert [key for key in text.settings() if not is_setting(key)] == [] or text.text in {*MOVED, *DERIVED}, str(text)


def test_cures_are_found_at_all() -> None:
    assert len(CURES) > 80
    assert len(SETTINGS) > 50
