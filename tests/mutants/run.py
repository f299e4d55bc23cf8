"""Applies mutants to copies of the tree and fails when the test that guards against one does not fail there.

python -m tests.mutants.run                          all of them
python -m tests.mutants.run mature                   those whose title, code or guard holds a word
python -m tests.mutants.run --changed --sample 20    those of changed files, and 20 of the others

A guard has to pass before its mutant is applied. A guard that errors instead of failing (a module that cannot be
imported, no such test) has not caught the mutant. CONTRIBUTING.md says how to write a mutant.
"""

import argparse
import itertools
import os
import queue
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from tests.mutants.draw import draw_sample, find_base, find_changed_files, find_commit, is_of, starts_server
from tests.mutants.guards import run_guards
from tests.mutants.mutant import Mutant, read_mutants
from tests.mutants.places import LostPlaceError

ROOT = Path(__file__).resolve().parents[2]
FAILED = 1
"""Exit code of pytest when tests ran and some failed; any other says that they did not run."""
LONGEST_SECONDS = 900
"""A guard that takes longer is ended: its mutant has not been caught."""
SECONDS = itertools.count(1_000_000_000)
"""Of 2001 and later, as times of files that were mutated or restored: no file of the repository is so old."""
BATCH = 8
"""Mutants whose guards run in one process on the code as it is."""


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
    for folder in ("src", "flows", "tests"):  # what is compiled already holds for files of the same time
        for compiled in (ROOT / folder).rglob("__pycache__/*.pyc"):
            (to / compiled.relative_to(ROOT)).parent.mkdir(parents=True, exist_ok=True)
            with suppress(FileNotFoundError):  # compiled anew just now
                shutil.copyfile(compiled, to / compiled.relative_to(ROOT))
    git = ["git", "-c", "user.name=retrim", "-c", "user.email=retrim@localhost", "-c", "core.hooksPath=/dev/null"]
    for command in (["init", "-q"], ["add", "-A"], ["commit", "-q", "-m", "tree"]):
        subprocess.run([*git, *command], cwd=to, check=True)


@contextmanager
def applied(tree: Path, mutant: Mutant) -> Iterator[None]:
    """The mutant stands in the tree, for as long as the block runs."""
    texts = mutant.apply(tree)
    before = {file: (tree / file).read_bytes() if (tree / file).exists() else None for file in texts}
    try:
        for file, text in texts.items():
            write_anew(tree / file, text.encode())
        yield
    finally:
        for file, content in before.items():
            if content is None:
                (tree / file).unlink(missing_ok=True)
            else:
                write_anew(tree / file, content)


