"""params.yaml changed in place: comments, order and every other value stay as they are."""

import io
import re
from collections.abc import Mapping
from typing import Any

from retrim.core.init.sizes import Choice

COMMENT_COLUMN = 35
PLAIN = re.compile(r"[A-Za-z][\w ./-]*[\w.]|\d+(D|h|min|s)")


def edited(text: str, changes: Mapping[tuple[str, ...], Choice]) -> str:
    """The document with these values set; a reason takes the place of what stands in brackets in its comment.

    Args:
        text: A params.yaml.
        changes: Values by their place; all but the last part of a place exist already.
    """
    yaml = _yaml()
    document = yaml.load(text)
    for place, choice in changes.items():
        parent = document
        for part in place[:-1]:
            parent = parent[part]
        name = place[-1]
        moved = isinstance(choice.value, int) and parent.get(name) != choice.value
        parent[name] = _as_written(choice.value, deep=place == ("data", "columns"))
        if choice.why or moved:
            _say_why(parent, name, choice.why)
    out = io.StringIO()
    yaml.dump(document, out)
    return out.getvalue()


def _yaml() -> Any:
    from ruamel.yaml import YAML

    yaml = YAML()
    yaml.preserve_quotes = True
    yaml.width = 1_000_000
    yaml.allow_unicode = True
    yaml.indent(mapping=2, sequence=4, offset=2)
    yaml.representer.add_representer(type(None), _null)
    return yaml


def _null(representer: Any, _value: None) -> Any:
    return representer.represent_scalar("tag:yaml.org,2002:null", "null")


def _as_written(value: Any, *, deep: bool) -> Any:
    """Mappings and lists on one line, but for the columns, which have a line each; text in quotes if need be."""
    from ruamel.yaml.comments import CommentedMap, CommentedSeq
    from ruamel.yaml.scalarstring import DoubleQuotedScalarString

    if isinstance(value, str):
        return value if PLAIN.fullmatch(value) and value.lower() not in WORDS else DoubleQuotedScalarString(value)
    if isinstance(value, Mapping):
        made = CommentedMap(
            {_as_written(key, deep=False): _as_written(inner, deep=False) for key, inner in value.items()}
        )
        if not deep:
            made.fa.set_flow_style()
        return made
    if isinstance(value, list | tuple):
        listed = CommentedSeq([_as_written(inner, deep=False) for inner in value])
        listed.fa.set_flow_style()
        return listed
    return value


WORDS = {"yes", "no", "true", "false", "null", "on", "off", "y", "n", "none"}
"""Text that YAML would read as something else, or nearly so."""


def _say_why(parent: Any, name: str, why: str) -> None:
    why = why.replace("\n", " ")
    tokens = parent.ca.items.get(name)
    old = tokens[2].value if tokens and len(tokens) > 2 and tokens[2] is not None else ""
    first, _, rest = old.lstrip("#").partition("\n")
    kept = re.sub(r"\s*\([^()]*\)\s*$", "", first.strip())
    if rest.strip():
        return  # a comment of several lines belongs to what follows too
    said = f"{kept} ({why})".strip() if why else kept
    if not said:  # no comment was there, or only the reason of the value before
        if old:
            tokens[2].value = "\n" * old.count("\n")
        return
    parent.yaml_add_eol_comment(said, name, column=COMMENT_COLUMN)
    if rest or old.endswith("\n\n"):
        parent.ca.items[name][2].value += "\n" * old.count("\n")
