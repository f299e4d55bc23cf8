"""Applies mutants (known mistakes) to copies of the tree, and fails when the test that guards against one passes there.

python -m tests.mutants.run              all of them
python -m tests.mutants.run probation    those whose title, code or guard holds a word
python -m tests.mutants.run --places     only looks whether each still has its place in the code

CONTRIBUTING.md says how to write a mutant.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from retrim.yaml_files import load_yaml
from tests.mutants.edit import LostPlaceError, mutate

ROOT = Path(__file__).resolve().parents[2]
FAILED = 1
"""Exit code of pytest when tests ran and some failed; any other says that they did not run."""
LONGEST_SECONDS = 900
"""A guard that takes longer is ended: its mutant has not been caught."""

Mutant = dict[str, Any]


def read_mutants(words: Sequence[str]) -> list[Mutant]:
    """The mutants that hold one of the words, or all."""
    files = sorted(Path(__file__).parent.glob("*.yaml"))
    mutants = [mutant for file in files for mutant in load_yaml(file.read_text(encoding="utf-8"))]
    return [mutant for mutant in mutants if not words or any(word in str(mutant) for word in words)]


def apply_mutant(mutant: Mutant, tree: Path) -> dict[Path, str]:
    """The files of a tree that a mutant changes, and their mutated text; nothing is written.

    Raises:
        LostPlaceError: The code has changed: the mutant no longer applies.
    """
    texts: dict[Path, str] = {}
    for edit in mutant["edits"]:
        folder = {"retrim": "src", "retrim_flows": "flows"}.get(edit["module"].partition(".")[0], ".")
        path = tree / folder / f"{edit['module'].replace('.', '/')}.py"
        if not path.is_file():
            raise LostPlaceError(f"there is no module {edit['module']}")
        texts[path] = mutate(texts.get(path) or path.read_text(encoding="utf-8"), edit)
    return texts


def run_guard(tree: Path, guard: str) -> tuple[int, str]:
    """Runs a test in a copy of the tree, with the code of that copy: exit code and what it printed."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "COV_"))}
    environment |= {"PYTHONPATH": str(tree / "src"), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--tb=short", guard]
    try:
        done = subprocess.run(
            command, cwd=tree, env=environment, capture_output=True, text=True, check=False, timeout=LONGEST_SECONDS
        )
    except subprocess.TimeoutExpired:
        return -1, f"it took longer than {LONGEST_SECONDS} s"
    return done.returncode, done.stdout[-3000:] + done.stderr[-1000:]


def try_mutant(mutant: Mutant) -> str:
    """Empty when the guard passes on the code as it is and fails with the mutant in place; else what happened."""
    with tempfile.TemporaryDirectory(prefix="retrim-mutant-") as folder:
        tree = Path(folder)
        listed = subprocess.run(
            ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
            cwd=ROOT,
            capture_output=True,
            check=True,
        )
        for name in filter(None, listed.stdout.decode().split("\0")):
            if (ROOT / name).is_file():
                (tree / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / name, tree / name)
        try:
            texts = apply_mutant(mutant, tree)
        except LostPlaceError as error:
            return f"it no longer applies: {error}"
        code, printed = run_guard(tree, mutant["guard"])
        if code:
            return f"{mutant['guard']} does not pass before the mutant is applied:\n{printed}"
        for path, text in texts.items():
            path.write_text(text, encoding="utf-8")
        code, printed = run_guard(tree, mutant["guard"])
    if code == 0:
        return f"{mutant['guard']} passes with the mutant in place"
    return "" if code == FAILED else f"{mutant['guard']} did not run:\n{printed}"


def find_lost(mutant: Mutant) -> str:
    """Empty when a mutant has its places in the code and its guard a file; else what is missing."""
    try:
        apply_mutant(mutant, ROOT)
    except LostPlaceError as error:
        return f"it no longer applies: {error}"
    file, _, test = mutant["guard"].partition("::")
    name = test.rpartition("::")[2].partition("[")[0]
    is_there = (ROOT / file).is_file() and f"def {name}(" in (ROOT / file).read_text(encoding="utf-8")
    return "" if is_there else f"there is no {mutant['guard']}"


def main(argv: Sequence[str] | None = None) -> int:
    """Exit code 0 when every mutant is caught, 1 when one survives or no longer applies."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("words", nargs="*", help="only mutants whose title, code or guard holds one of these")
    parser.add_argument("--places", action="store_true", help="run nothing; look whether each still has its place")
    parser.add_argument("-n", type=int, default=1, metavar="N", dest="workers", help="N mutants at once")
    arguments = parser.parse_args(argv)
    mutants = read_mutants(arguments.words)
    problems = []
    with ThreadPoolExecutor(arguments.workers) as pool:
        tried = pool.map(find_lost if arguments.places else try_mutant, mutants)
        for number, (mutant, problem) in enumerate(zip(mutants, tried, strict=True), 1):
            problems += [f"{mutant['mutant']}: {problem}"] if problem else []
            if not arguments.places:
                print(
                    f"[{number}/{len(mutants)}] {'SURVIVED' if problem else 'caught'}  {mutant['mutant']}", flush=True
                )
    print(f"{len(mutants) - len(problems)} of {len(mutants)} mutants {'have places' if arguments.places else 'caught'}")
    print("".join(f"    {problem}\n" for problem in problems), end="")
    return FAILED if problems else 0


if __name__ == "__main__":
    sys.exit(main())
