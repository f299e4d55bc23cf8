"""`retrim ingest` of a large file: what it says, what it ends with, and its record."""

import json
import re
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from retrim.cli.main import main
from retrim.yaml_files import dump_yaml
from tests.builders.desk import Desk
from tests.landing.test_take_in import PIECE_MB, fresh, set_pieces

Ask = Callable[..., tuple[int, str, str]]


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    """A workspace with a large file whose fourth day is out of bounds, and one that is in order."""
    set_pieces(monkeypatch, PIECE_MB)
    desk = fresh(tmp_path / "workspace")
    root = desk.workspace.paths.root
    params = dump_yaml(desk.workspace.params.as_stated())
    (root / "params.yaml").write_text(params, encoding="utf-8")
    (root / "dvc.yaml").touch()
    rows = desk.rows(0, 8)
    rows.to_csv(root / "good.csv", index=False)
    rows.assign(level=rows["level"].where(rows.index != 80, 2000.0)).to_csv(root / "bad.csv", index=False)
    return desk


@pytest.fixture
def ask(desk: Desk, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Ask:
    def call(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.chdir(desk.workspace.paths.root)
        monkeypatch.setattr(sys, "argv", ["retrim", "ingest", *arguments, "--arrived", "2024-02-01"])
        with pytest.raises(SystemExit) as ended:
            main()
        return (int(ended.value.code or 0), *capsys.readouterr())

    return call


def test_it_says_so_first_and_gives_a_line_a_batch(ask: Ask) -> None:
    code, out, err = ask("good.csv")
    first, *lines = out.splitlines()

    assert (code, err) == (0, "")
    assert [name in first for name in ("good.csv", "192 rows", f" {len(lines)} batches")] == [True] * 3
    assert lines[1].startswith("landed: ")
    assert f", chunk 2 of {len(lines)}, from row " in lines[1]


def test_one_piece_set_aside_ends_with_2_and_names_the_row_of_the_file(ask: Ask) -> None:
    code, out, err = ask("bad.csv")

    assert code == 2
    assert "row 80, '2000.0'" in err
    assert out.count("landed: ") == out.count(", chunk ") > 3
    assert err.count("quarantined: ") == 1


def test_its_record_has_a_record_a_batch(ask: Ask) -> None:
    _, out, _ = ask("bad.csv", "--json")
    record = json.loads(out)

    assert record["outcome"] == "quarantined"
    assert {each["of"] for each in record["batches"]} == {record["digest"]}
    assert [each["piece"] for each in record["batches"]] == list(range(1, record["batches"][0]["pieces"] + 1))


def test_what_is_left_out_is_said(ask: Ask, desk: Desk) -> None:
    desk.rows(0, 8).drop(columns="level").to_csv(desk.workspace.paths.root / "other.csv", index=False)
    code, _, err = ask("other.csv")

    assert code == 2
    pieces = re.search(r"chunk 1 of (\d+)", err)
    assert pieces is not None
    assert f" {int(pieces[1]) - 1} chunks " in err


def test_an_ordinary_file_has_the_record_that_it_always_had(ask: Ask, desk: Desk) -> None:
    desk.rows(0, 0.2).to_csv(desk.workspace.paths.root / "small.csv", index=False)
    code, out, _ = ask("small.csv", "--json")

    assert code == 0
    assert set(json.loads(out)) == {"outcome", "batch", "kind", "digest", "rows", "path", "faults", "verdict", "notes"}