def write_anew(path: Path, content: bytes) -> None:
    """Writes a file with a time that none had: bytecode tells files apart by size and second."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    second = next(SECONDS)
    os.utime(path, (second, second))


def try_mutant(tree: Path, mutant: Mutant) -> str:
    """Empty when the guard fails as it has to; else what happened instead."""
    try:
        with applied(tree, mutant):
            code, printed = run_guards(tree, [mutant.guard], LONGEST_SECONDS)
    except LostPlaceError as error:
        return str(error)
    if code == 0:
        return f"{mutant.guard} passes with the mutant in place"
    if code != FAILED or " error" in printed.splitlines()[-1]:
        return f"{mutant.guard} did not run:\n{printed[-3000:]}"
    return "" if mutant.says in printed else f"{mutant.guard} fails without saying {mutant.says!r}:\n{printed[-2000:]}"


def find_broken_guards(tree: Path, guards: Sequence[str]) -> dict[str, str]:
    """Guards that do not pass on the code as it is, and what they print."""
    if run_guards(tree, guards)[0] == 0:
        return {}
    runs = {guard: run_guards(tree, [guard], LONGEST_SECONDS) for guard in guards}
    return {
        guard: f"{guard} does not pass before the mutant is applied:\n{printed[-3000:]}"
        for guard, (code, printed) in runs.items()
        if code
    }


@dataclass(frozen=True)
class Run:
    """Tries mutants in several copies of the tree at once, and prints what becomes of each.

    Attributes:
        workers: Number of copies, and of guards that run at once.
        ends: Moment of `time.monotonic` after which no mutant is begun; None: there is none.
        caught: Mutants whose guard failed as it has to.
        survived: Those whose guard did not.
        not_begun: Those whose turn came too late.
    """

    workers: int
    ends: float | None
    caught: list[Mutant] = field(default_factory=list)
    survived: list[Mutant] = field(default_factory=list)
    not_begun: list[Mutant] = field(default_factory=list)

    def try_all(self, mutants: Sequence[Mutant]) -> None:
        batches = [mutants[start : start + BATCH] for start in range(0, len(mutants), BATCH)]
        with tempfile.TemporaryDirectory(prefix="retrim-mutants-") as folder, ThreadPoolExecutor(self.workers) as pool:
            free: queue.SimpleQueue[Path] = queue.SimpleQueue()
            for number in range(self.workers):
                copy_tree(Path(folder) / str(number))
                free.put(Path(folder) / str(number))

            def try_next(batch: Sequence[Mutant]) -> None:
                tree = free.get()
                try:
                    self._try_batch(tree, batch, len(mutants))
                finally:
                    free.put(tree)

            list(pool.map(try_next, batches))

    def _try_batch(self, tree: Path, batch: Sequence[Mutant], of: int) -> None:
        """Runs the guards of a batch on the code as it is, all at once, then each with its mutant in place."""
        broken = {} if self._is_late() else find_broken_guards(tree, sorted({mutant.guard for mutant in batch}))
        for mutant in batch:
            if self._is_late():
                self.not_begun.append(mutant)
                continue
            start = time.monotonic()
            problem = broken.get(mutant.guard) or try_mutant(tree, mutant)
            (self.survived if problem else self.caught).append(mutant)
            lines = [f"    {line}\n" for line in problem.splitlines()]
            print(
                f"[{len(self.caught) + len(self.survived)}/{of}] {'SURVIVED' if problem else 'caught'}  {mutant.title}"
                f" ({time.monotonic() - start:.0f} s)\n{''.join(lines)}",
                end="",
                flush=True,
            )

    def _is_late(self) -> bool:
        return self.ends is not None and time.monotonic() > self.ends


def choose(mutants: list[Mutant], arguments: argparse.Namespace) -> list[Mutant]:
    """The mutants that the options ask for; prints what is left out, and why."""
    chosen = [mutant for mutant in mutants if mutant.matches(arguments.words)]
    if arguments.no_servers:
        quick = [mutant for mutant in chosen if not starts_server(mutant, ROOT)]
        print(f"{len(chosen) - len(quick)} of {len(chosen)} mutants left out: their guards start servers or kill runs")
        chosen = quick
    if arguments.changed is None and arguments.sample is None:
        return chosen
    seed, of_changed = arguments.seed or find_commit(ROOT), []
    if arguments.changed is not None:
        base = arguments.changed or find_base(ROOT)
        if base is None:
            print("no earlier commit: no file counts as changed")
        else:
            files = find_changed_files(ROOT, base)
            every = [mutant for mutant in chosen if is_of(mutant, files, ROOT)]
            of_changed = every if arguments.most is None else draw_sample(every, arguments.most, seed)
            print(f"since {base[:12]}: {len(every)} mutants of changed files, {len(every) - len(of_changed)} left out")
    others = [mutant for mutant in chosen if mutant not in of_changed]
    sample = draw_sample(others, arguments.sample or 0, seed)
    print(f"sample of {len(sample)} of {len(others)} other mutants, seed {seed[:12]}", flush=True)
    return of_changed + sample


def main(argv: Sequence[str] | None = None) -> int:
    """Exit code 0 when every mutant that was tried is caught, 1 when one survives."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("words", nargs="*", help="only mutants whose title, code or guard holds one of these")
    parser.add_argument("--list", action="store_true", help="list the mutants and their guards")
    parser.add_argument(
        "--changed",
        nargs="?",
        const="",
        metavar="BASE",
        help="mutants of files changed since a commit (default: where the branch left main, else the commit before)",
    )
    parser.add_argument("--most", type=int, metavar="N", help="at most N mutants of changed files, drawn by the seed")
    parser.add_argument("--sample", type=int, metavar="N", help="N mutants (beside --changed: of the others)")
    parser.add_argument("--seed", metavar="TEXT", help="what decides the draw (default: the commit's hash)")
    parser.add_argument("--no-servers", action="store_true", help="leave out mutants whose guards start servers")
    parser.add_argument("-n", type=int, default=1, metavar="N", dest="workers", help="N copies of the tree at once")
    parser.add_argument("--within", type=float, metavar="SECONDS", help="begin no mutant later than this")
    arguments = parser.parse_args(argv)
    start = time.monotonic()
    mutants = choose(read_mutants(), arguments)
    if arguments.words and not mutants:
        parser.error(f"no mutant holds {' or '.join(arguments.words)}; --list prints them all")
    if arguments.list:
        print("\n".join(f"{mutant.title}\n    {mutant.guard}" for mutant in mutants))
        return 0
    run = Run(arguments.workers, None if arguments.within is None else start + arguments.within)
    if mutants:
        run.try_all(mutants)
    late = f"; {len(run.not_begun)} not begun within {arguments.within:.0f} s" if run.not_begun else ""
    seconds = time.monotonic() - start
    print(f"{len(run.caught)} of {len(run.caught + run.survived)} mutants caught in {seconds:.0f} s{late}")
    for mutant in run.survived:
        print(f"    survived: {mutant.title}")
    return FAILED if run.survived else 0


if __name__ == "__main__":
    sys.exit(main())
