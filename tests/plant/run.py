"""Plants each known fault in a copy of the tree and fails unless the guard that names it fails there.

    python tests/plant/run.py [WORD ...]      only the faults whose name, file or guard holds a WORD
    python tests/plant/run.py --list

A fault is an entry of a `tests/plant/*.yaml`:

    - fault: core imports a vendor's kit
      edits:
        - file: src/retrim/core/windows.py
          search: "import numpy as np"                  # stands there exactly once
          replace: "import numpy as np\\nimport mlflow"
        - file: src/retrim/core/new.py
          append: "import mlflow"                       # to its end, `times` times; a missing file is made
      guard: tests/architecture/test_layers.py::test_the_import_contract_is_kept[pure-core]
      says: mlflow                                      # optional: stands in what the guard prints

A guard has to pass before its fault is planted. A guard that errors instead of
failing (a module that cannot be imported, no such test) has not caught the fault.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]
FAILED = 1
"""Exit code of pytest when tests ran and some failed; any other says that they did not run."""


@dataclass(frozen=True)
class Edit:
    """One change of one file."""

    file: str
    search: str | None = None
    replace: str = ""
    append: str = ""
    times: int = 1

    def apply_to(self, text: str) -> str:
        """The text with the fault in it.

        Raises:
            ValueError: The place is not there exactly once: the tree has moved on.
        """
        if self.search is None:
            return text + f"\n{self.append}\n" * self.times
        if text.count(self.search) != 1:
            raise ValueError(
                f"{self.file} holds {self.search!r} {text.count(self.search)} times; exactly once is needed"
            )
        return text.replace(self.search, self.replace)


@dataclass(frozen=True)
class Fault:
    """A mistake somebody could make, and the test that has to notice it."""

    name: str
    edits: tuple[Edit, ...]
    guard: str
    says: str

    def matches(self, words: Sequence[str]) -> bool:
        return not words or any(word in f"{self.name} {self.guard} {self.edits}" for word in words)


def read_faults() -> list[Fault]:
    """All faults of this folder, by file and in the order they stand there."""
    entries = [
        entry
        for path in sorted(Path(__file__).parent.glob("*.yaml"))
        for entry in yaml.safe_load(path.read_text(encoding="utf-8")) or []
    ]
    return [
        Fault(e["fault"], tuple(Edit(**edit) for edit in e["edits"]), e["guard"], e.get("says", "")) for e in entries
    ]


def copy_tree(to: Path) -> None:
    """Copies what git keeps, or would keep, and makes it a repository of its own."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    for name in filter(None, listed.stdout.decode().split("\0")):
        if (ROOT / name).is_file():
            (to / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, to / name)
    git = ["git", "-c", "user.name=retrim", "-c", "user.email=retrim@localhost", "-c", "core.hooksPath=/dev/null"]
    for command in (["init", "-q"], ["add", "-A"], ["commit", "-q", "-m", "tree"]):
        subprocess.run([*git, *command], cwd=to, check=True)


def run_guards(tree: Path, guards: Sequence[str]) -> subprocess.CompletedProcess[str]:
    """Runs tests in a copy of the tree, with the code of that copy."""
    # No bytecode: a file edited and restored within a second would be taken for unchanged.
    environment = os.environ | {"PYTHONPATH": str(tree / "src"), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--tb=short", *guards]
    return subprocess.run(command, cwd=tree, env=environment, capture_output=True, text=True, check=False)


@contextmanager
def planted(tree: Path, fault: Fault) -> Iterator[None]:
    """The fault stands in the tree, for as long as the block runs."""
    before = {
        edit.file: (tree / edit.file).read_bytes() if (tree / edit.file).exists() else None for edit in fault.edits
    }
    try:
        for edit in fault.edits:
            path = tree / edit.file
            text = path.read_text(encoding="utf-8") if path.exists() else ""
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(edit.apply_to(text), encoding="utf-8")
        yield
    finally:
        for name, content in before.items():
            if content is None:
                (tree / name).unlink(missing_ok=True)
            else:
                (tree / name).write_bytes(content)


def caught(tree: Path, fault: Fault) -> str:
    """Empty when the guard failed as it has to; else what happened instead."""
    try:
        with planted(tree, fault):
            run = run_guards(tree, [fault.guard])
    except ValueError as error:
        return str(error)
    if run.returncode == FAILED and " error" not in run.stdout.splitlines()[-1]:
        return (
            ""
            if fault.says in run.stdout
            else f"{fault.guard} fails without saying {fault.says!r}:\n{run.stdout[-2000:]}"
        )
    if run.returncode == 0:
        return f"{fault.guard} passes with the fault in place"
    return f"{fault.guard} did not run:\n{run.stdout[-2000:]}{run.stderr[-1000:]}"


def broken_guards(tree: Path, guards: Sequence[str]) -> dict[str, str]:
    """Guards that do not pass before anything is planted, and what they say."""
    if run_guards(tree, guards).returncode == 0:
        return {}
    runs = {guard: run_guards(tree, [guard]) for guard in guards}
    return {
        guard: f"{guard} does not pass before the fault is planted:\n{run.stdout[-2000:]}{run.stderr[-1000:]}"
        for guard, run in runs.items()
        if run.returncode
    }


def main() -> int:
    """Exit code 0 when every fault was caught, 1 when one was not."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("words", nargs="*", help="only faults whose name, file or guard holds one of these")
    parser.add_argument("--list", action="store_true", help="list the faults and their guards")
    arguments = parser.parse_args()
    faults = [fault for fault in read_faults() if fault.matches(arguments.words)]
    if not faults:
        parser.error(f"no fault's name, file or guard holds {' or '.join(arguments.words)}; --list tells what there is")
    if arguments.list:
        for fault in faults:
            print(f"{fault.name}\n    {fault.guard}")
        return 0
    with tempfile.TemporaryDirectory(prefix="retrim-plant-") as folder:
        tree = Path(folder)
        copy_tree(tree)
        broken = broken_guards(tree, sorted({fault.guard for fault in faults}))
        missed = 0
        for fault in faults:
            start = time.monotonic()
            problem = broken.get(fault.guard) or caught(tree, fault)
            missed += bool(problem)
            print(f"{'MISSED' if problem else 'caught'}  {fault.name} ({time.monotonic() - start:.0f} s)", flush=True)
            if problem:
                print("    " + problem.replace("\n", "\n    "))
    print(f"{len(faults) - missed} of {len(faults)} faults caught")
    return FAILED if missed else 0


if __name__ == "__main__":
    sys.exit(main())
