"""Runs the random tests with draws of their own, which `make test` never has; the stateful ones again and again.

    python tests/draw_anew.py --minutes 10

A failure prints the seed and the blob that repeat it. Ends at the first.
"""

import argparse
import secrets
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
NO_TESTS = 5
"""Exit code of pytest where no test has what was asked for."""
SEEDS = 2**32


def run(*arguments: str) -> int:
    """Runs tests with a new seed, which is printed."""
    seed = secrets.randbelow(SEEDS)
    print(f"--hypothesis-seed={seed} {' '.join(arguments)}", flush=True)
    drawn = ["--hypothesis-profile=anew", f"--hypothesis-seed={seed}"]
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-x", *drawn, *arguments], cwd=ROOT, check=False
    ).returncode


def random_files() -> Iterator[str]:
    """Test files that draw."""
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        if "from hypothesis" in path.read_text(encoding="utf-8"):
            yield str(path.relative_to(ROOT))


def stateful_tests() -> list[str]:
    """The stateful tests, by the names pytest has for them."""
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-m", "stateful", "tests"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode not in (0, NO_TESTS):
        sys.exit(listed.stdout + listed.stderr)
    return [line for line in listed.stdout.splitlines() if "::" in line]


def main() -> int:
    """Exit code 0 when nothing was found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10.0, help="how long each stateful test runs")
    minutes = parser.parse_args().minutes
    if code := run("-m", "not stateful and not drill", *random_files()):
        return code
    for test in stateful_tests():
        end = time.monotonic() + 60 * minutes
        while time.monotonic() < end:
            if code := run(test):
                return code
    return 0


if __name__ == "__main__":
    sys.exit(main())
