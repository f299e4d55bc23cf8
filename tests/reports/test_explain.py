"""Explaining predictions of a workspace without servers: landed, given and stored ones, and what is refused."""

import json
from pathlib import Path

import pandas as pd
import pytest
import sqlalchemy as sa

from retrim.adapters.migrations.schema import RELEASES
from retrim.checking.score import score
from retrim.errors import BadInputError, RefusedError, UnknownNameError
from retrim.lineage.prediction_log import Role
from retrim.reports.explain import ExplainedRow, explain
from retrim.stats.codec import to_record
from retrim.table.data import assemble
from retrim.table.keys import row_keys
from retrim.training.predicted import UNSEEN
from tests.builders.desk import Desk, make_desk
from tests.builders.landed import read_landed
from tests.builders.predicted import predicted_rows


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Desk:
    """Twelve days have landed, version 1 is live, and two more days were scored by it."""
    made = make_desk(tmp_path_factory.mktemp("explain"), version_at=12)
    made.land(made.rows(12, 14), 14)
    score(made.workspace, now=made.day(14))
    return made


@pytest.fixture(scope="module")
def classes(tmp_path_factory: pytest.TempPathFactory) -> Desk:
    """The same with a target of two classes."""
    return make_desk(tmp_path_factory.mktemp("classes"), task="binary", version_at=12)


def key_of(desk: Desk, day: float) -> str:
    rows = desk.rows(day, day + 1)
    return str(row_keys(rows, desk.workspace.params.data.key, "b").iloc[0])


def features_of(desk: Desk, day: float) -> dict[str, object]:
    row = desk.rows(day, day + 1).iloc[0]
    return {name: None if pd.isna(row[name]) else row[name] for name in desk.workspace.params.data.features}


def ask(desk: Desk, what: str, *, version: int | None = None, asked: str | None = None, at: float = 20) -> ExplainedRow:
    return explain(desk.workspace, what, version=version, asked=asked, now=desk.day(at))


@pytest.mark.parametrize(
    ("what", "says"),
    [
        ("[" * 50_000, "is a row, .*JSON"),
        ('{"a": "\\ud800"}', "is a row, .*JSON"),
        ("[1, 2]", "is an object"),
        ("{", "is a row, .*JSON"),
    ],
)
def test_a_row_that_is_no_json_object_is_bad_input(desk: Desk, what: str, says: str) -> None:
    with pytest.raises(BadInputError, match=says):
        ask(desk, what)


def test_a_version_of_any_number_of_digits_is_bad_input(desk: Desk) -> None:
    with pytest.raises(BadInputError, match=f"key '{key_of(desk, 13)}@9999"):
        ask(desk, f"{key_of(desk, 13)}@{'9' * 5000}")


def test_contributions_of_a_landed_row_sum_to_its_prediction(desk: Desk) -> None:
    found = ask(desk, key_of(desk, 13))
    said = found.explanation

    assert said.base + sum(each.contribution for each in said.added) == pytest.approx(said.output, abs=1e-6)
    assert found.version == 1


def test_contributions_sum_to_the_log_odds_and_these_make_the_probability(classes: Desk) -> None:
    import math

    said = ask(classes, key_of(classes, 11)).explanation

    assert said.base + sum(each.contribution for each in said.added) == pytest.approx(said.score, abs=1e-6)
    assert 1 / (1 + math.exp(-said.score)) == pytest.approx(said.output, abs=1e-12)


def test_the_other_class_of_two_is_explained_by_the_opposite_parts(classes: Desk) -> None:
    positive = ask(classes, key_of(classes, 11)).explanation
    no, yes = positive.outputs
    negative = ask(classes, key_of(classes, 11), asked=no).explanation

    assert (positive.explained, negative.explained) == (yes, no)
    assert negative.score == -positive.score
    assert negative.output == pytest.approx(1 - positive.output)


def test_a_class_that_nobody_knows_is_refused(classes: Desk) -> None:
    with pytest.raises(UnknownNameError, match="unknown class 'maybe'"):
        ask(classes, key_of(classes, 11), asked="maybe")


def test_a_class_of_a_regression_is_refused(desk: Desk) -> None:
    with pytest.raises(BadInputError, match=r"'yes'.*\bregression\b.*--class\b"):
        ask(desk, key_of(desk, 13), asked="yes")


def test_a_row_given_as_json_is_explained_like_the_landed_one(desk: Desk, tmp_path: Path) -> None:
    landed = ask(desk, key_of(desk, 13)).explanation
    text = json.dumps(features_of(desk, 13))
    (tmp_path / "row.json").write_text(text, encoding="utf-8")
    pd.DataFrame([features_of(desk, 13)]).to_csv(tmp_path / "row.csv", index=False)

    assert to_record(ask(desk, text).explanation) == to_record(landed)
    assert ask(desk, str(tmp_path / "row.json")).explanation == landed
    assert ask(desk, str(tmp_path / "row.csv")).explanation == landed


