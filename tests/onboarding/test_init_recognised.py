"""How somebody's table is spelled: recognised, said, declared, and then read by landing as it was meant."""

import gzip
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from retrim.errors import BadInputError, RefusedError, UnknownNameError
from retrim.onboarding.draft import WorkspaceDraft
from retrim.profile.table import _luhn
from retrim.reading.raw import read_raw
from retrim.reading.table import read_content
from tests.builders.raw_tables import ROWS, csv, hours, looked_at, said, table

ROW = pd.Series(range(ROWS))
ZONES = ["UTC", "Europe/Berlin", "America/New_York"]


def landed(content: bytes, drafted: WorkspaceDraft) -> pd.DataFrame:
    """The rows as landing reads them under what was declared."""
    reading = read_content(content, drafted.data, labels=False, reading=drafted.reading)

    assert reading.faults == ()
    assert reading.frame is not None
    return reading.frame


def choice(*values: Any) -> np.ndarray:
    """One of the values in each row, in no order."""
    return np.random.default_rng(7).choice(values, ROWS)


def test_a_plain_table_needs_nothing_declared() -> None:
    drafted = looked_at(csv(table()))

    assert drafted.reading.model_dump(exclude={"calendar"}) == {
        "encoding": "utf-8", "separator": ",", "numbers": "1234.5", "missing": (),
        "dates": {}, "zone": "UTC", "skip": (), "arrival": None,
    }  # fmt: skip


class TestNumbers:
    @pytest.mark.parametrize(("sign", "decimal"), [("", ","), (",", "."), (".", ","), (" ", ","), ("'", ".")])
    def test_signs_in_them_are_declared_and_read(self, sign: str, decimal: str) -> None:
        metres = pd.Series(np.random.default_rng(7).integers(900, 2_000_000, ROWS) / 100)
        swap = str.maketrans({",": sign, ".": decimal})
        content = csv(table(metres=metres.map(lambda value: f"{value:,.2f}".translate(swap))), sep=";", decimal=decimal)
        drafted = looked_at(content)

        assert (drafted.reading.separator, drafted.reading.thousands, drafted.reading.decimal) == (";", sign, decimal)
        assert "declared" in said(drafted, "thousands separator" if sign else "decimal comma")
        assert landed(content, drafted)["metres"].to_list() == metres.to_list()

    @pytest.mark.parametrize(("word", "every"), [("NULL", 10), ("none", 3)])
    def test_a_word_among_them_is_a_missing_cell_however_often(self, word: str, every: int) -> None:
        content = csv(table(km=table()["km"].astype("str").mask(ROW % every == 2, word)))
        drafted = looked_at(content)

        assert (drafted.reading.missing, drafted.data.columns["km"].type) == ((word,), "number")
        assert f"{len(range(2, ROWS, every))} times" in said(drafted, "missing")
        assert landed(content, drafted)["km"].isna().sum() == len(range(2, ROWS, every))

    def test_a_word_for_a_missing_number_that_is_a_category_too_is_said(self) -> None:
        km = table()["km"].astype("str").mask(ROW % 9 == 2, "none")
        drafted = looked_at(csv(table(km=km, extras=choice("none", "lid"))))

        assert [note.weight for note in drafted.notes if note.about == "missing"] == ["warn"]

    @pytest.mark.parametrize("word", ["none", "high"])
    def test_a_class_of_the_target_is_no_missing_cell(self, word: str) -> None:
        kids = ROW.mod(5).astype("str").mask(ROW % 100 == 2, word)
        frame = table(kids=kids, risk=choice(word, "low", "mid"))
        drafted = looked_at(csv(frame), target="risk")

        assert (drafted.data.task, drafted.data.columns["kids"].type) == ("multiclass", "category")
        assert landed(csv(frame), drafted)["risk"].to_list() == frame["risk"].to_list()
        assert f"such as {word!r}" in said(drafted, "mixed")

    def test_a_missing_label_that_numbers_show_too_stays_one(self) -> None:
        kids = ROW.mod(5).astype("str").mask(ROW % 100 == 2, "NA")
        drafted = looked_at(csv(table(kids=kids, risk=choice("NA", "low", "mid"))), target="risk")

        assert (drafted.data.task, drafted.reading.missing) == ("binary", ("NA",))

    def test_a_column_of_both_signs_holds_none_and_that_is_said(self) -> None:
        km = table()["km"].map(lambda value: f"{value:.2f}")
        drafted = looked_at(csv(table(km=km.where(ROW % 4 > 0, km.str.replace(".", ",")))))

        assert drafted.data.columns["km"].type == "category"
        assert "km: " in said(drafted, "mixed")


