"""A workspace's CI as files: one script that does all, and what GitHub and GitLab need to call it."""

import sys
from importlib.resources import files
from pathlib import Path

from retrim import templates
from retrim.adapters import git
from retrim.adapters.wheel import named_wheel
from retrim.errors import RefusedError
from retrim.files import WorkspacePaths, write_file
from retrim.lineage.own_code import lock_of

CHECK = ".ci/check"
FILES = {
    CHECK: "check.sh",
    ".github/workflows/retrim.yml": "github.yml",
    ".gitlab-ci.yml": "gitlab.yml",
    "tests/test_custom_model.py": "custom_model.txt",
}
"""By their place in a workspace: which template each is made from."""
SERIES = "PYTHON_SERIES"


def lay_ci(root: Path) -> list[str]:
    """Writes the files of CI into a workspace; gives those that were not there as they are.

    Raises:
        RefusedError: One is there with other content.
    """
    series = ".".join(map(str, sys.version_info[:2]))
    texts = {
        name: (files(templates) / "ci" / template).read_text(encoding="utf-8").replace(SERIES, series)
        for name, template in FILES.items()
    }
    fresh = {name: text for name, text in texts.items() if not (root / name).exists()}
    other = [name for name in texts.keys() - fresh.keys() if (root / name).read_bytes() != texts[name].encode()]
    if other:
        raise RefusedError(f"{min(other)} exists with different content; move it away, then run the command again")
    for name, text in fresh.items():
        write_file(root / name, text.encode())
    (root / CHECK).chmod(0o755)
    return list(fresh)


def add_ci(workspace: WorkspacePaths) -> tuple[str | None, str, int]:
    """Writes them into a workspace that is there, and commits them.

    Returns:
        The wheel that is its code, None where that lies in src/; the commit; how many files were written.
    """
    fresh = lay_ci(workspace.root)
    if fresh:
        git.commit(workspace.root, fresh, "ci: check changes against the last retrainings")
    wheel = named_wheel(lock_of(workspace))
    return None if wheel is None else wheel.name, git.git(workspace.root, "rev-parse", "HEAD"), len(fresh)
