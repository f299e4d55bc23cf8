"""The index of the landing zone: it answers as the landed files would, whatever became of it."""

import errno
import resource
import shutil
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from retrim.adapters import landing_index
from retrim.adapters.landing_index import FOLDER, LandingIndex
from retrim.adapters.landing_zone import Landing
from retrim.reading import landed
from retrim.reading.landed import Kind, hash_file, landed_files

NOON = pd.Timestamp("2024-05-01T12:00:00Z")
KEYS = st.lists(st.text(alphabet="ab|\\\u00e9\u6f22", max_size=3), unique=True, max_size=6)


def land(zone: Path, keys: Sequence[str], number: int, kind: Kind = "rows") -> Path:
    landing = Landing(zone)
    frame = pd.DataFrame({"_key": pd.Series(keys, dtype="str"), "x": 1.0})
    facts: dict[str, Any] = {"arrived": NOON + pd.Timedelta(number, "D"), "correction": False, "released": ""}
    with landing.locked():
        return landing.land(kind, frame, digest=f"{number:064x}"[::-1], **facts)


def known(zone: Path, *keys: str, kind: Any = "rows") -> list[bool]:
    found: list[bool] = Landing(zone).known(pd.Series(keys, dtype="str"), kind=kind, surely=True).tolist()
    return found


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(batches=st.lists(KEYS, max_size=6), asked=KEYS)
def test_a_key_is_known_when_a_landed_file_holds_it(tmp_path: Path, batches: list[list[str]], asked: list[str]) -> None:
    zone = tmp_path / "zone"
    shutil.rmtree(zone, ignore_errors=True)
    for number, keys in enumerate(batches):
        land(zone, keys, number)

    assert known(zone, *asked) == [any(key in keys for keys in batches) for key in asked]


def test_keys_of_rows_and_of_labels_are_told_apart(tmp_path: Path) -> None:
    land(tmp_path, ["a"], 0)
    land(tmp_path, ["b"], 1, kind="labels")

    assert (known(tmp_path, "a", "b"), known(tmp_path, "a", "b", kind="labels")) == ([True, False], [False, True])


def lose(zone: Path) -> None:
    shutil.rmtree(zone / FOLDER)


def tear(zone: Path) -> None:
    manifest = zone / FOLDER / landing_index.MANIFEST
    manifest.write_bytes(manifest.read_bytes()[:-20])


def lose_the_hashes(zone: Path) -> None:
    for path in (zone / FOLDER).glob("*.npy"):
        path.unlink()


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "cut": lambda content: content[:-8],
    "empty": lambda _: b"",
    "an archive": lambda content: b"PK\x03\x04" + content[4:],
    "a garbled head": lambda content: content.replace(b"}", b" ", 1),
}
"""What becomes of a file of hashes."""


def damage_hashes(zone: Path, *, damage: Callable[[bytes], bytes]) -> None:
    for path in (zone / FOLDER).glob("*.npy"):
        path.write_bytes(damage(path.read_bytes()))


def hash_otherwise(zone: Path) -> None:
    manifest = zone / FOLDER / landing_index.MANIFEST
    manifest.write_text(manifest.read_text().replace('"hash": "', '"hash": "0'))


def be_killed_before_it_is_written(zone: Path) -> None:
    kept = (zone / FOLDER / landing_index.MANIFEST).read_bytes()
    land(zone, ["d"], 3)
    (zone / FOLDER / landing_index.MANIFEST).write_bytes(kept)


@pytest.mark.parametrize(
    "harm",
    [
        lose,
        tear,
        lose_the_hashes,
        *(pytest.param(partial(damage_hashes, damage=damage), id=name) for name, damage in DAMAGES.items()),
        hash_otherwise,
        be_killed_before_it_is_written,
    ],
)
def test_an_index_that_is_lost_damaged_or_behind_is_made_anew(tmp_path: Path, harm: Callable[[Path], None]) -> None:
    for number, keys in enumerate((["a"], ["b"], ["c"])):
        land(tmp_path, keys, number)
    harm(tmp_path)
    there = len(landed_files(tmp_path))

    assert known(tmp_path, "a", "b", "c", "d", "e") == [True, True, True, there == 4, False]