class TestText:
    def test_blanks_are_kept_around_names_and_cut_off_cells(self) -> None:
        frame = table()
        spaced = {name: frame[name].astype("str").map(lambda cell: f" {cell} ") for name in ("at", "km", "weather")}
        content = csv(table(**spaced).rename(columns={"km": " km"}))
        drafted = looked_at(content)

        assert "' km'" in said(drafted, "names")
        assert (
            landed(content, drafted)[[" km", "weather"]].to_numpy().tolist()
            == frame[["km", "weather"]].to_numpy().tolist()
        )

    @pytest.mark.parametrize(
        ("words", "told"),
        [
            (("true", "false"), "'true'"),
            (("Yes", "No"), "'Yes'"),
            (("ja", "nein"), "'ja'"),
            (("yes", "no", "Yes"), "3"),
        ],
    )
    def test_booleans_as_words_are_a_category(self, words: tuple[str, ...], told: str) -> None:
        drafted = looked_at(csv(table(paid=choice(*words), country=choice("NA", "DE", "ZA"))))

        assert drafted.data.columns["paid"].type == "category"
        assert told in said(drafted, "boolean")
        assert drafted.reading.missing == ()  # a country is called NA

    def test_latin_letters_in_another_encoding_are_read(self) -> None:
        content = csv(table(ort=choice("Köln", "Bonn"))).decode().encode("cp1252")
        drafted = looked_at(content)

        assert drafted.reading.encoding == "cp1252"
        assert set(landed(content, drafted)["ort"]) == {"Köln", "Bonn"}


class TestNamesOfRows:
    def test_a_number_that_counts_the_rows_is_the_key_and_other_names_are_categories(self) -> None:
        columns = {
            "post": choice("01067", "50667"),
            "shop_id": choice(100, 101, 102),
            "serial": choice(10**17, 10**17 + 3),
        }
        drafted = looked_at(csv(table(order=np.arange(ROWS) + 5000, **columns)))

        assert drafted.data.key == ("order",)
        assert {name: drafted.data.columns[name].type for name in columns} == dict.fromkeys(columns, "category")
        assert {"order", "serial"}.isdisjoint(drafted.data.features)
        assert set(drafted.frame["post"]) == {"01067", "50667"}
        assert [note.column for note in drafted.notes if note.about == "id"] == ["order", *columns]

    def test_an_id_that_comes_twice_is_said_to_nearly_name_the_rows(self) -> None:
        drafted = looked_at(csv(table(order_id=np.where(ROW % 50 == 1, ROW - 1, ROW))))

        assert drafted.data.key == ("at",)
        assert "8 repeat a value" in said(drafted, "id")

    def test_rows_that_come_twice_are_counted(self) -> None:
        drafted = looked_at(csv(pd.concat([table(), table().iloc[:7]])))

        assert "7 rows occur" in said(drafted, "duplicates")


def spelt(*forms: str) -> list[str]:
    """Hours, each in the next of the formats."""
    return [time.strftime(forms[row % len(forms)]) for row, time in enumerate(hours())]


def in_zones(form: str, zones: int) -> list[str]:
    """Hours, each in the next of the zones."""
    return [time.tz_convert(ZONES[row % zones]).strftime(form) for row, time in enumerate(hours())]


