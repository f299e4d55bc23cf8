"""YAML mappings, read safely: a key that stands twice is refused, as one of its two values would be lost unsaid."""

from collections.abc import Hashable
from pathlib import Path
from typing import Any

import yaml

from retrim.errors import BadInputError

MERGE = "tag:yaml.org,2002:merge"
SAFE: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the same in C where PyYAML has it: settings are read often


class Once(SAFE):  # type: ignore[misc]
    """A safe loader that takes each key of a mapping once."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:  # noqa: FBT001, FBT002  as its base has it
        """The mapping of a node.

        Raises:
            TwiceError: A key stands in it twice.
        """
        first: dict[Hashable, int] = {}
        for key_node, _ in node.value:
            if not isinstance(key_node, yaml.ScalarNode) or key_node.tag == MERGE:
                continue  # the base refuses the one, and merges the other in below the keys that stand here
            key = self.construct_object(key_node)
            line = key_node.start_mark.line + 1
            if key in first:
                raise TwiceError(key, first[key], line)
            first[key] = line
        made: dict[Hashable, Any] = super().construct_mapping(node, deep=deep)
        return made


class TwiceError(Exception):
    """A key stands twice in one mapping."""

    def __init__(self, key: Hashable, first: int, line: int) -> None:
        super().__init__(f"key {key!r} stands twice, in lines {first} and {line}")
        self.key, self.first, self.line = key, first, line


def read_yaml(path: Path) -> dict[str, Any]:
    """A YAML mapping, read safely, each key once.

    Raises:
        BadInputError: It cannot be read, is no mapping, or a key stands in it twice; names file and line.
    """
    try:
        document = yaml.load(path.read_text(encoding="utf-8"), Once)  # noqa: S506  Once is a SafeLoader
    except (OSError, UnicodeDecodeError) as error:
        raise BadInputError(f"{path} cannot be read as YAML: {error}") from error
    except TwiceError as twice:
        raise BadInputError(
            f"{path}, line {twice.line}: {twice.key!r} stands in line {twice.first} already, and one of the two would "
            "be lost; keep one"
        ) from twice
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = "" if mark is None else f", line {mark.line + 1}, column {mark.column + 1}"
        said = getattr(error, "problem", None) or str(error).splitlines()[0]
        raise BadInputError(f"{path}{where}: cannot be read as YAML: {said}") from error
    if not isinstance(document, dict):
        raise BadInputError(f"{path} holds a {type(document).__name__}; a mapping of sections is needed")
    return document
