"""The model card of a workspace without servers: what stands in it, where its figures come from, the same bytes."""

import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from retrim.adapters.exhibits import Exhibits
from retrim.adapters.migrations.schema import VERSIONS
from retrim.errors import BadInputError, RefusedError
from retrim.files import folder_digest, write_folder
from retrim.gate.agreement import AgreementParams
from retrim.gate.verdict import mark_of
from retrim.release.card import HTML, MARKDOWN, CardPages, keep_card, make_card, write_card
from retrim.release.versions import stored_bundle
from tests.builders.desk import TUNED, Desk, make_desk
from tests.builders.run_directory import make_run_directory, stream

TASKS = ("regression", "binary")
ENDED = "Boosting stopped at round"


def twelve_days(folder: Path, **given: Any) -> Desk:
    """Version 1 is live, and a check has looked at it."""
    made = make_desk(folder, **given)
    made.land(made.rows(0, 12), 12)
    made.make_version(12)
    made.land(made.rows(12, 16), 16)
    made.check(16)
    return made


@pytest.fixture(scope="module", params=TASKS)
def desk(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Desk:
    return twelve_days(tmp_path_factory.mktemp(request.param), task=request.param)


@pytest.fixture(scope="module")
def pages(desk: Desk) -> CardPages:
    return make_card(desk.workspace, 1, pictures=None)


class Addresses(HTMLParser):
    """Every address that a page names, and the anchors it has."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.named: list[str] = []
        self.anchors: set[str] = set()
        self.tags: set[str] = set()
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        for name, value in attrs:
            if name in ("href", "src"):
                self.named.append(value or "")
            if name == "id":
                self.anchors.add(value or "")


HEADINGS = (
    "Intended use",
    "Data",
    "The gate's verdict",
    "Metrics",
    "Calibration",
    "Importance",
    "Known limits",
    "Releases",
    "Release checks",
    "Since it went live",
    "How it was made",
    "Lineage",
    "Sources",
)


def test_the_card_has_its_sections_in_both_forms(pages: CardPages) -> None:
    assert re.findall(r"(?m)^## (.*)$", pages.markdown) == list(HEADINGS)
    assert [each.replace("&#39;", "'") for each in re.findall(r"<h2>(.*?)</h2>", pages.html)] == list(HEADINGS)


def test_a_model_of_hardly_a_tree_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pages: CardPages) -> None:
    monkeypatch.setitem(TUNED, "rounds", 1)
    desk = make_desk(tmp_path / "workspace")
    desk.land(desk.rows(0, 12), 12)
    desk.make_version(12)

    assert f"{ENDED} 1" in make_card(desk.workspace, 1, pictures=None).markdown
    assert ENDED not in pages.markdown


def test_steps_stand_with_what_they_found(tmp_path: Path) -> None:
    fences = {"step": "clip", "columns": ["level"], "by": "iqr", "reach": 1.5, "at_most": 0.05}
    desk = make_desk(tmp_path / "workspace", changes={"prepare": {"steps": [fences]}})
    desk.land(desk.rows(0, 12), 12)
    desk.make_version(12)
    pages = make_card(desk.workspace, 1, pictures=None)

    assert "## Preparation" in pages.markdown
    assert re.search(r"\| clip \| level \| at\\_most 0.05, by iqr, reach 1.5 \| 1 \| level: .*fences ", pages.markdown)


def test_the_same_store_gives_the_same_bytes(desk: Desk, pages: CardPages) -> None:
    assert make_card(desk.workspace, 1, pictures=None) == pages


def test_the_page_fetches_nothing_and_runs_nothing(pages: CardPages) -> None:
    found = Addresses(pages.html)

    assert {each.partition(":")[0] for each in found.named if not each.startswith("#")} == {"data"}
    assert not {"script", "link", "iframe"} & found.tags
    assert not re.search(r"https?://|@import|url\(", pages.html)


def test_every_source_that_is_named_is_there(pages: CardPages) -> None:
    found = Addresses(pages.html)
    inner = {each[1:] for each in found.named if each.startswith("#")}

    assert inner <= found.anchors
    assert len(inner) > 15


def test_every_table_names_its_source(pages: CardPages) -> None:
    listed = set(re.findall(r"(?m)^\| ([^|]+) \| `", pages.markdown))
    named = re.findall(r"(?m)^Source: \[(.*?)\]\(#sources\)$", pages.markdown)

    assert len(named) == pages.html.count("<figure class=")
    assert set(named) <= listed


def test_a_source_is_a_file_of_the_run_with_its_digest(desk: Desk, pages: CardPages) -> None:
    from retrim.files import file_digest

    folder = stored_bundle(desk.workspace, 1)
    found = re.findall(r"`runs:/run1/bundle/(.*?)` \| ([0-9a-f]{64})", pages.markdown)

    assert ("verdict/verdict.json", file_digest(folder / "verdict" / "verdict.json")) in found
    assert all(file_digest(folder / name) == digest for name, digest in found)


def test_every_check_of_the_gate_stands_in_it(desk: Desk, pages: CardPages) -> None:
    verdict = Exhibits(stored_bundle(desk.workspace, 1)).verdict
    rows = re.findall(r"(?m)^\| (.*?) \| (passed|failed|reported) \|", pages.markdown)

    assert [(name.replace("\\", ""), word) for name, word in rows] == [
        (check.name, mark_of(check)) for check in verdict.checks
    ]


def test_the_check_that_was_made_since_stands_in_it(pages: CardPages) -> None:
    since = pages.markdown.partition("## Since it went live")[2].partition("\n## ")[0]

    assert re.search(r"\b1 check\b", since)
    assert "| 2024-01-17 00:00 |" in since


def test_what_a_person_says_stands_in_it_as_text(tmp_path: Path) -> None:
    said = {"purpose": "<b>fleet</b> | desk plans *tomorrow*, not for [prices](x)"}
    desk = twelve_days(tmp_path, changes={"card": said})
    pages = make_card(desk.workspace, 1, pictures={})

    assert "&lt;b&gt;fleet&lt;/b&gt; | desk" in pages.html
    assert r"\<b\>fleet\</b\> \| desk plans \*tomorrow\*, not for \[prices\](x)" in pages.markdown


def test_what_was_added_to_the_envelope_is_shown_whatever_it_is(tmp_path: Path) -> None:
    desk = twelve_days(tmp_path)
    add = desk.workspace.store.add_to_envelope
    record = {"by": "a | b", "deep": {"why": "<i>"}, "passed": True}
    add(desk.workspace.model, 1, kind="odd_kind", name="x", at="2024-01-20T00:00:00+00:00", record=record)
    checks = [{"name": "size", "passed": False, "figure": 3.0, "extra": None}]
    add(
        desk.workspace.model,
        1,
        kind="release_checks",
        name="y",
        at="2024-01-20T00:00:00+00:00",
        record={"checks": checks},
    )
    pages = make_card(desk.workspace, 1, pictures={})

    assert "## odd kind" in pages.markdown
    assert r"- **by**: a \| b" in pages.markdown
    assert r"- **deep.why**: \<i\>" in pages.markdown
    assert "| size | no | 3 | - |" in pages.markdown


def test_a_card_is_kept_beside_the_bundle_with_its_digests_once(tmp_path: Path) -> None:
    from hashlib import sha256

    desk = twelve_days(tmp_path)
    keep_card(desk.workspace, 1, now=desk.day(17))
    kept = dict(desk.shelf.beside[1])
    desk.workspace.store.add_to_envelope(
        desk.workspace.model, 1, kind="approval", name="late", at="2024-01-20T00:00:00+00:00", record={"by": "a"}
    )
    keep_card(desk.workspace, 1, now=desk.day(18))
    (row,) = desk.workspace.store.envelope(desk.workspace.model, 1, kind="card")

    assert set(kept) == {MARKDOWN, HTML}
    assert desk.shelf.beside[1] == kept
    assert row.record["markdown"] == {"path": MARKDOWN, "sha256": sha256(kept[MARKDOWN]).hexdigest()}


def test_a_version_that_was_refused_has_a_card_too(tmp_path: Path) -> None:
    desk = twelve_days(tmp_path)
    desk.make_version(16, promote=False)
    pages = make_card(desk.workspace, 2, pictures={})

    assert "- **status**: never live: " in pages.markdown
    assert "No check has run while this version was live." in pages.markdown


def test_the_card_of_a_final_fit_has_the_figures_of_the_judged_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("retrim.stages.compare.AgreementParams", lambda: AgreementParams(difference=1.0, loss=0.5))
    first = make_run_directory(tmp_path / "first", stream(480)).run()
    again = make_run_directory(tmp_path / "again", stream(480), retrain={"refit_after": True}).run()
    desk = twelve_days(tmp_path / "desk")
    cards = []
    for made in (first, again):
        write_folder(desk.shelf.folders[1], made.bundle)
        with desk.workspace.store.begin() as connection:
            digest = folder_digest(desk.shelf.folders[1])
            connection.execute(sa.update(VERSIONS).values(bundle=digest, verdict=made.record("verdict/verdict.json")))
        cards.append(make_card(desk.workspace, 1, pictures={}).markdown)
    seen = f"{again.record('verdict/verdict.json')['final']['training']['loss']:.4g}"

    for heading in ("Metrics", "Calibration"):
        tables = [re.findall(r"(?m)^\|.*$", card.partition(f"## {heading}")[2].partition("\n## ")[0]) for card in cards]
        assert tables[0] == tables[1]
    assert "These figures are those of the judged fit" in cards[1]
    assert f"- **training error of the final fit on these rows**: mae {seen}" in cards[1]
    assert all("training error" in line for line in cards[1].splitlines() if seen in line)


def test_the_first_version_has_a_card_before_anything_went_live(tmp_path: Path) -> None:
    desk = make_desk(tmp_path)
    desk.land(desk.rows(0, 12), 12)
    desk.make_version(12, promote=False)

    assert "- **status**: never live: " in make_card(desk.workspace, 1, pictures={}).markdown


def test_a_bundle_that_was_altered_has_no_card(tmp_path: Path) -> None:
    desk = twelve_days(tmp_path)
    (desk.shelf.folders[1] / "verdict" / "slices.json").write_bytes(b"{}")
    with pytest.raises(RefusedError, match="version 1 was altered"):
        make_card(desk.workspace, 1, pictures={})


def test_a_version_that_is_not_there_has_no_card(desk: Desk) -> None:
    with pytest.raises(BadInputError, match="version 9"):
        make_card(desk.workspace, 9, pictures={})


def test_a_card_is_written_whole_where_it_is_wanted(desk: Desk, pages: CardPages, tmp_path: Path) -> None:
    assert (
        write_card(desk.workspace, 1, to=tmp_path / "card.md", as_html=False).read_text(encoding="utf-8")
        == pages.markdown
    )
    assert (
        write_card(desk.workspace, 1, to=tmp_path / "card.html", as_html=True).read_text(encoding="utf-8") == pages.html
    )


@pytest.mark.parametrize("place", ["", "gone/card.md"])
def test_a_place_that_is_none_is_refused(desk: Desk, tmp_path: Path, place: str) -> None:
    with pytest.raises(BadInputError, match=f"^{re.escape(str(tmp_path / place))} "):
        write_card(desk.workspace, 1, to=tmp_path / place, as_html=False)
