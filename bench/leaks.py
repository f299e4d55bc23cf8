"""Leaks that are found in generated tables, and real tables that are stopped: what docs/decisions/leaks.md tells.

python bench/leaks.py [--seeds 10] [--rows 400 3000] [--packages FOLDER]

Each form of `tests/builders/leak_forms.py` is made anew for every seed, in every state: how often a column that gives
the answer away is named, and how often an honest one is. FOLDER has the packages of `raw_tables.PACKAGES`.
Of each real table: what stops it, what its first model leans on, and the seconds until it is drafted.
"""

import argparse
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from raw_tables import TABLES

from retrim.onboarding.desk import InitRequest
from retrim.onboarding.draft import draft
from retrim.profile.first_model import find_leaks
from retrim.reading.raw import read_raw
from tests.builders.leak_forms import CLASSES, HONEST, NUMBERS, STATES, Form, Made, frame_of

OWN = {"hint", "where", "other"}


def named(form: Form, made: Made) -> set[str]:
    frame, data = frame_of(form, made)
    found = find_leaks(
        frame,
        data,
        label_time=None,
        entity=None,
        judge_rows=made.rows // 10,
        made=(),
        allowed=(),
        seed=7,
        threads=1,
    )
    return {name for leak in found.refused for name in leak.columns}


def generated(seeds: int, rows: int) -> None:
    print(f"| {rows} rows, {seeds} tables each | {' | '.join(STATES)} |\n|{'---|' * (len(STATES) + 1)}")
    wrong: Counter[str] = Counter()
    for name, form in {**NUMBERS, **CLASSES, **HONEST}.items():
        told = []
        for state in STATES:
            found = [named(form, Made(state, rows=rows, seed=seed)) for seed in range(seeds)]
            told.append(sum(bool(one - OWN) for one in found))
            wrong["honest columns of them named"] += sum(bool(one & OWN) for one in found)
        kind = "honest: " if name in HONEST else ""
        print(f"| {kind}{name} | {' | '.join(map(str, told))} |", flush=True)
    print(dict(wrong), flush=True)


def real(packages: Path) -> Iterator[tuple[str, bytes, str, dict[str, Any]]]:
    """Name, content, file and wishes of each real table; bookings with nothing forbidden too."""
    for name, table in TABLES.items():
        wishes = {"target": table.target, "event_time": table.event_time, "label_time": table.label_time}
        content, file = table.raw(packages), f"{name}{table.suffix}"
        yield name, content, file, {**wishes, "forbid": table.forbid}
        if name == "bookings":
            yield "bookings, nothing forbidden", content, file, wishes


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--rows", type=int, nargs="*", default=[400, 3000])
    parser.add_argument("--packages", type=Path, help="folder with the packages of the real tables; else none is asked")
    asked = parser.parse_args()
    print("| table | rows | stopped by | leans most on | draft |\n|---|---|---|---|---|")
    for name, content, file, wishes in () if asked.packages is None else real(asked.packages):
        begun = time.perf_counter()
        drafted = draft(
            read_raw(content, file),
            InitRequest(model="own", **wishes),
            ask=lambda _, proposal, __: proposal,
            confidence=0.95,
            seed=7,
            threads=1,
        )
        stopped = "; ".join(leak.text for leak in drafted.leaks) or "nothing"
        leaned = "; ".join(note.seen for note in drafted.notes if note.about == "leans on")
        leaned = leaned.removeprefix("a first model leans most on ")
        took = f"{time.perf_counter() - begun:.0f} s"
        print(f"| {name} | {len(drafted.frame):,} | {stopped} | {leaned} | {took} |", flush=True)
    for rows in asked.rows:
        generated(asked.seeds, rows)


if __name__ == "__main__":
    main()
