"""A text that names a setting, how it is brought about, and the settings that it asks for."""

import re
from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from retrim.errors import RetrimError
from retrim.gate.what_if import changed
from retrim.settings import Params, parse_params, resolved
from tests.builders.desk import FEW, FIXED, Desk, copy_of, make_desk
from tests.builders.printed import Printed
from tests.builders.shipped import whole
from tests.builders.synthetic import data_section

ROOT = Path(__file__).resolve().parents[2]
SHIPPED: dict[str, Any] = whole()
GONE = object()
"""As the value of a key: the key is taken out."""
Settings = Mapping[str, Any]


@dataclass(frozen=True)
class Asked:
    """Somebody's settings, and an empty folder.

    Args:
        settings: Those that differ, by dotted key.
        folder: Of this question alone.
        task: What the generated table is for.
        made: A workspace with two versions, to be copied; None: an empty one will do.
    """

    settings: Settings
    folder: Path
    task: str
    made: Desk | None

    @cached_property
    def document(self) -> dict[str, Any]:
        """All of params.yaml: small, of a generated table."""
        document = deepcopy(SHIPPED)
        document["data"] = data_section(
            self.task,  # type: ignore[arg-type]
            labels="with_rows",
            horizon="1h",
            suite="expectations/none.json",
        )
        if self.task == "binary":
            document["judge"] |= {"loss": "log_loss", "metrics": ["log_loss", "auc"]}
        document["train"]["windows"] = ["all"]
        for section, values in FEW.items():
            document[section] |= values
        document = changed(document, self.settings)
        for key, value in self.settings.items():
            if value is GONE:
                *above, name = key.split(".")
                section = document
                for part in above:
                    section = section[part]
                del section[name]
        return document

    @cached_property
    def params(self) -> Params:
        """The same, as a command reads it; with fewer draws, which are fixed."""
        read = parse_params(resolved(self.folder, self.document), "params.yaml")
        return read.model_copy(update={"judge": read.judge.model_copy(update=FIXED["judge"])})

    @cached_property
    def desk(self) -> Desk:
        """A workspace without servers, after somebody set these."""
        folder = self.folder / "workspace"
        desk = make_desk(folder, task=self.task) if self.made is None else copy_of(self.made, folder)
        workspace = replace(desk.workspace, params=self.params)
        workspace.__dict__["registry"] = desk.shelf
        return Desk(workspace, desk.stream, desk.shelf)


Ask = Callable[[Asked], object]


def load(asked: Asked) -> None:
    """The settings are read."""
    assert asked.params


@dataclass(frozen=True)
class Case:
    """A text and its cures.

    Args:
        says: A piece of the text, as the source has it between two values.
        wrong: Settings with which it is said.
        cures: Ways out that it names, each as settings.
        ask: What says it: raises an error with it, or gives it; nothing else may be raised once it is cured.
        task: regression or binary.
        then: What may still be raised after the cure: an error of its own.
        made: Whether it is asked in a workspace with two versions.
        placed: Whether the section alone stands before the text, which names the rest of the key.
    """

    says: str
    wrong: Settings
    cures: tuple[Settings, ...]
    ask: Ask = load
    task: str = "regression"
    then: str = ""
    made: bool = False
    placed: bool = False


def says(piece: str, said: str) -> bool:
    """Whether what was said holds a piece of a text of the source."""
    return re.search(".*?".join(re.escape(part) for part in piece.split("{}")), said, re.DOTALL) is not None


def said(case: Case, settings: Settings, folder: Path, made: Desk | None) -> tuple[str, bool]:
    """What is said with settings, and whether it is an error."""
    folder.mkdir()
    try:
        given = case.ask(Asked(settings, folder, case.task, made))
    except RetrimError as error:
        return str(error), True
    return "" if given is None else str(given), False


def names(said: str, key: str, *, placed: bool = False) -> bool:
    """Whether what was said names a setting, one that it is part of, or a part of it; of a placed one, the section."""
    if placed:
        return re.search(rf"\b{key.partition('.')[0]}[.:]", said) is not None
    sections = "|".join(Params.model_fields)  # an error of a section begins with it: "data: history.entity: ..."
    named = Printed("", 0, re.sub(rf"\b({sections}): (?=[a-z_]+[.:])", r"\1.", said)).settings()
    return any(f"{key}.".startswith(f"{each}.") or f"{each}.".startswith(f"{key}.") for each in named)
