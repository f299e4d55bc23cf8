"""A version is made by the code that the workspace names, and by no other."""

from pathlib import Path

import pytest

from retrim.adapters.wheel import running_wheel
from retrim.errors import RefusedError
from retrim.files import WorkspacePaths
from retrim.lineage.own_code import lock_of, require_running_code


def test_the_wheel_that_runs_may_make_versions() -> None:
    require_running_code(running_wheel().workspace_lock)


def test_the_same_version_with_other_code_is_refused() -> None:
    wheel = running_wheel()
    other = wheel.workspace_lock.replace(wheel.hash, "0" * 64)

    with pytest.raises(RefusedError, match=rf"to retrim {wheel.version} \(wheel 000000000000 .* `retrim new --upgrade"):
        require_running_code(other)


def test_code_in_src_is_not_compared(tmp_path: Path) -> None:
    require_running_code(running_wheel().lock)
    require_running_code(lock_of(WorkspacePaths(tmp_path)))
