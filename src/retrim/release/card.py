"""The card of a version: gathered from bundle, store and registry, written out, and kept when it is made."""

import base64
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import pandas as pd
from pydantic import JsonValue

from retrim.adapters.database import iso
from retrim.adapters.exhibits import JUDGED, Exhibits
from retrim.card.card import card_of
from retrim.card.facts import VersionFacts
from retrim.card.pages import rendered
from retrim.decision.check_record import StoredCheck
from retrim.errors import BadInputError, RetrimError
from retrim.files import read_folder, write_file
from retrim.lineage.workspace import Workspace
from retrim.release.outcome import show_outcome, version_outcome
from retrim.release.versions import stored_bundle
from retrim.stats.codec import from_parquet

CARD = "card"
MARKDOWN, HTML = "card/model_card.md", "card/model_card.html"
MADE = "made"
"""Name of the card that is kept when a version is made. A later one is kept when it goes live or is replaced."""


@dataclass(frozen=True)
class CardPages:
    """A card as Markdown and as HTML."""

    markdown: str
    html: str

    @property
    def digests(self) -> dict[str, JsonValue]:
        """Of both, and where they lie in the run."""
        texts = {"markdown": (MARKDOWN, self.markdown), "html": (HTML, self.html)}
        return {
            name: {"path": path, "sha256": sha256(text.encode()).hexdigest()} for name, (path, text) in texts.items()
        }


def make_card(workspace: Workspace, version: int, *, pictures: Mapping[str, bytes] | None) -> CardPages:
    """The card of a version as things stand in the store; the same store, the same bytes.

    Raises:
        BadInputError: There is no such version.
        RefusedError: Its bundle is not the recorded one.
    """
    folder = stored_bundle(workspace, version)
    drawn = Exhibits(folder).pictures() if pictures is None else pictures
    card = card_of(_facts(workspace, version, folder, frozenset(drawn)))
    coded = {name: base64.b64encode(content).decode() for name, content in drawn.items()}
    return CardPages(rendered("card.md.j2", card=card), rendered("card.html.j2", card=card, pictures=coded))


def _facts(workspace: Workspace, version: int, folder: Path, pictures: frozenset[str]) -> VersionFacts:
    files, shown = read_folder(folder), Exhibits(folder)
    row = workspace.store.version(workspace.model, version)
    assert row is not None, version
    releases = workspace.store.releases(workspace.model)
    checks = map(StoredCheck.of, workspace.store.decisions(workspace.model, source="check"))
    return VersionFacts(
        model=workspace.model,
        version=row,
        run=workspace.registry.run_of(version),
        stated=workspace.params.card,
        verdict=shown.verdict,
        view=shown.view,
        fit=shown.fit,
        final=shown.final,
        split=shown.split,
        found=shown.found,
        trials=len(shown.trials()),
        backtest=shown.backtest,
        slices=shown.slices,
        importance=shown.importance,
        fairness=shown.fairness,
        digests={name: sha256(content).hexdigest() for name, content in files.items()},
        judged=from_parquet(files[JUDGED]),
        releases=releases,
        envelope=workspace.store.envelope(workspace.model, version),
        outcome=version_outcome(workspace, row, releases),
        checks=[each for each in checks if each.record.champion == version],
        pictures=pictures,
        min_rows=workspace.params.gate.min_rows,
    )


def keep_card(workspace: Workspace, version: int, *, now: pd.Timestamp, name: str = MADE) -> None:
    """Lays the card of a version beside its bundle in MLflow, and its digests in the envelope; once under each name."""
    if any(row.id == name for row in workspace.store.envelope(workspace.model, version, kind=CARD)):
        return
    pages = make_card(workspace, version, pictures=workspace.registry.pictures(version))
    workspace.registry.add_files(version, {MARKDOWN: pages.markdown.encode(), HTML: pages.html.encode()})
    workspace.store.add_to_envelope(workspace.model, version, kind=CARD, name=name, at=iso(now), record=pages.digests)


def show_release(workspace: Workspace) -> None:
    """Lets the verdict tag and the card of both versions of the newest release say what is live; done twice, once.

    The card of a version whose bundle was altered or is gone stays as it is: it must not keep another from going live.
    """
    move = next(reversed(workspace.store.releases(workspace.model)), None)
    if move is None:
        return
    name = f"release {move.sequence}"
    if any(row.id == name for row in workspace.store.envelope(workspace.model, move.version, kind=CARD)):
        return
    for version in (move.previous, move.version):
        if version is not None:
            show_outcome(workspace, version)
            with suppress(RetrimError):
                keep_card(workspace, version, now=pd.Timestamp(move.as_of), name=name)


def write_card(workspace: Workspace, version: int, *, to: Path, as_html: bool) -> Path:
    """Writes the card of a version to a file, whole.

    Raises:
        BadInputError: The file's folder is not there, or as for `make_card`.
    """
    if to.is_dir() or not to.absolute().parent.is_dir():
        raise BadInputError(
            f"{to} is a folder, or is in a folder that does not exist; choose a file in an existing folder"
        )
    pages = make_card(workspace, version, pictures=None)
    write_file(to, (pages.html if as_html else pages.markdown).encode())
    return to
