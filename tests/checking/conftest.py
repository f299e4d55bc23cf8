"""What most tests of checks begin with."""

from pathlib import Path
from typing import Any

import pytest

from tests.builders.desk import Desk, Make, make_desk


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """A desk with ten days of rows and a version of them."""

    def made(**dials: Any) -> Desk:
        return make_desk(tmp_path / "workspace", version_at=10, **dials)

    return made
