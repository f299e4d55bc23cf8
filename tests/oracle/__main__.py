"""Plays lives through the wheel of a frozen commit and through this code, and shows what differs.

    make oracle                       # all lives
    make oracle LIVES="whole late"    # some
    make oracle ITSELF=1              # the frozen wheel against itself: what differs then is noise

What the frozen wheel showed is kept in var/oracle and not played again. A difference that is wanted stands in
`intended.md`, as a pattern of its line and the reason. The exit code is 1 if there is another.
"""

import argparse
import fnmatch
import hashlib
import json
import re
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from pathlib import Path

from tests.builders.wheels import install
from tests.builders.world import REPOSITORY
from tests.oracle.lives import LIVES
from tests.oracle.one_version import as_one_version
from tests.oracle.player import Act, Player, differences, work_folder

FROZEN = "14d01972"
HERE = Path(__file__).parent
KEPT = REPOSITORY / "var" / "oracle"
PATTERN = re.compile(r"^- `(.+?)`", re.MULTILINE)
FIELD = re.compile(r"^(check|record)\.(\w+)")
NESTED = {
    **dict.fromkeys(("window", "interval", "metrics", "loss", "served"), "performance.measured.{}"),
    **dict.fromkeys(("comparison", "suspects", "band", "slices"), "performance.{}"),
    **dict.fromkeys(("reading", "refits", "watch", "preview"), "probe.{}"),
    **dict.fromkeys(("said", "change", "fired", "held", "settled", "stopped"), "decision.{}"),
    **dict.fromkeys(("findings", "drifted"), "drift.{}"),
    **dict.fromkeys(("debited", "retraining_cost", "money"), "gain.{}"),
    "shown": "probe.losses",
    "probe": "probe.cost",
    "counted_until": "probe.until",
    "pending": "labels.pending",
    "labels_overdue": "labels.overdue",
    "labels_until": "labels.until",
    "drift_note": "drift.note",
    "estimate": "estimate.newest",
    "scored": "estimate.scored",
    "estimates": "estimate.quality",
    "accumulated_gain": "gain.now",
    "accumulated_gain_before": "gain.before",
}
"""Where the fields of a check's record stand now."""


def wheel_of(tree: Path, folder: Path) -> Path:
    """The wheel of a checkout."""
    folder.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(command, cwd=tree, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return next(folder.glob("*.whl"))


def installed(name: str, folder: Path) -> Path:
    """An environment with the wheel of a commit, or of this tree as it lies here; gives its interpreter."""
    tree = REPOSITORY
    if name != "now":
        tree = folder / "tree"
        subprocess.run(["git", "clone", "-q", str(REPOSITORY), str(tree)], check=True)
        subprocess.run(["git", "checkout", "-q", name], cwd=tree, check=True)
    return install(wheel_of(tree, folder / "wheel"), folder / "environment")


def play(life: str, python: Path, folder: Path, *, is_frozen: bool) -> list[Act]:
    """What a life shows."""
    folder.mkdir(parents=True)
    player = Player(python, folder, is_frozen)
    LIVES[life](player)
    return player.acts


def kept_or_played(life: str, python: Path, folder: Path) -> list[Act]:
    """What a life shows through the frozen wheel; played once for each version of the lives."""
    code = b"".join((HERE / name).read_bytes() for name in ("lives.py", "player.py"))
    file = KEPT / f"{life}-{FROZEN}-{hashlib.sha256(code).hexdigest()[:12]}.json"
    if not file.exists():
        acts = play(life, python, folder, is_frozen=True)
        KEPT.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps([asdict(act) for act in acts], indent=1), encoding="utf-8")
    return [Act(**each) for each in json.loads(file.read_text(encoding="utf-8"))]


def as_now(act: Act) -> Act:
    """An act of the frozen wheel with the fields of a check's record where they stand now."""

    def moved(path: str) -> str:
        return FIELD.sub(lambda m: f"{m[1]}.{NESTED.get(m[2], '{}').format(m[2])}", path)

    return replace(act, facts={moved(path): fact for path, fact in act.facts.items()})


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--lives", nargs="*", default=list(LIVES), choices=list(LIVES))
    parser.add_argument("--itself", action="store_true", help="play the frozen wheel against itself")
    parser.add_argument("--jobs", type=int, default=2, help="lives at once")
    given = parser.parse_args()
    base = work_folder("retrim-oracle")
    shutil.rmtree(base, ignore_errors=True)
    frozen = installed(FROZEN, base / "frozen")
    now = frozen if given.itself else installed("now", base / "now")
    intended = PATTERN.findall((HERE / "intended.md").read_text(encoding="utf-8"))

    def both(life: str) -> list[str]:
        before = kept_or_played(life, frozen, base / "frozen-lives" / life)
        after = play(life, now, base / "lives" / life, is_frozen=given.itself)
        if given.itself:
            return [f"{life} {line}" for line in differences(before, after)]
        return [f"{life} {line}" for line in differences([as_now(act) for act in as_one_version(before)], after)]

    wrong = 0
    with ThreadPoolExecutor(given.jobs) as pool:
        for life, lines in zip(given.lives, pool.map(both, given.lives), strict=True):
            new = [line for line in lines if not any(fnmatch.fnmatchcase(line, each) for each in intended)]
            print(f"{life}: {len(lines) - len(new)} intended differences, {len(new)} others", flush=True)
            print("".join(f"  {line}\n" for line in new), end="", flush=True)
            wrong += len(new)
    shutil.rmtree(base, ignore_errors=True)
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
