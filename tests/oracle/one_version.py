"""A judged version and its recipe fitted once more, two versions of the frozen wheel, as the one version of now."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace

from tests.oracle.player import Act, Fact

ITEM = re.compile(r"^\[(\d+)\]\.(.+)")
BY_VERSION = re.compile(r"(?<=losses\.)\d+$")
NUMBERS = ("version", "champion", "previous", "against", "left", "best", "winner", "release", "checked_version")
"""Names of fields that hold the number of a version."""
STORED = {"versions": 1, "releases": 1, "runs": 1, "decisions": 1, "alerts": 1, "stage_times": 6, "envelopes": 4}
"""Rows of the store that a recipe which was fitted once more had of its own, by table."""


def as_one_version(acts: Sequence[Act]) -> list[Act]:
    """The acts with versions numbered as if no recipe had been fitted once more."""
    judged_by_version: dict[int, Fact] = {}
    for act in acts:
        for item in _items(act.facts) if act.words == "versions" else ():
            judged_by_version[int(str(item["version"]))] = item["judged_version"]
    numbers: dict[int, int] = {}
    for version in sorted(judged_by_version):
        judged = judged_by_version[version]
        numbers[version] = numbers[int(str(judged))] if judged is not None else max(numbers.values(), default=0) + 1
    finals = [version for version, judged in judged_by_version.items() if judged is not None]
    return [replace(act, facts=_renumbered(act, finals, numbers)) for act in acts]


def _renumbered(act: Act, finals: Sequence[int], numbers: Mapping[int, int]) -> dict[str, Fact]:
    facts = act.facts
    if act.words == "versions":
        joined: dict[int, dict[str, Fact]] = {}  # the recipe fitted once more is the one that predicts
        for item in _items(facts):
            joined[numbers[int(str(item["version"]))]] = {**item, "judged_version": None}
        facts = _listed(list(joined.values()))
    elif act.words == "versions log":
        moves = [
            item for item in _items(facts) if item["action"] != "promote" or int(str(item["version"])) not in finals
        ]
        facts = _listed([{**item, "sequence": place} for place, item in enumerate(moves, 1)])
    elif act.words == "rows of the store":
        counts = {table: int(str(rows)) for table, rows in facts.items()}
        again = sum(final <= counts["versions"] for final in finals)
        counts["used_rows"] -= counts["used_rows"] * again // max(counts["versions"], 1)  # both were made with the same
        return {table: rows - again * STORED.get(table, 0) for table, rows in counts.items()}
    elif act.words.startswith("batch withdraw"):
        held = sorted({_number(fact, numbers) for path, fact in facts.items() if path.startswith("versions[")}, key=str)
        others = {path: fact for path, fact in facts.items() if not path.startswith("versions")}
        listed = {f"versions[{place}]": number for place, number in enumerate(held)}
        return {**others, "versions#": len(held), **listed} if "versions#" in facts else dict(facts)

    def renamed(path: str) -> str:
        return BY_VERSION.sub(lambda m: str(numbers.get(int(m[0]), m[0])), path)

    return {
        renamed(path): _number(fact, numbers) if path.rpartition(".")[2] in NUMBERS else fact
        for path, fact in facts.items()
    }


def _number(fact: Fact, numbers: Mapping[int, int]) -> Fact:
    """The number of a version now; what is none stays."""
    if isinstance(fact, str) and fact.isdigit():
        return str(numbers.get(int(fact), fact))
    return numbers.get(fact, fact) if isinstance(fact, int) and not isinstance(fact, bool) else fact


def _items(facts: Mapping[str, Fact]) -> list[dict[str, Fact]]:
    """The fields of each item of a list of records, by their path in it."""
    items: dict[int, dict[str, Fact]] = {}
    for path, fact in facts.items():
        if (match := ITEM.match(path)) is not None:
            items.setdefault(int(match[1]), {})[match[2]] = fact
    return [items[place] for place in sorted(items)]


def _listed(items: Sequence[Mapping[str, Fact]]) -> dict[str, Fact]:
    return {"#": len(items)} | {
        f"[{place}].{name}": fact for place, item in enumerate(items) for name, fact in item.items()
    }
