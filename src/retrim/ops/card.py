"""The card of a version: gathered from bundle, store and registry, written out, and kept when the version is made."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import pandas as pd

from retrim.adapters.card_pages import html, markdown
from retrim.adapters.exhibits import JUDGED, Exhibits
from retrim.adapters.store import iso
from retrim.core.card import Facts, card_of
from retrim.core.frames import from_parquet
from retrim.errors import BadInputError
from retrim.files import read_folder, write_file
from retrim.ops.champion import stored_bundle
from retrim.ops.check import CHECK
from retrim.ops.house import House

CARD = "card"
MARKDOWN, HTML = "card/model_card.md", "card/model_card.html"
MADE = "made"
"""Name of the card that is kept when a version is made; later ones are written anew by whoever asks."""


@dataclass(frozen=True)
class Pages:
    """A card as Markdown and as HTML."""

    markdown: str
    html: str

    def as_record(self) -> dict[str, Any]:
        """Digests of both, and where they lie in the run."""
        texts = {"markdown": (MARKDOWN, self.markdown), "html": (HTML, self.html)}
        return {
            name: {"path": path, "sha256": sha256(text.encode()).hexdigest()} for name, (path, text) in texts.items()
        }


def make_card(house: House, version: int, *, pictures: Mapping[str, bytes] | None) -> Pages:
    """The card of a version as things stand in the store; the same store, the same bytes.

    Args:
        house: The house.
        version: Its number.
        pictures: PNG files by name, if they are at hand; else they are drawn from the bundle.

    Raises:
        BadInputError: There is no such version.
        RefusedError: Its bundle is not the recorded one.
    """
    folder = stored_bundle(house, version)
    drawn = Exhibits(folder).pictures() if pictures is None else pictures
    card = card_of(_facts(house, version, folder, frozenset(drawn)))
    return Pages(markdown(card), html(card, drawn))


def _facts(house: House, version: int, folder: Path, pictures: frozenset[str]) -> Facts:
    files = read_folder(folder)
    row = house.store.version(house.model, version)
    assert row is not None, version
    checks = house.store.decisions(house.model, source=CHECK)
    return Facts(
        model=house.model,
        version=row.values,
        run=house.registry.run_of(version),
        said=house.params.card,
        records={name: json.loads(content) for name, content in files.items() if name.endswith(".json")},
        digests={name: sha256(content).hexdigest() for name, content in files.items()},
        judged=from_parquet(files[JUDGED]),
        releases=[each.values for each in house.store.releases(house.model)],
        envelope=[each.values for each in house.store.envelope(house.model, version)],
        checks=[each.values for each in checks if each.record.get("champion") == version],
        pictures=pictures,
        min_rows=house.params.gate.min_rows,
        least_rows=house.params.slices.least_rows,
    )


def keep_card(house: House, version: int, *, now: pd.Timestamp) -> None:
    """Lays the card of a version that was just made beside its bundle in MLflow, its digests in the envelope; once."""
    if any(row.id == MADE for row in house.store.envelope(house.model, version, kind=CARD)):
        return
    pages = make_card(house, version, pictures=house.registry.pictures(version))
    house.registry.add_files(version, {MARKDOWN: pages.markdown.encode(), HTML: pages.html.encode()})
    house.store.add_to_envelope(house.model, version, kind=CARD, name=MADE, at=iso(now), record=pages.as_record())


def write_card(house: House, version: int, *, to: Path, as_html: bool) -> Path:
    """Writes the card of a version to a file, whole.

    Raises:
        BadInputError: The file's folder is not there, or as for `make_card`.
    """
    if to.is_dir() or not to.absolute().parent.is_dir():
        raise BadInputError(f"{to} is a folder, or lies in none; name a file in a folder that is there")
    pages = make_card(house, version, pictures=None)
    write_file(to, (pages.html if as_html else pages.markdown).encode())
    return to
