"""YAML, read safely: a key that stands twice is refused, as one of its two values would be lost unsaid."""

from collections.abc import Hashable
from copy import deepcopy
from functools import lru_cache
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ruamel.yaml import YAML
from ruamel.yaml.constructor import ConstructorError, SafeConstructor
from ruamel.yaml.error import YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode

from retrim.errors import BadInputError

if TYPE_CHECKING:  # what a command imports before it knows what it does has no pydantic
    from pydantic import JsonValue

MERGE = "tag:yaml.org,2002:merge"


class TwiceError(YAMLError):
    """A key stands twice in one mapping."""

    def __init__(self, key: Hashable, first: int, line: int) -> None:
        super().__init__(f"key {key!r} is set twice, in lines {first} and {line}")
        self.key, self.first, self.line = key, first, line


class PlacedConstructor(SafeConstructor):
    """Makes plain values, and says where one stands that cannot be read, such as a date in month 13."""

    def construct_object(self, node: Node, deep: bool = False) -> Any:  # noqa: FBT001, FBT002  as its base has it
        try:
            return super().construct_object(node, deep=deep)
        except (ArithmeticError, AttributeError, LookupError, ValueError) as error:
            problem = f"{node.value!r} is not a valid {str(node.tag).rpartition(':')[2]}: {error}"
            raise ConstructorError(None, None, problem, node.start_mark) from error

    def flatten_mapping(self, node: MappingNode) -> None:
        """Merges in what a mapping names, after its own keys were compared as they are written."""
        first: dict[Hashable, int] = {}
        merged = node.merge is not None
        for key_node, _ in () if merged else node.value:
            if not isinstance(key_node, ScalarNode) or key_node.tag == MERGE:
                continue
            key, line = self.construct_object(key_node, deep=True), key_node.start_mark.line + 1
            if key in first:
                raise TwiceError(key, first[key], line)
            first[key] = line
        super().flatten_mapping(node)


def load_yaml(text: str | bytes) -> Any:
    """The document of a text, read safely as YAML 1.2, each key of a mapping once; else a YAMLError."""
    return deepcopy(_load_yaml(text))


@lru_cache(maxsize=64)
def _load_yaml(text: str | bytes) -> Any:
    """The same, shared by all who ask: a run reads its settings and locks 20 times, each in a twentieth of a second."""
    yaml = YAML(typ="safe", pure=True)
    yaml.Constructor = PlacedConstructor
    return yaml.load(text)


def dump_yaml(document: Any) -> str:
    """The document as YAML, a line a value, mappings in their order."""
    yaml = YAML(typ="safe", pure=True)
    yaml.default_flow_style = False
    yaml.representer.sort_base_mapping_type_on_output = False
    out = StringIO()
    yaml.dump(document, out)
    return out.getvalue()


def read_yaml(path: Path) -> "dict[str, JsonValue]":
    """A YAML mapping, read safely, each key once.

    Raises:
        BadInputError: It cannot be read, is no mapping, or has a key twice; names file and line.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BadInputError(f"{path} cannot be read as YAML ({error}); use a readable file in UTF-8") from error
    return parse_yaml(text, str(path))


def parse_yaml(text: str, name: str) -> "dict[str, JsonValue]":
    """The same of a text that was read from what is called `name`."""
    try:
        document = load_yaml(text)
    except UnicodeDecodeError as error:
        raise BadInputError(f"{name} cannot be read as YAML ({error}); save it in UTF-8") from error
    except TwiceError as twice:
        raise BadInputError(
            f"{name}, line {twice.line}: the key {twice.key!r} is already set in line {twice.first}; remove one of the "
            "two"
        ) from twice
    except YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = "" if mark is None else f", line {mark.line + 1}, column {mark.column + 1}"
        problem = getattr(error, "problem", None) or str(error).splitlines()[0]
        raise BadInputError(f"{name}{where}: this is not valid YAML: {problem}; correct the file") from error
    if not isinstance(document, dict):
        raise BadInputError(f"{name} contains a {type(document).__name__}; write a mapping of sections instead")
    return document
