"""params.yaml changed in place: comments, order and every other value stay as they are."""

import io
import re
from collections.abc import Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

from pydantic import JsonValue

from retrim.errors import BadInputError, RefusedError
from retrim.files import Paths, WorkspacePaths, write_file
from retrim.gate.change import changed, value_at
from retrim.lineage.locks import alone_in
from retrim.settings import Params, effective, parse_params, section_in, section_names, to_settings_file, why_none
from retrim.stats.plugins import SettingChoice, near_keys
from retrim.yaml_files import parse_yaml

COMMENT_COLUMN = 35
PLAIN_TEXT = re.compile(r"[A-Za-z][\w ./-]*[\w.]|\d+(D|h|min|s)")
WORDS = {"yes", "no", "true", "false", "null", "on", "off", "y", "n", "none"}
"""Text that YAML would read as something else, or nearly so."""


def edited(text: str, changes: Mapping[tuple[str, ...], SettingChoice]) -> str:
    """The document with these values set; a reason takes the place of what stands in brackets in its comment."""
    yaml = _yaml()
    document = yaml.load(text)
    new = [section for section in dict.fromkeys(place[0] for place in changes) if section not in document]
    for place, choice in changes.items():
        parent = document
        for depth, part in enumerate(place[:-1]):
            if parent.get(part) is None:
                _add(parent, part, _as_written({}, deep=depth == 0))
            parent = _own(parent, part)
        name = place[-1]
        moved = isinstance(choice.value, int) and parent.get(name, choice.value) != choice.value
        value = _as_written(choice.value, deep=place == ("data", "columns"))
        if name in parent or parent is document:
            parent[name] = value
        else:
            _add(parent, name, value)
        if choice.why or moved:
            _say_why(parent, name, choice.why)
    text = _dumped(yaml, document)
    for section in new:
        text = _in_order(text, section)
    return text


def _own(parent: Any, name: str) -> Any:
    """The mapping at a key; of one with an anchor, which may stand elsewhere too, a copy that stands here alone."""
    if parent[name].anchor.value is not None:
        parent[name] = deepcopy(parent[name])
        parent[name].yaml_set_anchor(None)
    return parent[name]


def with_line_ends(text: str, of: str) -> str:
    """A text whose lines end as those of another do: by CRLF if one there does."""
    return text.replace("\n", "\r\n") if "\r\n" in of else text


def _in_order(text: str, section: str) -> str:
    """The document with a section that stands at its end before those that come later among the settings."""
    order = list(Params.model_fields)
    if section not in order:
        return text
    later = order[order.index(section) + 1 :]
    lines = text.rstrip("\n").split("\n")
    keys = {line.partition(":")[0]: number for number, line in enumerate(lines) if re.match(r"\w+:", line)}
    begin = keys[section]
    end = min((number for number in keys.values() if number > begin), default=len(lines))
    target = min((keys[name] for name in later if name in keys and keys[name] < begin), default=None)
    if target is None:
        blank = [""] if begin and lines[begin - 1].strip() else []
        return "\n".join([*lines[:begin], *blank, *lines[begin:]]) + "\n"
    while target > 0 and lines[target - 1].startswith("#"):  # a comment above a section is of that section
        target -= 1
    moved = [*"\n".join(lines[begin:end]).rstrip("\n").split("\n"), ""]
    rest = "\n".join([*lines[:target], *moved, *lines[target:begin], *lines[end:]])
    return rest.rstrip("\n") + "\n"


def _add(parent: Any, name: str, value: Any) -> None:
    """A key more: a section last, any other first in its section, as blank lines belong to the key above them."""
    if parent.fa.flow_style() or (isinstance(value, dict) and not value):
        parent[name] = value
    else:
        parent.insert(0, name, value)


def slim(text: str, name: str) -> str:
    """The document without what is the default anyway: it means the same."""
    yaml = _yaml()
    document, stated = yaml.load(text), parse_yaml(text, name)
    means = parse_params(stated, name)
    for section in list(stated):
        if not isinstance(stated[section], Mapping):  # a setting that is in no section
            fewer = {other: value for other, value in stated.items() if other != section}
            if _meaning(fewer, name) == means:
                stated = fewer
                del document[section]
            continue
        for key in section_in(stated, section):
            fewer_keys = {other: value for other, value in section_in(stated, section).items() if other != key}
            fewer = {**stated, section: fewer_keys}
            if _meaning(fewer, name) == means:
                stated = fewer
                del document[section][key]
        if not stated[section]:
            del document[section]
    return _dumped(yaml, document)


def _meaning(document: dict[str, JsonValue], name: str) -> Params | None:
    try:
        return parse_params(document, name)
    except BadInputError:  # it has to be stated
        return None


def _dumped(yaml: Any, document: Any) -> str:
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
        return value if PLAIN_TEXT.fullmatch(value) and value.lower() not in WORDS else DoubleQuotedScalarString(value)
    if isinstance(value, Mapping):
        mapping = CommentedMap(
            {_as_written(key, deep=False): _as_written(inner, deep=False) for key, inner in value.items()}
        )
        if not deep:
            mapping.fa.set_flow_style()
        return mapping
    if isinstance(value, list | tuple):
        listed = CommentedSeq([_as_written(inner, deep=False) for inner in value])
        listed.fa.set_flow_style()
        return listed
    return value


