"""What a version needs of DVC's cache: found by `retrim gc`, and by `dvc gc`.

    python bench/cache_gc.py [--versions 50]

A repository with a tag a version, each with two batches and the outputs of six stages; then what both take away, of
which all should stay, and the seconds both take: `dvc gc` in a process of its own, as it is called.
"""

import argparse
import hashlib
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from retrim.adapters import git
from retrim.adapters.dvc import cache_folder, entries, named_in_commit, with_members

STAGES = ("validate", "features", "tune", "train", "backtest", "compare")


def store(root: Path, content: bytes, ending: str = "") -> str:
    """Lays an object into the cache; its digest."""
    digest = hashlib.md5(content, usedforsecurity=False).hexdigest() + ending
    path = cache_folder(root) / "files" / "md5" / digest[:2] / digest[2:]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return digest


def commit_version(root: Path, number: int) -> None:
    """One version: its batches and outputs in the cache, its notes in a tagged commit."""
    names = [f"batch-{number}-{each}" for each in ("a", "b")]
    listed = [{"md5": store(root, name.encode()), "relpath": name} for name in names]
    listing = store(root, json.dumps(listed).encode(), ".dir")
    (root / "raw.dvc").write_text(f"outs:\n- md5: {listing}\n  hash: md5\n  path: raw\n", encoding="utf-8")
    lock = ["schema: '2.0'", "stages:"]
    for stage in STAGES:
        digest = store(root, f"{stage} of {number}".encode())
        lock += [f"  {stage}:", "    cmd: echo", "    outs:"]
        lock += [f"    - path: {stage}.out", "      hash: md5", f"      md5: {digest}", "      size: 1"]
    (root / "dvc.lock").write_text("\n".join(lock) + "\n", encoding="utf-8")
    git.git(root, "add", "--all")
    git.git(root, "commit", "--quiet", "--message", f"version {number}")
    git.git(root, "tag", f"v{number}")


def make(root: Path, versions: int) -> list[str]:
    """The repository; the commits of its versions."""
    git.git(root, "init", "--quiet")
    git.git(root, "config", "user.name", "bench")
    git.git(root, "config", "user.email", "bench@example.org")
    subprocess.run([sys.executable, "-m", "dvc", "init", "--quiet"], cwd=root, check=True)
    stages = "".join(f"  {stage}:\n    cmd: echo\n    outs: [{stage}.out]\n" for stage in STAGES)
    (root / "dvc.yaml").write_text(f"stages:\n{stages}", encoding="utf-8")
    for number in range(1, versions + 1):
        commit_version(root, number)
    return [git.git(root, "rev-parse", f"v{number}").strip() for number in range(1, versions + 1)]


def by_retrim(root: Path, commits: list[str]) -> str:
    """What the versions' commits do not name, or that it refuses."""
    keep, cache = set[str](), cache_folder(root)
    for commit in commits:
        named, lost = with_members(cache, named_in_commit(root, commit))
        if lost:
            return "refuses: a listing is lost"
        keep |= named
    return f"takes {sum(entry.digest not in keep for entry in entries(cache))}"


def by_dvc(root: Path) -> str:
    """What `dvc gc` takes, with all it can be told to keep."""
    before = len(entries(cache_folder(root)))
    command = [sys.executable, "-m", "dvc", "gc", "--force", "--workspace", "--all-branches", "--all-tags"]
    done = subprocess.run(command, cwd=root, check=False, capture_output=True, text=True)
    taken = f"takes {before - len(entries(cache_folder(root)))}"
    return taken if done.returncode == 0 else f"fails: {done.stderr.strip().splitlines()[-1]}"


def nothing(_: Path) -> None:
    """Every tag stands."""


def without_tag(root: Path) -> None:
    """The tag of a version was removed, and the branch begun anew: its commit stands, and no ref names it."""
    git.git(root, "tag", "--delete", "v2")
    git.git(root, "checkout", "--quiet", "--orphan", "anew")
    git.git(root, "commit", "--quiet", "--message", "begun anew")


def without_listing(root: Path) -> None:
    """The cache has lost the listing of a version's batches; its batches are there."""
    note = git.git(root, "show", "v2:raw.dvc")
    digest = note.partition("md5: ")[2].partition("\n")[0]
    (cache_folder(root) / "files" / "md5" / digest[:2] / digest[2:]).unlink()


CASES: dict[str, Callable[[Path], None]] = {
    "every tag stands": nothing,
    "a version's tag removed": without_tag,
    "a version's listing lost": without_listing,
}


def main() -> None:
    """Prints a line a case."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--versions", type=int, default=50)
    versions = parser.parse_args().versions
    print("| case | retrim | seconds | dvc gc | seconds |")
    print("|---|---|---|---|---|")
    for case, spoil in CASES.items():
        with tempfile.TemporaryDirectory() as folder:
            root = Path(folder)
            commits = make(root, versions)
            spoil(root)
            begun = time.perf_counter()
            ours = by_retrim(root, commits)
            between = time.perf_counter()
            theirs = by_dvc(root)
            ended = time.perf_counter()
            print(f"| {case} | {ours} | {between - begun:.2f} | {theirs} | {ended - between:.2f} |")


if __name__ == "__main__":
    main()
