"""Reads where modules are to lie: lines of plan.txt.

`NEW: OLD OLD` joins modules into one, without the name of the package; `OLD:name -> newname` renames a top-level name.
"""

from pathlib import Path
from typing import NamedTuple

PACKAGE = "retrim"


class Plan(NamedTuple):
    """Old module to new module, in the order of the file; and (old module, name) to new name."""

    moves: dict[str, str]
    renames: dict[tuple[str, str], str]

    @property
    def folders(self) -> list[str]:
        """New folders, and modules that lie in none, in the order of the file: lowest first."""
        return list(dict.fromkeys(folder_of(new) for new in self.moves.values()))


def read_plan(path: Path) -> Plan:
    plan = Plan({}, {})
    for line in (raw.split("#")[0].strip() for raw in path.read_text(encoding="utf-8").splitlines()):
        if " -> " in line:
            old, new = line.split(" -> ")
            module, name = old.split(":")
            plan.renames[module, name] = new
        elif line:
            new, olds = line.split(":")
            for old in olds.split():
                assert f"{PACKAGE}.{old}" not in plan.moves, f"{old} stands twice"
                plan.moves[f"{PACKAGE}.{old}"] = f"{PACKAGE}.{new}"
    return plan


def folder_of(module: str) -> str:
    return module.split(".")[1]