def test_hashes_that_could_not_be_written_whole_are_not_there(tmp_path: Path) -> None:
    land(tmp_path, ["a"], 0)
    there = {path.name: path.read_bytes() for path in (tmp_path / FOLDER).iterdir()}

    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (30_000, before[1]))  # bytes: the batch has 15,000, its hashes 40,000
    try:
        with pytest.raises(OSError, match="too large") as raised:
            land(tmp_path, [f"{number:05}" for number in range(5000)], 1)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)

    assert raised.value.errno == errno.EFBIG
    assert {p.name: p.read_bytes() for p in (tmp_path / FOLDER).iterdir() if p.name[0] != "."} == there


def test_a_file_that_was_removed_is_not_known_any_more(tmp_path: Path) -> None:
    path = land(tmp_path, ["a"], 0)
    land(tmp_path, ["b"], 1)
    path.unlink()
    hash_file(path).unlink()

    assert known(tmp_path, "a", "b") == [False, True]
    assert [batch.arrived for batch in Landing(tmp_path).batches()] == [NOON + pd.Timedelta(1, "D")]


def test_a_file_that_was_linked_in_is_known(tmp_path: Path) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    path = land(here, ["a"], 0)
    land(there, ["b"], 1)
    link = there / path.relative_to(here)
    link.parent.mkdir()
    link.hardlink_to(path)

    assert known(there, "a", "b") == [True, True]


def test_facts_from_the_index_are_those_in_the_files(tmp_path: Path) -> None:
    for number in range(3):
        land(tmp_path, [str(number)], number, kind="labels" if number == 1 else "rows")

    assert LandingIndex(tmp_path).batches() == landed_files(tmp_path)


def test_two_keys_of_one_hash_are_told_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(landing_index, "hash_keys", lambda keys: np.ones(len(keys), dtype="uint64"))
    land(tmp_path, ["a"], 0)

    assert known(tmp_path, "a", "b") == [True, False]


def test_the_thousandth_batch_is_landed_without_opening_the_ones_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(40):
        land(tmp_path, [str(number)], number)
    opened: list[Path] = []
    read, facts = landed.check_whole, landing_index.facts_of
    monkeypatch.setattr(landed, "check_whole", lambda path: (opened.append(path), read(path)))
    monkeypatch.setattr(landing_index, "facts_of", lambda path: (opened.append(path), facts(path))[1])

    assert known(tmp_path, "new") == [False]
    assert opened == []
    land(tmp_path, ["new"], 40)
    assert len(opened) == 1


def test_few_files_of_hashes_hold_many_batches(tmp_path: Path) -> None:
    for number in range(40):
        land(tmp_path, [str(number)], number)

    assert len(list((tmp_path / FOLDER).glob("*.npy"))) <= np.log2(40) + 1


def test_an_index_that_is_made_anew_merges_many_files_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(12):
        land(tmp_path, [f"k{number}", f"l{number}", "both"], number)
    shutil.rmtree(tmp_path / FOLDER)
    monkeypatch.setattr(landing_index, "MERGED", 9)
    sizes: list[int] = []
    merge = LandingIndex._merge

    def noted(index: LandingIndex, manifest: Any, kind: Any, hashed: np.ndarray) -> None:
        sizes.append(len(hashed))
        merge(index, manifest, kind, hashed)

    monkeypatch.setattr(LandingIndex, "_merge", noted)

    assert known(tmp_path, "k0", "l11", "both", "k12") == [True, True, True, False]
    assert sizes == [12, 12, 12]
    assert sum(size for _, size in LandingIndex(tmp_path).read().runs["rows"]) == 25


def test_batches_are_listed_once_while_nothing_else_can_land(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    land(tmp_path, ["a"], 0)
    listed: list[int] = []
    batches = LandingIndex.batches

    def noted(index: LandingIndex) -> list[Any]:
        found = batches(index)
        listed.append(len(found))
        return found

    monkeypatch.setattr(LandingIndex, "batches", noted)
    landing = Landing(tmp_path)
    frame = pd.DataFrame({"_key": pd.Series(["b"], dtype="str"), "x": 1.0})
    with landing.locked():
        assert len(landing.batches()) == len(landing.batches()) == 1
        landing.land("rows", frame, digest="b" * 64, arrived=NOON, correction=False, released="")
        assert len(landing.batches()) == 2
    assert listed == [1, 2]

    land(tmp_path, ["c"], 2)
    assert len(landing.batches()) == 3
    with landing.locked():
        assert len(landing.batches()) == 3
