"""How somebody's table is spelled: recognised, said, declared, and then read by landing as it was meant."""

import re
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from retrim.errors import BadInputError, RefusedError, UnknownNameError
from retrim.onboarding.draft import WorkspaceDraft
from retrim.reading.raw import read_raw
from retrim.reading.table import read_content
from tests.builders.raw_tables import ROWS, csv, hours, looked_at, said, table


def landed(content: bytes, drafted: WorkspaceDraft) -> pd.DataFrame:
    """The rows as landing reads them under what was declared."""
    reading = read_content(content, drafted.data, labels=False, reading=drafted.reading)

    assert reading.faults == ()
    assert reading.frame is not None
    return reading.frame


def test_a_plain_table_needs_nothing_declared() -> None:
    drafted = looked_at(csv(table()))

    assert drafted.reading.model_dump(exclude={"calendar"}) == {
        "encoding": "utf-8", "separator": ",", "decimal": ".", "thousands": "", "missing": (),
        "dates": {}, "zone": "UTC", "skip": (), "arrival": None,
    }  # fmt: skip


def test_blanks_around_a_name_are_kept_and_told() -> None:
    drafted = looked_at(csv(table().rename(columns={"km": " km"})))

    assert " km" in drafted.data.columns
    assert "' km'" in said(drafted, "names")


class TestNumbers:
    def test_a_decimal_comma_is_declared_and_read(self) -> None:
        content = csv(table(), sep=";", decimal=",")
        drafted = looked_at(content)

        assert (drafted.reading.separator, drafted.reading.decimal) == (";", ",")
        assert said(drafted, "decimal comma")
        assert landed(content, drafted)["km"].to_list() == table()["km"].to_list()

    @pytest.mark.parametrize(("sign", "decimal"), [(",", "."), (".", ","), (" ", ","), ("'", ".")])
    def test_a_sign_between_thousands_is_declared_and_read(self, sign: str, decimal: str) -> None:
        metres = pd.Series(np.random.default_rng(7).integers(900, 2_000_000, ROWS) / 100)
        swap = str.maketrans(",.", sign + decimal)
        content = csv(table(metres=metres.map(lambda value: f"{value:,.2f}".translate(swap))), sep=";", decimal=decimal)
        drafted = looked_at(content)

        assert (drafted.reading.thousands, drafted.reading.decimal) == (sign, decimal)
        assert "declared" in said(drafted, "thousands separator")
        assert landed(content, drafted)["metres"].to_list() == metres.to_list()

    def test_null_as_text_is_a_missing_cell(self) -> None:
        frame = table()
        frame["km"] = frame["km"].astype("str").mask(frame.index % 10 == 3, "NULL")
        drafted = looked_at(csv(frame))

        assert drafted.reading.missing == ("NULL",)
        assert f"{ROWS // 10} times" in said(drafted, "missing")
        assert landed(csv(frame), drafted)["km"].isna().sum() == ROWS // 10

    def test_a_word_among_numbers_is_a_missing_cell_however_often(self) -> None:
        km = table()["km"].astype("str").mask(pd.Series(range(ROWS)) % 3 == 2, "none")
        drafted = looked_at(csv(table(km=km)))

        assert drafted.reading.missing == ("none",)
        assert drafted.data.columns["km"].type == "number"

    def test_a_word_for_a_missing_number_that_is_a_category_too_is_said(self) -> None:
        km = table()["km"].astype("str").mask(pd.Series(range(ROWS)) % 9 == 2, "none")
        drafted = looked_at(csv(table(km=km, extras=np.random.default_rng(7).choice(["none", "lid"], ROWS))))

        assert [note.weight for note in drafted.notes if note.about == "missing"] == ["warn"]

    @pytest.mark.parametrize("word", ["none", "high"])
    def test_a_class_of_the_target_is_no_missing_cell(self, word: str) -> None:
        kids = pd.Series(range(ROWS)).mod(5).astype("str").mask(pd.Series(range(ROWS)) % 100 == 2, word)
        frame = table(kids=kids, risk=np.random.default_rng(7).choice([word, "low", "mid"], ROWS))
        drafted = looked_at(csv(frame), target="risk")

        assert drafted.data.task == "multiclass"
        assert landed(csv(frame), drafted)["risk"].to_list() == frame["risk"].to_list()
        assert drafted.data.columns["kids"].type == "category"
        assert f"such as {word!r}" in said(drafted, "mixed")

    def test_a_missing_label_that_numbers_show_too_stays_one(self) -> None:
        kids = pd.Series(range(ROWS)).mod(5).astype("str").mask(pd.Series(range(ROWS)) % 100 == 2, "NA")
        frame = table(kids=kids, risk=np.random.default_rng(7).choice(["NA", "low", "mid"], ROWS))
        drafted = looked_at(csv(frame), target="risk")

        assert (drafted.data.task, drafted.reading.missing) == ("binary", ("NA",))

    def test_a_country_called_na_stays_a_category(self) -> None:
        country = np.random.default_rng(7).choice(["NA", "DE", "ZA"], ROWS)
        drafted = looked_at(csv(table(country=country)))

        assert drafted.reading.missing == ()
        assert set(drafted.frame["country"]) == {"NA", "DE", "ZA"}