class TestTimes:
    @pytest.mark.parametrize(
        ("at", "formats", "about", "told"),
        [
            *((spelt(form), (form,), "dates", "such as") for form in ("%d/%m/%Y %H:%M", "%m/%d/%Y %H:%M")),
            *((spelt(form), (form,), "dates", "such as") for form in ("%d.%m.%Y %H:%M:%S", "%b %d, %Y %I:%M %p")),
            (spelt("%Y-%m-%dT%H:%M:%S", "%d.%m.%Y %H:%M", "%b %d, %Y %H:%M"), 3, "dates", "3 formats"),
            (in_zones("%Y-%m-%dT%H:%M:%S%z", 3), (), "mixed zones", "+0100"),
            (in_zones("%d/%m/%Y %H:%M:%S %z", 2), 1, "mixed zones", "+0000, +0100"),
            ([time[:-2] for time in in_zones("%Y-%m-%d %H:%M:%S%z", 2)], (), "mixed zones", "+01"),  # PostgreSQL
        ],
    )
    def test_are_declared_and_read(self, at: list[str], formats: Any, about: str, told: str) -> None:
        content = csv(table(at=at))
        drafted = looked_at(content)

        declared = drafted.reading.dates.get("at", ())
        assert (len(declared) if isinstance(formats, int) else declared) == formats
        assert told in said(drafted, about)
        assert landed(content, drafted)["at"].to_list() == hours().dt.as_unit("us").to_list()

    def test_far_away_are_times_as_sql_server_writes_them(self) -> None:
        times = hours().dt.strftime("%Y-%m-%d %H:%M:%S.0000000")
        content = csv(table(at=times, until=times.where(ROW % 2 == 0, "9999-12-31 00:00:00.0000000")))
        drafted = looked_at(content)

        assert (drafted.data.time, drafted.data.columns["until"].type) == ("at", "time")
        assert landed(content, drafted)["until"].max() == pd.Timestamp("9999-12-31", tz="UTC")

    def test_day_and_month_that_could_be_exchanged_are_said(self) -> None:
        days = pd.Series(pd.date_range("2024-01-01", periods=12 * ROWS, freq="1D", tz="UTC"))
        unclear = days[days.dt.day <= 12].iloc[:ROWS].reset_index(drop=True)
        drafted = looked_at(csv(table(at=unclear.dt.strftime("%m/%d/%Y"))))

        (note,) = (note for note in drafted.notes if (note.about, note.weight) == ("dates", "warn"))
        assert "reading.dates" in note.done
        assert {"%d/%m/%Y", "%m/%d/%Y"} <= set(re.findall(r"%\S+\w", f"{note.seen} {note.done}"))

    def test_seconds_since_1970_are_times_where_they_are_named_and_else_said(self) -> None:
        content = csv(table(at=(hours() - pd.Timestamp(0, tz="UTC")) // pd.Timedelta("1s")))
        drafted = looked_at(content, event_time="at")

        assert drafted.reading.dates == {"at": ("unix",)}
        assert landed(content, drafted)["at"].to_list() == hours().dt.as_unit("us").to_list()
        assert "--event-time 'at'" in said(looked_at(content), "no event time")

    @pytest.mark.parametrize("form", ["%Y-%m-%d %H:%M CET", "week %V of %d/%m/%Y"])
    def test_in_no_known_format_are_said(self, form: str) -> None:
        drafted = looked_at(csv(table(at=spelt(form))))

        assert drafted.data.columns["at"].type == "category"
        assert [note.column for note in drafted.notes if (note.about, note.weight) == ("dates", "warn")] == ["at"]

    def test_of_a_clock_that_was_put_forward_and_back_name_its_zone(self) -> None:
        rows = 366 * 24
        walls = hours(rows).dt.tz_convert("Europe/Berlin").dt.tz_localize(None)
        drafted = looked_at(csv(table(rows, at=walls.dt.strftime("%Y-%m-%d %H:%M:%S"))))

        assert (drafted.reading.zone, drafted.data.key) == ("Europe/Berlin", ("at",))
        assert "daylight" in said(drafted, "daylight saving")
        assert (drafted.frame["at"].to_numpy() == hours(rows).to_numpy()).all()  # the hour that comes twice too
        assert looked_at(csv(table(rows))).reading.zone == "UTC"

    def test_that_rows_share_or_leave_out_are_said(self) -> None:
        shared = looked_at(csv(table(at=hours(ROWS // 4).repeat(4).reset_index(drop=True))))
        gap = looked_at(csv(table(at=hours(ROWS + 200).drop(index=range(100, 300)).reset_index(drop=True))))

        assert f"{ROWS - ROWS // 4} of {ROWS} rows" in said(shared, "ties")
        assert re.search(r"1 gaps.*201h from 2024-01-05", said(gap, "gaps"))

    def test_that_are_missing_leave_rows_out_and_none_at_all_the_order(self) -> None:
        some = looked_at(csv(table(at=hours().astype("str").mask(ROW < 3, ""))))
        none = looked_at(csv(table(at=None)))

        assert len(some.frame) == ROWS - 3
        assert "3 rows" in said(some, "missing")
        assert none.data.time == none.reading.arrival == "arrived at"
        assert "in order of arrival: seasons" in said(none, "no event time")

    def test_of_json_keep_the_zones_that_they_name(self) -> None:
        content = table(at=hours().map(lambda time: time.isoformat())).to_json(orient="records", lines=True).encode()
        drafted = looked_at(content)
        berlin = replace(drafted, reading=drafted.reading.model_copy(update={"zone": "Europe/Berlin"}))

        for file in (content, read_raw(content, "table").piece([*range(ROWS)])):
            assert landed(file, berlin)["at"].to_list() == hours().to_list()

    def test_of_two_columns_the_earlier_or_the_named_is_the_event(self) -> None:
        opened = hours(every="6h").sample(frac=1, random_state=7).reset_index(drop=True)
        closed = opened + pd.to_timedelta(np.random.default_rng(7).uniform(0, 20, ROWS), unit="D")
        drafted = looked_at(csv(table(at=None, closed=closed, opened=opened)))

        assert drafted.data.time == "opened"
        assert re.search(r"taken: opened \(.*--label-time", said(drafted, "event time"))
        assert "closed" not in drafted.data.features
        assert looked_at(csv(table(at=None, date=hours(), began=hours() - pd.Timedelta("3h")))).data.time == "date"


def test_personal_columns_are_neither_kept_nor_features_but_where_that_is_asked_for() -> None:
    personal = {
        "mail": [f"user{n}@example.org" for n in range(ROWS)],
        "phone": [f"+49 221 {n:03d} {n % 97:02d}" for n in range(ROWS)],
        "last_name": [f"Family{n}" for n in range(ROWS)],
        "home address": [f"{n} Long Street" for n in range(ROWS)],
    }
    drafted = looked_at(csv(table(**personal)))

    assert drafted.reading.skip == tuple(personal)
    assert set(personal).isdisjoint(drafted.data.columns)
    assert [note.column for note in drafted.notes if note.about == "personal"] == list(personal)
    assert set(personal) <= set(looked_at(csv(table(**personal)), keep=tuple(personal)).data.features)
    assert _luhn("4539 1488 0343 6467")
    assert not _luhn("4539 1488 0343 6468")


class TestTheTask:
    def test_two_answers_are_binary_and_a_rare_one_is_told(self) -> None:
        late = np.where(np.random.default_rng(7).random(ROWS) < 0.04, "yes", "no")
        drafted = looked_at(csv(table(late=late)), target="late")

        assert (drafted.data.task, drafted.data.positive, drafted.aim.loss) == ("binary", "yes", "log_loss")
        assert f" {np.mean(late == 'no'):.1%}, " in drafted.aim.why  # what the naive answer is right in
        assert "average_precision" in drafted.aim.metrics
        assert re.search(f"{np.mean(late == 'yes'):.1%} of.*train.balance: null", said(drafted, "imbalance"))

    @pytest.mark.parametrize(
        ("values", "task", "loss", "why"),
        [
            (choice("a", "b", "c"), "multiclass", "log_loss", "3 classes"),
            (np.where(ROW % 10 < 7, 0, table()["minutes"]), "regression", "mse", "are 0"),
            (np.random.default_rng(7).poisson(0.6, ROWS), "regression", "poisson", r" 0\.\d+ .*\bcounts\b"),
            (choice(1, 2, 3, 4, 5), "regression", "mae", "own unit"),
        ],
    )
    def test_a_target_is_judged_by_what_it_is(self, values: np.ndarray, task: str, loss: str, why: str) -> None:
        drafted = looked_at(csv(table(kind=values)), target="kind")

        assert (drafted.data.task, drafted.aim.loss) == (task, loss)
        assert re.search(why, drafted.aim.why)
        assert ("--task multiclass" in said(drafted, "unsure")) == (loss in ("mae", "poisson"))

    def test_a_quantile_is_a_loss_that_a_person_names(self) -> None:
        drafted = looked_at(csv(table()), loss="pinball@0.9")

        assert (drafted.aim.loss, drafted.aim.metrics[0]) == ("pinball@0.9", "pinball@0.9")

    @pytest.mark.parametrize(
        ("loss", "message"),
        [
            ("log_loss", "--loss: metric 'log_loss' does not fit a regression task"),
            ("rmse", "--loss: metric 'rmse' cannot be computed for each row"),
            ("pinball", "--loss: .*pinball needs a quantile between 0 and 1"),
            ("mea", "--loss: unknown metric 'mea'; known: "),
            ("poisson", r"--loss: 'poisson' .* -\d"),
        ],
    )
    def test_a_loss_that_does_not_fit_is_refused(self, loss: str, message: str) -> None:
        with pytest.raises(BadInputError, match=message):
            looked_at(csv(table().assign(minutes=lambda frame: frame["minutes"] - 1000)), loss=loss)

    @pytest.mark.parametrize(
        ("rows", "target", "error", "message"),
        [
            (ROWS, "same", RefusedError, "1 distinct value"),
            (ROWS, "minuts", UnknownNameError, "'minutes'"),
            (60, "minutes", RefusedError, "60 labelled rows"),
        ],
    )
    def test_a_target_that_nothing_can_be_made_of_is_refused(
        self, rows: int, target: str, error: type[Exception], message: str
    ) -> None:
        with pytest.raises(error, match=message):
            looked_at(csv(table(rows, same=1)), target=target)


class TestLabels:
    def test_the_horizon_comes_from_when_labels_were_known(self) -> None:
        delays = pd.to_timedelta(np.random.default_rng(7).uniform(1, 30, ROWS), unit="h")
        drafted = looked_at(csv(table(known=hours() + delays)), label_time="known", event_time="at")

        assert drafted.data.label_horizon == "2D"

    @pytest.mark.parametrize(
        ("at", "wishes", "message"),
        [
            (hours(), {"horizon": "1D", "event_time": "at"}, "--label-due and --horizon"),
            (None, {}, "--label-due 'due'"),
        ],
    )
    def test_a_due_time_needs_an_event_and_no_second_one(self, at: Any, wishes: dict[str, str], message: str) -> None:
        with pytest.raises(BadInputError, match=message):
            looked_at(csv(table(at=at, due=hours())), label_due="due", **wishes)


@pytest.mark.parametrize("kind", ["json", "parquet", "feather", "gzip", "utf-16", "tab"])
def test_a_file_of_another_kind_is_read_the_same(kind: str, tmp_path: Path) -> None:
    frame, path = table(), tmp_path / "table"
    if kind == "json":
        frame.to_json(path, orient="records", lines=True, date_format="iso", date_unit="s")
    elif kind in ("parquet", "feather"):
        getattr(frame, f"to_{kind}")(path)
    else:
        text = csv(frame, sep="\t" if kind == "tab" else ",")
        path.write_bytes({"utf-16": text.decode().encode("utf-16"), "gzip": gzip.compress(text)}.get(kind, text))
    drafted = looked_at(path.read_bytes())

    assert drafted.data.columns == looked_at(csv(frame)).data.columns
    assert drafted.frame["km"].to_list() == frame["km"].to_list()
