"""One form of what skops writes: the same model, the same bytes. Nothing is loaded here.

skops names the parts of a model by their place in memory and stamps its archive with the clock.
"""

import io
import json
from typing import Any
from zipfile import ZIP_STORED, BadZipFile, ZipFile, ZipInfo

SCHEMA = "schema.json"
EPOCH = (1980, 1, 1, 0, 0, 0)


def one_form(content: bytes) -> bytes:
    """The archive with its parts numbered in the order of their first mention; any other bytes as they are."""
    try:
        with ZipFile(io.BytesIO(content)) as archive:
            files = {name: archive.read(name) for name in archive.namelist()}
        schema = json.loads(files.pop(SCHEMA))
    except (BadZipFile, KeyError, ValueError):
        return content
    numbers: dict[Any, int] = {}
    names: dict[str, str] = {}
    numbered = _numbered(schema, numbers, names, files)
    made = io.BytesIO()
    with ZipFile(made, "w", ZIP_STORED) as archive:
        for old, new in names.items():
            archive.writestr(_entry(new), files[old])
        archive.writestr(_entry(SCHEMA), json.dumps(numbered, indent=2))
    return made.getvalue()


def _numbered(node: Any, numbers: dict[Any, int], names: dict[str, str], files: dict[str, bytes]) -> Any:
    if isinstance(node, list):
        return [_numbered(each, numbers, names, files) for each in node]
    if not isinstance(node, dict):
        return node
    found: dict[str, Any] = {}
    for key, value in node.items():
        if key == "__id__":
            found[key] = numbers.setdefault(value, len(numbers))  # a number either way
        elif key == "file" and isinstance(value, str) and value in files:
            found[key] = names.setdefault(value, f"{len(names)}.{value.rpartition('.')[2]}")
        else:
            found[key] = _numbered(value, numbers, names, files)
    return found


def _entry(name: str) -> ZipInfo:
    entry = ZipInfo(name, EPOCH)
    entry.create_system = 3  # else it says on which system it was written
    entry.external_attr = 0o600 << 16
    return entry