def _say_why(parent: Any, name: str, why: str) -> None:
    why = why.replace("\n", " ")
    tokens = parent.ca.items.get(name)
    old = tokens[2].value if tokens and len(tokens) > 2 and tokens[2] is not None else ""
    first, _, rest = old.lstrip("#").partition("\n")
    comment = re.sub(r"\s*\([^()]*\)\s*$", "", first.strip())
    if rest.strip():
        return  # a comment of several lines belongs to what follows too
    text = f"{comment} ({why})".strip() if why else comment
    if not text:  # no comment was there, or only the reason of the value before
        if old:
            tokens[2].value = "\n" * old.count("\n")
        return
    parent.yaml_add_eol_comment(text, name, column=COMMENT_COLUMN)
    if rest or old.endswith("\n\n"):
        parent.ca.items[name][2].value += "\n" * old.count("\n")


def set_settings(workspace: WorkspacePaths, values: Mapping[str, JsonValue]) -> dict[str, tuple[Any, Any]]:
    """Writes values into params.yaml, checked before.

    Returns:
        What changed: effective value before and after by dotted key; empty where it meant the same already.

    Raises:
        BadInputError: A key is not a setting; the error names the nearest.
        RefusedError: params.yaml would not be valid then; it stays.
    """
    path = workspace.params
    for key in values:
        require_setting(key)
    with alone_in(workspace.root):  # who writes at the same time reads what is written here
        stored = path.read_bytes().decode("utf-8")
        text = stored.replace("\r\n", "\n")
        before = effective(workspace.root, parse_yaml(text, path.name), path.name)
        wanted = {key: value for key, value in values.items() if value_at(before, key) != value}
        if not wanted:
            return {}
        written, after = _with_values(workspace, text, wanted, before)
        real, mode = path.resolve(), path.stat().st_mode  # it may be a link, and closed to others
        write_file(real, with_line_ends(written, stored).encode("utf-8"))
        real.chmod(mode)
    return {key: (value_at(before, key), value_at(after, key)) for key in wanted}


def _with_values(
    workspace: WorkspacePaths, text: str, wanted: Mapping[str, JsonValue], before: Mapping[str, JsonValue]
) -> tuple[str, dict[str, JsonValue]]:
    """A params.yaml with these values, and what counts by it."""
    name = workspace.params.name
    stated = parse_yaml(text, name)
    changes: dict[tuple[str, ...], SettingChoice] = {}
    for key, value in wanted.items():
        place, whole = _place_of(key, value, stated, before)
        changes[place] = SettingChoice(whole, "")
        stated = changed(stated, {".".join(place): whole})
    written = edited(text, changes)
    try:
        return written, effective(workspace.root, parse_yaml(written, name), name)
    except BadInputError as error:
        raise RefusedError(
            f"params.yaml would not be valid with {_told(wanted)}: {error}; the file was not changed. Set a "
            "different value"
        ) from error


def _told(values: Mapping[str, JsonValue]) -> str:
    return ", ".join(f"{key}={value!r}" for key, value in values.items())


def require_setting(key: str) -> None:
    """Checks that a dotted key names a section, a setting, or what may stand in one.

    Raises:
        BadInputError: It does not; names the nearest.
    """
    words = key.split(".")
    for depth, word in enumerate(words):
        names = section_names(words[:depth])
        if not names:
            return
        if word not in names:
            if (why := why_none(key)) is not None:
                raise BadInputError(f"{key} {why}")
            near = near_keys(names, word, most=3)
            where = ".".join(words[:depth])
            raise BadInputError(
                f"{key}: {where or 'params.yaml'} has no {word!r}; did you mean "
                f"{' or '.join('.'.join([*words[:depth], name]) for name in near)}?"
            )


def _place_of(
    key: str, value: Any, stated: Mapping[str, JsonValue], before: Mapping[str, JsonValue]
) -> tuple[tuple[str, ...], Any]:
    """Where a value is written: at its key; where nothing states the mapping that holds it, as part of all of that."""
    words = key.split(".")
    holder: Any = stated
    for word in words[:-1]:
        holder = holder.get(word) if isinstance(holder, Mapping) else None
    if isinstance(holder, Mapping):
        return tuple(words), value
    depth = next((depth for depth in range(1, len(words)) if not section_names(words[:depth])), None)
    if depth is None:
        return tuple(words), value
    mapping, inner = tuple(words[:depth]), ".".join(words[depth:])
    there = value_at(before, ".".join(mapping))
    if not isinstance(there, Mapping):
        raise BadInputError(
            f"{key}: {'.'.join(mapping)} is {there!r}, which is not a mapping; set all of {'.'.join(mapping)} at once"
        )
    return mapping, changed(there, {inner: value})


def pin_settings(folder: WorkspacePaths) -> Path:
    """Writes what the params.yaml of a run directory means to its pinned settings, so that its stages run by it.

    Raises:
        BadInputError: It is no run directory, or params.yaml is wrong.
    """
    paths = Paths(folder.root)
    if not paths.pins.is_file():
        raise BadInputError(
            f"{folder.root} has no data/pins.json; change to a run directory, because settings are pinned by hand "
            "only there"
        )
    document = parse_yaml(folder.params.read_text(encoding="utf-8"), folder.params.name)
    write_file(paths.settings, to_settings_file(effective(folder.root, document, folder.params.name)))
    return paths.settings
