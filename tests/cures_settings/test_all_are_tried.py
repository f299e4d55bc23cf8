"""Every text of the source that names a setting is tried, or it is said why it is not."""

import re
from functools import cache

import pytest

from tests.builders.printed import Printed, printed, refusals
from tests.cures_settings.test_advice import ACCEPTED, APART
from tests.cures_settings.test_cures_settings import CASES

TRIED = (*(case.says for case in CASES), *ACCEPTED, *APART)
DESCRIBES = {
    "left out by data.rows": "counts rows, in the audit and after a score",
    "removed; declared, reading.trim: true": "what init declared",
    "all are converted to UTC; times without a zone are read in reading.zone": "how init takes times",
    "train.balance: null, because the loss judges probabilities": "what init declared, and why",
    "judge.loss: {}": "what init declared",
    "listed in reading.skip, so it is never stored": "what was declared of a column that a profile leaves out",
    "try: the midpoint of tune.space as recipe": "says what goes on",
    "retrain.refit_after: version {} was promoted, and its recipe is fitted on all mature rows": "why a run begins",
    "rows (split.judge_rows) are too few to show its gain": "says what is so; the gate's size tries what would do",
    "by data.task: mae": "says where a default comes from",
    "by train.model: see docs": "says where a default comes from",
    "300 for a forest, else by data.task": "says where a default comes from",
    "half of split.judge_rows": "says where a default comes from",
    "a quarter of gain.rows_per_check": "says where a default comes from",
    "half of gain.rows_per_check, but at least 20": "says where a default comes from",
    "a quarter of tune.trials": "says where a default comes from",
    "length of gate.season": "says where a default comes from",
}
"""Pieces of texts that name a setting to say what is so, and advise nothing."""
COMPUTED = (
    "a fit is missing in the loss matrix",
    "is not among the stored estimators",
    "the changed settings keep none of the rows that the current settings keep",
    "rows had a label due before the first holdout row under the changed settings",
    "is registered twice",
    "rows are too few for",
    "had a label due before the",
    "would be left to fit on, because",
)
"""Refusals of what is computed with, and of no setting; what catches them says what to set."""
NEVER_SAID = {
    "it has no %": "put into the text beside it",
    "{} has {} fields, but a cron expression has 5; write minute, hour, day, month, weekday": (
        "what has other than five fields is taken for a span before"
    ),
}
"""Pieces of refusals of settings that nobody meets by themselves."""
TEXTS = [each for each in printed() if each.settings()]
REFUSALS = [each for each in refusals() if not each.settings() and not any(said in each.text for said in COMPUTED)]
"""Refusals of settings that name the key after their section: pydantic sets that before them."""


def is_name(text: str) -> bool:
    """A setting and nothing else: code asks for it, or it is put into another text."""
    return re.fullmatch(r"[\w.{}]+", text) is not None


def is_piece(piece: str, text: str) -> bool:
    """Whether a piece is of this text; one of hardly more than a setting has to be all of it."""
    return piece == text if is_short(piece) else piece in text


@cache
def is_short(piece: str) -> bool:
    return len(re.sub(r"\w+(\.[\w{}]+)+|\{\}|\W", " ", piece).split()) < 2


def why_not(text: Printed) -> str:
    """Why a text need not be tried; empty where it has to be."""
    if is_name(text.text):
        return "it is the name of a setting"
    if text.describes or (text.file.startswith("src/retrim/cli") and text.text.startswith("retrim ")):
        return "it is the help of a command, an example below it, or the description of a field"
    if "declared, " in text.text and text.file.startswith(("src/retrim/onboarding/", "src/retrim/profile/")):
        return "it says what init declared"
    return next((reason for piece, reason in DESCRIBES.items() if is_piece(piece, text.text)), "")


@pytest.mark.parametrize("text", TEXTS, ids=lambda text: f"{text.file}:{text.line}")
def test_a_text_that_names_a_setting_is_tried_or_only_describes(text: Printed) -> None:
    tried = [piece for piece in TRIED if is_piece(piece, text.text)]

    assert bool(tried) != bool(why_not(text)), f"{text}\ntried: {tried}\nnot to be tried: {why_not(text)}"


@pytest.mark.parametrize("text", REFUSALS, ids=lambda text: f"{text.file}:{text.line}")
def test_a_refusal_of_a_setting_is_tried(text: Printed) -> None:
    tried = [piece for piece in TRIED if is_piece(piece, text.text)]

    assert bool(tried) != (text.text in NEVER_SAID), str(text)


@pytest.mark.parametrize("piece", dict.fromkeys([*TRIED, *DESCRIBES]), ids=lambda piece: piece[:60])
def test_what_is_tried_or_excepted_is_printed_somewhere(piece: str) -> None:
    assert [text for text in printed() if is_piece(piece, text.text)] != []


def test_most_of_what_names_a_setting_is_tried() -> None:
    """Exceptions are names, help and init's own report; whatever else is printed is done."""
    tried = [text for text in TEXTS if not why_not(text)]

    assert len(tried) >= 130
    assert len(REFUSALS) >= 90