class TestOneColumnOfBothSigns:
    def test_is_no_number_and_that_is_said(self) -> None:
        km = (
            table()["km"]
            .map(lambda value: f"{value:.2f}")
            .where(np.arange(ROWS) % 4 > 0, table()["km"].map(lambda value: f"{value:.2f}".replace(".", ",")))
        )
        drafted = looked_at(csv(table(km=km)))

        assert drafted.data.columns["km"].type == "category"
        assert "km: " in said(drafted, "mixed")


class TestText:
    def test_blanks_around_text_are_cut_off(self) -> None:
        weather = table()["weather"].where(np.arange(ROWS) % 3 > 0, table()["weather"] + "  ")
        drafted = looked_at(csv(table(weather=weather)))

        assert set(landed(csv(table(weather=weather)), drafted)["weather"]) == {"dry", "rain"}

    def test_blanks_around_numbers_and_times_are_cut_off(self) -> None:
        at, km = (column.astype("str").map(lambda cell: f" {cell} ") for column in (hours(), table()["km"]))
        content = csv(table(at=at, km=km))
        drafted = looked_at(content)

        assert landed(content, drafted)["km"].to_list() == table()["km"].to_list()

    def test_booleans_spelled_several_ways_are_said_to_be_several(self) -> None:
        paid = np.random.default_rng(7).choice(["yes", "no", "Yes", "NO"], ROWS)

        assert "category with 4 values" in said(looked_at(csv(table(paid=paid))), "boolean")

    @pytest.mark.parametrize(("yes", "no"), [("true", "false"), ("Yes", "No"), ("Y", "N"), ("ja", "nein")])
    def test_booleans_as_words_are_a_category_of_two(self, yes: str, no: str) -> None:
        paid = np.random.default_rng(7).choice([yes, no], ROWS)
        drafted = looked_at(csv(table(paid=paid)))

        assert drafted.data.columns["paid"].type == "category"
        assert repr(yes) in said(drafted, "boolean")

    def test_latin_letters_in_another_encoding_are_read(self) -> None:
        content = csv(table(ort=np.random.default_rng(7).choice(["Köln", "Bonn"], ROWS))).decode().encode("cp1252")
        drafted = looked_at(content)

        assert drafted.reading.encoding == "cp1252"
        assert set(landed(content, drafted)["ort"]) == {"Köln", "Bonn"}


class TestNamesOfRows:
    def test_a_number_that_counts_the_rows_is_the_key_and_no_feature(self) -> None:
        drafted = looked_at(csv(table(order=np.arange(ROWS) + 5000)))

        assert drafted.data.key == ("order",)
        assert "order" not in drafted.data.features
        assert "order: " in said(drafted, "id")

    def test_digits_with_a_leading_zero_are_a_category(self) -> None:
        post = pd.Series(np.random.default_rng(7).choice(["01067", "50667", "80331"], ROWS))
        drafted = looked_at(csv(table(post=post)))

        assert drafted.data.columns["post"].type == "category"
        assert set(drafted.frame["post"]) == set(post)

    def test_a_number_called_an_id_is_a_category(self) -> None:
        drafted = looked_at(csv(table(shop_id=np.random.default_rng(7).integers(100, 106, ROWS))))

        shop = drafted.data.columns["shop_id"]
        assert (shop.type, shop.role) == ("category", "feature")
        assert [note.column for note in drafted.notes if note.about == "id"] == ["shop_id"]

    def test_a_number_too_long_for_a_float_is_no_number(self) -> None:
        serial = (np.random.default_rng(7).integers(0, 9, ROWS) + 10**17).astype("str")
        drafted = looked_at(csv(table(serial=serial)))

        assert drafted.data.columns["serial"].type == "category"

    def test_an_id_that_comes_twice_is_said_to_nearly_name_the_rows(self) -> None:
        order = np.where(np.arange(ROWS) % 50 == 1, np.arange(ROWS) - 1, np.arange(ROWS))
        drafted = looked_at(csv(table(order_id=order)))

        assert drafted.data.key == ("at",)
        assert "8 repeat a value" in said(drafted, "id")


