"""A power cut keeps no row and loses what it stands for: all of it is flushed before the store writes the row.

The order is traced with strace, from the kernel's side: git and SQLite flush too.
"""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from retrim.adapters import git
from retrim.adapters.dvc_cache import cache_folder, named_in_commit, with_members
from tests.builders.world import World
from tests.drills.test_killed_release import world  # noqa: F401  a fixture

pytestmark = [
    pytest.mark.drill,
    pytest.mark.skipif(shutil.which("strace") is None, reason="traces with strace: apt-get install strace"),
]

RELEASE = "import sys, pathlib; from tests.drills.instants import release_one; "
RELEASE += "release_one(pathlib.Path(sys.argv[1]), 0, lambda: None)"
FLUSH = re.compile(r"(?:fsync|fdatasync)\(\d+<([^>]+)>\)")
WRITE = re.compile(r"pwrite64\(\d+<([^>]+)>, \"(.*)")


def traced(made: World, to: Path) -> list[str]:
    """The calls that flush or write at a place, in order, while a version is published and goes live."""
    calls = ["-e", "trace=fsync,fdatasync,pwrite64", "-s", "4096", "-o", str(to)]
    done = subprocess.run(
        ["strace", "-f", "-y", "--seccomp-bpf", *calls, sys.executable, "-c", RELEASE, str(made.root)],
        cwd=made.root,
        env=made.environment | {"PYTHONPATH": f"{made.root / 'src'}:{made.root}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return to.read_text(encoding="utf-8", errors="replace").splitlines()


def parts(made: World) -> set[Path]:
    """Every file that version 1 is made of: its bundle in MLflow, in the cache, and in git with its tag."""
    root, tag = made.root, f"retrim/{made.workspace.model}/v1"
    bundle = {path for path in made.workspace.registry.bundle_folder(1).rglob("*") if path.is_file()}
    cache = cache_folder(root)
    digests, _ = with_members(cache, named_in_commit(root, tag))
    cached = {cache / "files" / "md5" / digest[:2] / digest[2:] for digest in digests}
    listed = git.git(root, "rev-list", "--objects", "--no-walk", f"refs/tags/{tag}").splitlines()
    objects = {root / ".git" / "objects" / line[:2] / line.split()[0][2:] for line in listed}
    refs = {root / ".git" / "refs" / "tags" / tag}
    return bundle | cached | {path for path in objects | refs if path.is_file()}


def test_all_of_a_version_is_flushed_before_the_store_has_its_row(
    world: World,  # noqa: F811
    tmp_path: Path,
) -> None:
    lines = traced(world, tmp_path / "trace")
    first: dict[str, int] = {}
    last: dict[str, int] = {}
    row = None
    for number, line in enumerate(lines):
        if found := FLUSH.search(line):
            first.setdefault(found[1], number)
            last[found[1]] = number
        elif (found := WRITE.search(line)) and found[1].endswith("/retrim.db") and row is None:
            row = number if f"retrim/{world.workspace.model}/v1" in found[2] else None
    assert row is not None
    late = [str(path) for path in parts(world) if first.get(str(path), len(lines)) > row]

    assert late == []
    store = world.workspace.paths.var / "retrim.db"
    assert row < last[str(store)] < last[str(store.parent)]  # the row itself, and then that its journal is gone