def test_a_stored_prediction_is_explained_by_its_version_from_the_features_as_they_were(tmp_path: Path) -> None:
    desk = make_desk(tmp_path, version_at=12)
    desk.land(desk.rows(12, 14), 14)
    score(desk.workspace, now=desk.day(14))
    key = key_of(desk, 13)
    before = ask(desk, f"{key}@1")
    corrected = desk.rows(13, 13.1).head(1)
    name = next(name for name, kind in desk.workspace.params.data.features.items() if kind == "number")
    desk.land(corrected.assign(**{name: 1e3}), 15)
    then, now = ask(desk, f"{key}@1"), ask(desk, key)

    assert (then.as_of, then.agrees) == ("2024-01-15T00:00:00+00:00", True)
    assert then.explanation == before.explanation
    assert then.lineage is not None
    assert then.lineage.version == 1
    assert then.lineage.bundle == desk.workspace.store.version("generated", 1).bundle  # type: ignore[union-attr]
    by_request = ask(desk, str(then.lineage.request)).lineage
    assert by_request is not None
    assert (by_request.request, by_request.run) == (then.lineage.request, then.lineage.run)
    assert next(each.value for each in now.explanation.added if each.feature == name) == "1000"


@pytest.mark.parametrize(("day", "role"), [(4, "named"), (5, "canary"), (6, "shadow")])
def test_an_answer_of_another_than_the_live_version_is_found_by_its_request(desk: Desk, day: int, role: Role) -> None:
    table = assemble(*read_landed(desk.workspace.landing.root), desk.workspace.params.data, as_of=desk.day(14))
    row = table[table["_key"] == key_of(desk, day)].iloc[0]
    said = predicted_rows([row["_key"]], [7.0], event=row["_event"], at=desk.day(14), request=f"{day:016x}")
    desk.workspace.predictions.of_role(role).add(1, said)
    found = ask(desk, f"{day:016x}")

    assert (found.key, found.version, found.stored) == (row["_key"], 1, 7.0)


def test_a_stored_prediction_that_the_version_would_not_make_is_told(desk: Desk) -> None:
    table = assemble(*read_landed(desk.workspace.landing.root), desk.workspace.params.data, as_of=desk.day(14))
    row = table[table["_key"] == key_of(desk, 3)].iloc[0]
    false = predicted_rows([row["_key"]], [-1e6], event=row["_event"], at=desk.day(14))
    desk.workspace.predictions.add(1, false)

    assert ask(desk, f"{row['_key']}@1").agrees is False


def test_a_key_that_is_not_there_names_the_near_ones(desk: Desk) -> None:
    known = key_of(desk, 13)
    with pytest.raises(BadInputError, match=rf"'{known}0'.*: .*\b{known}\b"):
        ask(desk, f"{known}0")


def test_a_prediction_that_was_not_stored_names_the_near_ones(desk: Desk) -> None:
    with pytest.raises(BadInputError, match=r"version 1 .*; similar keys are "):
        ask(desk, f"{key_of(desk, 2)}@1")


def test_a_prediction_of_two_versions_is_refused(desk: Desk) -> None:
    with pytest.raises(BadInputError, match="refers to version 1, but --version is 2"):
        ask(desk, f"{key_of(desk, 13)}@1", version=2)


def test_a_version_that_is_not_there_is_refused(desk: Desk) -> None:
    with pytest.raises(BadInputError, match="version 7"):
        ask(desk, key_of(desk, 13), version=7)


def test_a_row_that_lacks_a_feature_is_refused_and_names_it(desk: Desk) -> None:
    given = features_of(desk, 13)
    name = next(iter(given))
    del given[name]
    with pytest.raises(BadInputError, match=f"{name} is in each row"):
        ask(desk, json.dumps(given))


def test_a_value_of_another_type_is_refused_and_names_the_column(desk: Desk) -> None:
    name = next(name for name, kind in desk.workspace.params.data.features.items() if kind == "number")
    with pytest.raises(BadInputError, match=f"rule: {name} is"):
        ask(desk, json.dumps(features_of(desk, 13) | {name: "warm"}))


def test_a_level_that_training_never_saw_is_marked_and_taken_for_missing(desk: Desk) -> None:
    name = next(name for name, kind in desk.workspace.params.data.features.items() if kind == "category")
    unseen, missing = (
        ask(desk, json.dumps(features_of(desk, 13) | {name: value})).explanation for value in ("violet", None)
    )

    assert next(each for each in unseen.added if each.feature == name).note == UNSEEN
    assert unseen.score == missing.score


def test_a_file_of_two_rows_is_refused(desk: Desk, tmp_path: Path) -> None:
    pd.DataFrame([features_of(desk, 13)] * 2).to_csv(tmp_path / "two.csv", index=False)
    with pytest.raises(BadInputError, match="has 2 rows"):
        ask(desk, str(tmp_path / "two.csv"))


def test_a_bundle_that_was_altered_explains_nothing(tmp_path: Path) -> None:
    desk = make_desk(tmp_path, version_at=12)
    (desk.shelf.folders[1] / "verdict" / "slices.json").write_bytes(b"{}")
    with pytest.raises(RefusedError, match="version 1 was altered"):
        ask(desk, key_of(desk, 11))


def test_an_altered_release_log_explains_nothing_by_the_live_version(tmp_path: Path) -> None:
    desk = make_desk(tmp_path)
    desk.land(desk.rows(0, 12), 12)
    desk.make_version(12)
    with desk.workspace.store.begin() as connection:
        connection.execute(sa.update(RELEASES).values(reason="another"))
    with pytest.raises(RefusedError, match=r"release log of .* was altered"):
        ask(desk, key_of(desk, 11))
    assert ask(desk, key_of(desk, 11), version=1).version == 1