class TestTimes:
    @pytest.mark.parametrize(
        "form", ["%d/%m/%Y %H:%M", "%m/%d/%Y %H:%M", "%d.%m.%Y %H:%M:%S", "%b %d, %Y %I:%M %p", "%Y/%m/%d %H:%M"]
    )
    def test_a_format_is_declared_and_read(self, form: str) -> None:
        content = csv(table(at=hours().dt.strftime(form)))
        drafted = looked_at(content)

        assert drafted.reading.dates == {"at": (form,)}
        assert landed(content, drafted)["at"].to_list() == hours().dt.as_unit("us").to_list()

    def test_three_formats_in_one_column_are_read_and_said(self) -> None:
        forms = ["%Y-%m-%dT%H:%M:%S", "%d.%m.%Y %H:%M", "%b %d, %Y %H:%M"]
        mixed = pd.Series([time.strftime(forms[place % 3]) for place, time in enumerate(hours())])
        content = csv(table(at=mixed))
        drafted = looked_at(content)

        assert len(drafted.reading.dates["at"]) == 3
        assert "3 formats" in said(drafted, "dates")
        assert landed(content, drafted)["at"].to_list() == hours().dt.as_unit("us").to_list()

    def test_day_and_month_that_could_be_exchanged_are_said(self) -> None:
        days = pd.Series(pd.date_range("2024-01-01", periods=12 * ROWS, freq="1D", tz="UTC"))
        unclear = days[days.dt.day <= 12].iloc[:ROWS].reset_index(drop=True)
        drafted = looked_at(csv(table(at=unclear.dt.strftime("%m/%d/%Y"))))

        (note,) = (note for note in drafted.notes if (note.about, note.weight) == ("dates", "warn"))
        assert "reading.dates" in note.done
        assert {"%d/%m/%Y", "%m/%d/%Y"} <= set(re.findall(r"%\S+\w", f"{note.seen} {note.done}"))

    def test_seconds_since_1970_are_a_time_where_they_are_named(self) -> None:
        seconds = (hours() - pd.Timestamp(0, tz="UTC")) // pd.Timedelta("1s")
        content = csv(table(at=seconds))
        drafted = looked_at(content, event_time="at")

        assert drafted.reading.dates == {"at": ("unix",)}
        assert landed(content, drafted)["at"].to_list() == hours().dt.as_unit("us").to_list()

    def test_mixed_zones_become_utc_and_are_said(self) -> None:
        zones = ["UTC", "Europe/Berlin", "America/New_York"]
        text = [time.tz_convert(zones[place % 3]).isoformat() for place, time in enumerate(hours())]
        drafted = looked_at(csv(table(at=text)))

        assert "+01:00" in said(drafted, "mixed zones")
        assert drafted.frame["at"].to_list() == hours().dt.as_unit("us").to_list()

    def test_offsets_that_are_not_iso_become_utc_and_are_said(self) -> None:
        zones = ["UTC", "Europe/Berlin"]
        text = [
            time.tz_convert(zones[place % 2]).strftime("%d/%m/%Y %H:%M:%S %z") for place, time in enumerate(hours())
        ]
        content = csv(table(at=text))
        drafted = looked_at(content)

        assert "+0000, +0100" in said(drafted, "mixed zones")
        assert landed(content, drafted)["at"].to_list() == hours().dt.as_unit("us").to_list()

    @pytest.mark.parametrize("form", ["%Y-%m-%d %H:%M CET", "week %V of %d/%m/%Y"])
    def test_what_looks_like_times_and_is_in_no_known_format_is_said(self, form: str) -> None:
        drafted = looked_at(csv(table(at=hours().dt.strftime(form))))

        assert drafted.data.columns["at"].type == "category"
        assert [note.column for note in drafted.notes if (note.about, note.weight) == ("dates", "warn")] == ["at"]

    def test_numbers_that_could_be_times_are_named_where_none_is(self) -> None:
        drafted = looked_at(csv(table(at=[1_700_000_000 + 60 * row for row in range(ROWS)])))

        assert "--event-time 'at'" in said(drafted, "no event time")

    def test_a_clock_that_was_put_forward_and_back_names_its_zone(self) -> None:
        rows = 366 * 24
        walls = hours(rows).dt.tz_convert("Europe/Berlin").dt.tz_localize(None)
        drafted = looked_at(csv(table(rows, at=walls.dt.strftime("%Y-%m-%d %H:%M:%S"))))

        assert drafted.reading.zone == "Europe/Berlin"
        assert "daylight" in said(drafted, "daylight saving")
        assert (drafted.frame["at"].to_numpy() == hours(rows).to_numpy()).all()  # the hour that comes twice too
        assert drafted.data.key == ("at",)

    def test_a_year_in_utc_has_no_clock_changes(self) -> None:
        drafted = looked_at(csv(table(366 * 24)))

        assert drafted.reading.zone == "UTC"

    def test_times_shared_by_rows_are_said(self) -> None:
        drafted = looked_at(csv(table(at=hours(ROWS // 4).repeat(4).reset_index(drop=True))))

        assert f"{ROWS - ROWS // 4} of {ROWS} rows" in said(drafted, "ties")

    def test_gaps_are_said_with_the_longest(self) -> None:
        at = hours(ROWS + 200).drop(index=range(100, 300)).reset_index(drop=True)
        drafted = looked_at(csv(table(at=at)))

        assert "1 gaps" in said(drafted, "gaps")
        assert "201h from 2024-01-05" in said(drafted, "gaps")

    def test_without_times_the_order_of_arrival_counts_and_what_is_lost_is_said(self) -> None:
        drafted = looked_at(csv(table(at=None)))

        assert drafted.data.time == drafted.reading.arrival == "arrived at"
        assert "in order of arrival: seasons" in said(drafted, "no event time")

    def test_rows_without_a_time_are_left_out_and_counted(self) -> None:
        at = hours().astype("str").mask(pd.Series(range(ROWS)) < 3, "")
        drafted = looked_at(csv(table(at=at)))

        assert len(drafted.frame) == ROWS - 3
        assert "3 rows" in said(drafted, "missing")


def test_rows_that_come_twice_are_counted() -> None:
    frame = table()
    drafted = looked_at(csv(pd.concat([frame, frame.iloc[:7]])))

    assert "7 rows occur" in said(drafted, "duplicates")


PERSONAL: dict[str, list[str]] = {
    "mail": [f"user{n}@example.org" for n in range(ROWS)],
    "phone": [f"+49 221 {n:03d} {n % 97:02d}" for n in range(ROWS)],
    "last_name": [f"Family{n}" for n in range(ROWS)],
    "home address": [f"{n} Long Street" for n in range(ROWS)],
}


@pytest.mark.parametrize("name", ["mail", "phone", "last_name", "home address"])
class TestAPersonalColumn:
    def test_is_neither_kept_nor_a_feature(self, name: str) -> None:
        drafted = looked_at(csv(table(**{name: PERSONAL[name]})))

        assert drafted.reading.skip == (name,)
        assert name not in drafted.data.columns
        assert name in said(drafted, "personal")

    def test_is_kept_where_that_is_asked_for(self, name: str) -> None:
        drafted = looked_at(csv(table(**{name: PERSONAL[name]})), keep=(name,))

        assert name in drafted.data.features


def test_card_numbers_are_known_by_their_check_digit() -> None:
    from retrim.profile.table import _luhn

    assert _luhn("4539 1488 0343 6467")
    assert not _luhn("4539 1488 0343 6468")


class TestTheTask:
    def test_two_answers_are_binary_and_judged_by_log_loss(self) -> None:
        late = np.where(np.random.default_rng(7).random(ROWS) < 0.04, "yes", "no")
        drafted = looked_at(csv(table(late=late)), target="late")

        assert (drafted.data.task, drafted.data.positive, drafted.aim.loss) == ("binary", "yes", "log_loss")
        assert f" {np.mean(late == 'no'):.1%}, " in drafted.aim.why  # what the naive answer is right in
        assert "average_precision" in drafted.aim.metrics

    def test_a_rare_class_is_told_with_its_share_and_what_is_done_about_it(self) -> None:
        late = np.where(np.random.default_rng(7).random(ROWS) < 0.04, "yes", "no")
        told = said(looked_at(csv(table(late=late)), target="late"), "imbalance")

        assert f"{np.mean(late == 'yes'):.1%} of" in told
        assert "train.balance: null" in told

    def test_several_words_are_classes(self) -> None:
        kind = np.random.default_rng(7).choice(["a", "b", "c"], ROWS)
        drafted = looked_at(csv(table(kind=kind)), target="kind")

        assert drafted.data.task == "multiclass"

    def test_a_target_that_is_mostly_zero_is_judged_by_squares(self) -> None:
        claims = np.where(np.random.default_rng(7).random(ROWS) < 0.7, 0, table()["minutes"])
        drafted = looked_at(csv(table(claims=claims)), target="claims")

        assert drafted.aim.loss == "mse"

    def test_counts_with_many_zeros_are_judged_by_their_deviance(self) -> None:
        calls = np.random.default_rng(7).poisson(0.6, ROWS)
        drafted = looked_at(csv(table(calls=calls)), target="calls")

        assert (drafted.data.task, drafted.aim.loss) == ("regression", "poisson")
        assert re.search(rf" {calls.mean():.2g} .*\bcounts\b", drafted.aim.why)

    def test_a_quantile_is_a_loss_that_a_person_names(self) -> None:
        drafted = looked_at(csv(table()), loss="pinball@0.9")

        assert (drafted.aim.loss, drafted.aim.metrics[0]) == ("pinball@0.9", "pinball@0.9")

    @pytest.mark.parametrize(
        ("loss", "said"),
        [
            ("log_loss", "--loss: metric 'log_loss' does not fit a regression task"),
            ("rmse", "--loss: metric 'rmse' cannot be computed for each row"),
            ("pinball", "--loss: .*pinball needs a quantile between 0 and 1"),
            ("mea", "--loss: unknown metric 'mea'; known: "),
        ],
    )
    def test_a_loss_that_does_not_fit_is_refused(self, loss: str, said: str) -> None:
        with pytest.raises(BadInputError, match=said):
            looked_at(csv(table()), loss=loss)

    def test_a_loss_of_counts_is_refused_where_targets_are_below_zero(self) -> None:
        below = table().assign(minutes=lambda frame: frame["minutes"] - 1000)
        with pytest.raises(BadInputError, match=r"--loss: 'poisson' .* -\d"):
            looked_at(csv(below), loss="poisson")

    def test_few_whole_numbers_are_said_to_be_perhaps_classes(self) -> None:
        stars = np.random.default_rng(7).integers(1, 6, ROWS)
        drafted = looked_at(csv(table(stars=stars)), target="stars")

        assert drafted.data.task == "regression"
        assert "--task multiclass" in said(drafted, "unsure")

    def test_answers_that_are_still_to_come_are_labels_that_come_later(self) -> None:
        frame = table()
        frame.loc[ROWS - 20 :, "minutes"] = np.nan
        drafted = looked_at(csv(frame))

        assert drafted.data.labels == "later"

    def test_a_target_that_never_varies_is_refused(self) -> None:
        with pytest.raises(RefusedError, match="1 distinct value"):
            looked_at(csv(table(same=1)), target="same")

    def test_a_column_that_is_not_there_is_named_with_a_near_one(self) -> None:
        with pytest.raises(UnknownNameError, match="'minutes'"):
            looked_at(csv(table()), target="minuts")

    def test_too_few_rows_are_refused(self) -> None:
        with pytest.raises(RefusedError, match="60 labelled rows"):
            looked_at(csv(table(60)))


class TestLabels:
    def test_the_horizon_comes_from_when_labels_were_known(self) -> None:
        delays = pd.to_timedelta(np.random.default_rng(7).uniform(1, 30, ROWS), unit="h")
        drafted = looked_at(csv(table(known=hours() + delays)), label_time="known", event_time="at")

        assert drafted.data.label_horizon == "2D"

    def test_two_ways_to_say_when_it_is_due_are_one_too_many(self) -> None:
        with pytest.raises(BadInputError, match="--label-due and --horizon"):
            looked_at(csv(table(due=hours())), label_due="due", horizon="1D", event_time="at")

    def test_a_due_time_without_an_event_to_count_from_is_refused(self) -> None:
        with pytest.raises(BadInputError, match="--label-due 'due'"):
            looked_at(csv(table(at=None, due=hours())), label_due="due")


class TestTimesAsPostgreSQLWritesThem:
    def test_are_times(self) -> None:
        berlin = hours().dt.tz_convert("Europe/Berlin").dt.strftime("%Y-%m-%d %H:%M:%S%z").str.removesuffix("00")
        content = csv(table(at=berlin))
        drafted = looked_at(content)

        assert (drafted.data.time, drafted.reading.dates) == ("at", {})
        assert landed(content, drafted)["at"].to_list() == hours().to_list()


class TestTimesAsSQLServerWritesThem:
    def test_are_times_also_far_away(self) -> None:
        times = hours().dt.strftime("%Y-%m-%d %H:%M:%S.0000000")
        until = times.where(hours().index % 2 == 0, "9999-12-31 00:00:00.0000000")
        content = csv(table(at=times, until=until))
        drafted = looked_at(content)

        assert (drafted.data.time, drafted.data.columns["until"].type) == ("at", "time")
        assert landed(content, drafted)["until"].max() == pd.Timestamp("9999-12-31", tz="UTC")


class TestAFileOfAnotherKind:
    @pytest.mark.parametrize("kind", ["json", "parquet", "feather", "gzip", "utf-16", "tab"])
    def test_is_read_the_same(self, kind: str, tmp_path: Any) -> None:
        drafted = looked_at(_as(kind, table(), tmp_path))

        assert drafted.data.columns == looked_at(csv(table())).data.columns
        assert drafted.frame["km"].to_list() == table()["km"].to_list()


def _as(kind: str, frame: pd.DataFrame, folder: Any) -> bytes:
    import gzip

    path = folder / "table"
    if kind == "json":
        frame.to_json(path, orient="records", lines=True, date_format="iso", date_unit="s")
    elif kind == "parquet":
        frame.to_parquet(path)
    elif kind == "feather":
        frame.to_feather(path)
    elif kind == "utf-16":
        return csv(frame).decode().encode("utf-16")
    elif kind == "tab":
        return csv(frame, sep="\t")
    else:
        return gzip.compress(csv(frame))
    return bytes(path.read_bytes())


class TestAJSONTable:
    def test_keeps_the_zones_that_its_times_name(self) -> None:
        frame = table(at=hours().map(lambda time: time.isoformat()))
        content = frame.to_json(orient="records", lines=True).encode()
        drafted = looked_at(content)
        berlin = replace(drafted, reading=drafted.reading.model_copy(update={"zone": "Europe/Berlin"}))

        for file in (content, read_raw(content, "table").piece([*range(ROWS)])):
            assert landed(file, berlin)["at"].to_list() == hours().to_list()


class TestTwoColumnsOfTimes:
    def test_the_earlier_one_of_each_row_is_the_event(self) -> None:
        opened = hours(every="6h").sample(frac=1, random_state=7).reset_index(drop=True)
        closed = opened + pd.to_timedelta(np.random.default_rng(7).uniform(0, 20, ROWS), unit="D")
        drafted = looked_at(csv(table(at=None, closed=closed, opened=opened)))

        assert drafted.data.time == "opened"
        assert "taken: opened (" in said(drafted, "event time")
        assert "--label-time" in said(drafted, "event time")
        assert "closed" not in drafted.data.features

    def test_a_column_that_is_named_as_one_stays_the_event(self) -> None:
        frame = table(at=None, date=hours(), began=hours() - pd.Timedelta("3h"))

        assert looked_at(csv(frame)).data.time == "date"
