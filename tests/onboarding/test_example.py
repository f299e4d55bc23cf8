"""Files to start from are written where they are used, and never over another."""

from pathlib import Path

import pytest

from retrim.errors import RefusedError
from retrim.onboarding.example import EXAMPLES, write_example
from retrim.reading.raw import open_raw


@pytest.mark.parametrize("name", EXAMPLES)
def test_it_is_written_once(name: str, tmp_path: Path) -> None:
    path = write_example(name, tmp_path)

    assert path == tmp_path / EXAMPLES[name][0]
    with pytest.raises(RefusedError, match="exists already"):
        write_example(name, tmp_path)


def test_the_table_is_read_as_a_table(tmp_path: Path) -> None:
    assert open_raw(str(write_example("deliveries", tmp_path))).rows == 2400
