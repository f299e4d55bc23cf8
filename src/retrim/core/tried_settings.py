"""Settings with a few values set otherwise, by dotted key; and those that a backtest can try."""

from collections.abc import Mapping
from typing import Any

from retrim.errors import BadInputError

FACTS = {
    "reading": "it says how files are read when they land, and what has landed was read as it stands there; land the "
    "files into another workspace (retrim new) and compare the two",
    "data.model": "it is a name",
    "data.key": "it says what a row is called, and that stands in what has landed",
    "data.task": "both sides have to predict the same",
    "data.positive": "both sides have to predict the same",
    "data.labels": "it is a fact about the files",
    "data.rows.resample": "rows of another grain are other rows, with other answers; land the files into another "
    "workspace (retrim new) and compare the two",
    "data.label_horizon": "it says when answers are known: a fact, which both sides share",
    "train.recipes": "they compete after a search, and here is none: either side refits one recipe",
}
"""Keys that no backtest can try, and why."""


def changed(document: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """The document with each dotted key set to its value; the document itself stays as it is.

    A name with dots in it is found where it stands: the longest one goes first.

    Raises:
        BadInputError: A key lies below a value that holds no keys.
    """
    made: dict[str, Any] = dict(document)
    for key, value in changes.items():
        _set(made, key.split("."), value, key)
    return made


def _set(section: dict[str, Any], words: list[str], value: Any, key: str) -> None:
    for count in range(len(words), 0, -1):
        name = ".".join(words[:count])
        if name in section or count == 1:
            break
    if count == len(words):
        section[name] = value
        return
    below = section.get(name, {})
    if not isinstance(below, Mapping):
        raise BadInputError(f"{key}: {name!r} is {below!r} in params.yaml, which holds no keys; set {name} as a whole")
    section[name] = dict(below)
    _set(section[name], words[count:], value, key)


def value_at(document: Mapping[str, Any], key: str) -> Any:
    """What stands at a dotted key, names with dots in them found as `changed` finds them; None where nothing does."""
    words = key.split(".")
    for count in range(len(words), 0, -1):
        name = ".".join(words[:count])
        if name in document:
            found, rest = document[name], ".".join(words[count:])
            if not rest:
                return found
            return value_at(found, rest) if isinstance(found, Mapping) else None
    return None


def refuse_facts(keys: Mapping[str, Any]) -> None:
    """Refuses keys whose effect no backtest of landed rows can show.

    Raises:
        BadInputError: Names the key, and says why.
    """
    for key in keys:
        for fact, why in FACTS.items():
            if key == fact or key.startswith(f"{fact}."):
                raise BadInputError(f"{key} cannot be tried on rows that have landed: {why}")


def refuse_other_facts(document: Mapping[str, Any], tried: Mapping[str, Any]) -> None:
    """Refuses the same keys where a whole section was set, and one of them became another with it.

    Raises:
        BadInputError: Names the first such key, and says why.
    """
    refuse_facts({fact: None for fact in FACTS if value_at(document, fact) != value_at(tried, fact)})
