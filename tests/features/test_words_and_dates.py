"""Text and the calendar: figures by hand, and what scikit-learn's weights say."""

import numpy as np
import pytest

from retrim.features.step import STEPS
from tests.builders.one import learn, made, past, words

NOTES = words("ring the bell", "leave at the gate", "beware the dog", "Ring, the BELL!", "dog at gate", None)


def test_weights_of_words_are_those_of_scikit_learn() -> None:
    from sklearn.decomposition import TruncatedSVD
    from sklearn.feature_extraction.text import TfidfVectorizer

    texts = [text for text in NOTES if text is not None]
    weights = TfidfVectorizer().fit_transform([*texts, ""])
    ours = np.column_stack(list(made("text_tfidf", past({"note": NOTES}), words=99, components=3, seed=7).values()))
    theirs = TruncatedSVD(3, algorithm="arpack").fit_transform(weights)

    # Axes have no sign; distances between texts do not depend on it.
    assert ours[:5] @ ours[:5].T == pytest.approx(theirs[:5] @ theirs[:5].T, abs=1e-6)


def test_texts_alike_are_alike_and_others_are_not() -> None:
    found = np.column_stack(list(made("text_hash", past({"note": NOTES}), buckets=64, components=3, seed=7).values()))

    assert found[0] == pytest.approx(found[3])
    assert np.abs(found[0] - found[4]).max() > 0.3


def test_a_text_without_a_known_word_is_nought_and_a_missing_one_missing() -> None:
    found = made("text_tfidf", past({"note": NOTES}), {"note": words("zzz", "", None)}, words=5, components=1, seed=7)

    assert np.array_equal(found["note:text1"], [0, 0, np.nan], equal_nan=True)


def test_there_are_as_many_components_as_declared_also_where_words_are_fewer() -> None:
    found = made("text_tfidf", past({"note": words("dog", "dog")}), words=9, components=3, seed=7)

    assert list(found) == ["note:text1", "note:text2", "note:text3"]
    assert np.abs(found["note:text1"]) == pytest.approx([1, 1])


def times(*texts: str) -> np.ndarray:
    return np.array(texts, dtype="datetime64[us]")


def test_parts_of_the_calendar_are_those_of_the_zone() -> None:
    # 23:30 UTC on Friday 1 March is 0:30 on Saturday the 2nd in Berlin.
    found = made(
        "calendar", past({"at": times("2024-03-01T23:30")}), parts=("hour", "weekday", "day_of_month"), circle=False,
        zone="Europe/Berlin",
    )  # fmt: skip

    assert found == {"at:hour": [0], "at:weekday": [5], "at:day_of_month": [2]}


def test_on_a_circle_six_is_a_quarter_and_the_last_hour_lies_beside_the_first() -> None:
    asked = times("2024-03-01T00:00", "2024-03-01T06:00", "2024-03-01T23:00")
    found = made("calendar", past({"at": asked}), parts=("hour",), circle=True, zone="UTC")
    circle = np.column_stack([found["at:hour:cos"], found["at:hour:sin"]])

    assert circle[:2] == pytest.approx(np.array([[1, 0], [0, 1]]))
    assert np.hypot(*(circle[2] - circle[0])) == pytest.approx(2 * np.sin(np.pi / 24))


def test_holidays_are_those_of_the_country_and_the_zone() -> None:
    # 4 July; its eve in New York although it is the 4th in UTC; three days after; far from any.
    asked = times("2024-07-04T12:00", "2024-07-04T02:00", "2024-07-07T12:00", "2024-08-10T12:00")
    found = made("holidays", past({"at": asked}), country="US", zone="America/New_York")

    assert found == {"at:holiday": [1, 0, 0, 0], "at:to_holiday": [0, 1, 3, 7]}


def test_holidays_are_known_for_years_to_come_and_not_for_ever() -> None:
    state = learn("holidays", past({"at": times("2024-07-04T12:00")}), country="US", zone="UTC").state
    found = STEPS["holidays"].apply({"at": times("2040-12-25T12:00", "2099-12-25T12:00")}, state)

    assert np.array_equal(found["at:holiday"], [1, np.nan], equal_nan=True)


@pytest.mark.parametrize(
    ("country", "said"), [("XX", "'XX' is not a known country"), ("DE-ZZ", "DE has no subdivision 'ZZ'")]
)
def test_a_country_that_nobody_knows_is_refused(country: str, said: str) -> None:
    from tests.builders.tables import step

    with pytest.raises(ValueError, match=said):
        step("holidays", country=country)
