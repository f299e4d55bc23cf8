"""Bundles of every format that was ever released still load, and say what they said."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from retrim.adapters.exhibits import Exhibits
from retrim.drift.reference import load_reference
from retrim.errors import BadInputError
from retrim.files import folder_digest, read_folder
from retrim.gate.reference_rows import REFERENCE_ROWS, TOLERANCE, answers_of, farthest
from retrim.gate.verdict import SlicesRecord
from retrim.stats.codec import from_record, to_record
from retrim.training.bundle import (
    FORMAT,
    FORMAT_FILE,
    FitRecord,
    SplitRecord,
    format_of,
    judged_in,
    load_predictor,
)
from retrim.training.predicted import Importance

STORED = Path(__file__).parents[1] / "fixtures" / "bundles"
NUMBERS = sorted(path.name for path in STORED.iterdir() if path.is_dir() and path.name.isdigit())
DOCUMENT = (Path(__file__).parents[2] / "docs" / "reference" / "bundle.md").read_text(encoding="utf-8")


def _without_younger(written: Any, stored: Any) -> Any:
    """What was written, without keys within it that are younger than what was stored."""
    if isinstance(stored, dict):
        return {key: _without_younger(written[key], value) for key, value in stored.items()}
    return written


def test_there_is_one_of_every_format() -> None:
    assert [str(number) for number in range(1, FORMAT + 1)] == NUMBERS


@pytest.mark.parametrize("number", NUMBERS)
class TestAStoredBundle:
    @pytest.fixture
    def files(self, number: str) -> dict[str, bytes]:
        return read_folder(STORED / number / "bundle")

    @pytest.fixture
    def said(self, number: str) -> Any:
        return json.loads((STORED / number / "predictions.json").read_bytes())

    def test_is_what_was_stored(self, number: str, said: Any) -> None:
        assert folder_digest(STORED / number / "bundle") == said["bundle"]

    def test_says_its_format(self, number: str, files: dict[str, bytes]) -> None:
        assert format_of(files) == int(number)

    def test_predicts_rows_it_never_saw_as_it_did_then(self, number: str, files: dict[str, bytes], said: Any) -> None:
        predicted = load_predictor(files).predict(pd.read_csv(STORED / number / "rows.csv"))

        assert len(predicted) == len(said["predictions"]) > 0
        assert farthest(predicted, np.array(said["predictions"]).reshape(len(predicted), -1)) <= TOLERANCE

    def test_answers_its_own_reference_rows(self, number: str, files: dict[str, bytes]) -> None:
        reference = pd.read_parquet(STORED / number / "bundle" / REFERENCE_ROWS)

        assert farthest(load_predictor(files).predict(reference), answers_of(reference)) <= TOLERANCE

    def test_keeps_the_profiles_that_a_check_reads(self, number: str, files: dict[str, bytes]) -> None:
        reference = load_reference(files, judged_in(files).folder)

        assert reference is not None
        assert reference.scores is not None

    @pytest.mark.parametrize(
        ("name", "kind"),
        [
            ("models/all/fit.json", FitRecord),
            ("features/split.json", SplitRecord),
            ("verdict/slices.json", SlicesRecord),
            ("verdict/importance.json", Importance),
        ],
    )
    def test_is_read_and_written_key_for_key(
        self, number: str, files: dict[str, bytes], name: str, kind: type[Any]
    ) -> None:
        stored = json.loads(files[name])
        written = to_record(from_record(kind, stored))

        assert _without_younger(written, stored) == stored
        assert set(written) == set(stored)

    def test_can_be_shown(self, number: str) -> None:
        shown = Exhibits(STORED / number / "bundle")

        assert {point.metric for point in shown.points()} >= {"judging_loss"}
        assert shown.parameters()["window"] == shown.winner


def test_a_newer_format_is_refused_before_anything_else_is_looked_at() -> None:
    newer = json.dumps({"kind": "retrim bundle", "format": FORMAT + 1}).encode()

    with pytest.raises(BadInputError, match=rf"format {FORMAT + 1}\b.* {FORMAT}\b"):
        load_predictor({FORMAT_FILE: newer})


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b'{"format": "1"}', b'{"format": 0}'])
def test_a_torn_number_is_bad_input(content: bytes) -> None:
    with pytest.raises(BadInputError, match=r"format\.json"):
        format_of({FORMAT_FILE: content})


def test_every_file_of_a_bundle_is_documented() -> None:
    named = re.findall(r"^\| `([^`]+)` \|", DOCUMENT, re.MULTILINE)
    patterns = [re.escape(name).replace("<challenger>", "[^/]+") for name in named]
    files = read_folder(STORED / str(FORMAT) / "bundle")
    unnamed = [
        name
        for name in files
        if not any(re.fullmatch(pattern + (".+" if pattern.endswith("/") else ""), name) for pattern in patterns)
    ]

    assert unnamed == []
