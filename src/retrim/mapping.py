"""YAML mappings, read safely: a key that stands twice is refused, as one of its two values would be lost unsaid."""

from collections.abc import Hashable
from pathlib import Path
from typing import Any

import yaml

from retrim.errors import BadInputError

MERGE = "tag:yaml.org,2002:merge"
SAFE: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the same in C where PyYAML has it: settings are read often


class Placed(SAFE):  # type: ignore[misc]
    """A safe loader that says where a value stands that cannot be read, such as a date in month 13."""

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:  # noqa: FBT001, FBT002  as its base has it
        """The value of a node.

        Raises:
            yaml.constructor.ConstructorError: It cannot be read, with its place.
        """
        try:
            return super().construct_object(node, deep=deep)
        except (ArithmeticError, AttributeError, LookupError, ValueError) as error:
            said = f"{node.value!r} is no {node.tag.rpartition(':')[2]}: {error}"
            raise yaml.constructor.ConstructorError(None, None, said, node.start_mark) from error


class TwiceError(Exception):
    """A key stands twice in one mapping."""

    def __init__(self, key: Hashable, first: int, line: int) -> None:
        super().__init__(f"key {key!r} stands twice, in lines {first} and {line}")
        self.key, self.first, self.line = key, first, line


def _load(text: str) -> Any:
    """The document of a text; keys are compared as they are written, before what is merged in stands among them.

    Raises:
        TwiceError: A key stands twice in one mapping.
        yaml.YAMLError: It cannot be read.
    """
    loader = Placed(text)
    try:
        root = loader.get_single_node()
        if root is None:
            return None
        _check_once(root, loader)
        return loader.construct_document(root)
    finally:
        loader.dispose()


def _check_once(root: yaml.Node, loader: Placed) -> None:
    """Goes through all mappings below a node, in the order of the text, each once: an alias is the node it names.

    Raises:
        TwiceError: A key stands in one of them twice.
    """
    seen: set[int] = set()
    ahead = [root]
    while ahead:
        node = ahead.pop()
        if id(node) in seen or isinstance(node, yaml.ScalarNode):
            continue
        seen.add(id(node))
        if not isinstance(node, yaml.MappingNode):
            ahead.extend(reversed(node.value))
            continue
        first: dict[Hashable, int] = {}
        for key_node, _ in node.value:
            if not isinstance(key_node, yaml.ScalarNode) or key_node.tag == MERGE:
                continue  # the loader refuses the one, and merges the other in below the keys that stand here
            key, line = loader.construct_object(key_node, deep=True), key_node.start_mark.line + 1
            if key in first:
                raise TwiceError(key, first[key], line)
            first[key] = line
        ahead.extend(value for _, value in reversed(node.value))


def read_yaml(path: Path) -> dict[str, Any]:
    """A YAML mapping, read safely, each key once.

    Raises:
        BadInputError: It or a value in it cannot be read, it is no mapping, or a key stands in it twice; names file
            and line.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BadInputError(f"{path} cannot be read as YAML: {error}") from error
    return parse_yaml(text, str(path))


def parse_yaml(text: str, name: str) -> dict[str, Any]:
    """The same of a text that was read from what is called `name`.

    Raises:
        As `read_yaml`.
    """
    try:
        document = _load(text)
    except UnicodeDecodeError as error:
        raise BadInputError(f"{name} cannot be read as YAML: {error}") from error
    except TwiceError as twice:
        raise BadInputError(
            f"{name}, line {twice.line}: {twice.key!r} stands in line {twice.first} already, and one of the two would "
            "be lost; keep one"
        ) from twice
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = "" if mark is None else f", line {mark.line + 1}, column {mark.column + 1}"
        said = getattr(error, "problem", None) or str(error).splitlines()[0]
        raise BadInputError(f"{name}{where}: cannot be read as YAML: {said}") from error
    if not isinstance(document, dict):
        raise BadInputError(f"{name} holds a {type(document).__name__}; a mapping of sections is needed")
    return document
