"""Which changes of a table what has landed can be read under, and which are refused with a cure."""

import re
from typing import Any

import pytest

from retrim.table.data import DataParams
from retrim.table.schema import ColumnNames, LandedSchema, lacking, name_faults, read_as, schema_faults
from tests.builders.synthetic import data_section

OWN = ("at", "number", "level", "slope", "noise", "group", "outcome")


def declared(drop: tuple[str, ...] = (), **columns: Any) -> DataParams:
    """The generated table without some columns and with others beside them."""
    section = data_section("regression", labels="with_rows", horizon="1h")
    section["columns"] = {name: one for name, one in section["columns"].items() if name not in drop} | columns
    return DataParams.model_validate(section)


def feature(kind: str, **more: Any) -> dict[str, Any]:
    return {"type": kind, "role": "feature", **more}


def landed(data: DataParams) -> dict[str, LandedSchema]:
    return {"b1": LandedSchema.declared(data, data.columns)}


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("integer", "number"),
        ("integer", "category"),
        *((kind, kind) for kind in ("integer", "number", "category")),
    ],
)
def test_a_type_may_stay_or_widen(old: str, new: str) -> None:
    assert schema_faults(landed(declared(extra=feature(old))), declared(extra=feature(new))) == []


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("number", "integer"),
        ("number", "category"),
        ("category", "number"),
        ("category", "integer"),
    ],
)
def test_any_other_change_of_type_names_column_both_types_and_the_cure(old: str, new: str) -> None:
    (fault,) = schema_faults(landed(declared(extra=feature(old))), declared(extra=feature(new)))

    assert f"'extra' landed as {old}" in fault
    assert f"declared {new}" in fault
    assert f"Declare it as {old} again" in fault


def test_a_column_may_appear_and_disappear() -> None:
    assert schema_faults(landed(declared()), declared(extra=feature("number"))) == []
    assert schema_faults(landed(declared(extra=feature("number"))), declared()) == []


@pytest.mark.parametrize("name", ["at", "number", "outcome"])
def test_time_key_and_target_may_not_appear(name: str) -> None:
    old = {"b1": LandedSchema({each: "number" for each in OWN if each != name}, {})}

    assert any(f"lacks column {name!r}" in fault for fault in schema_faults(old, declared()))


def test_the_key_may_not_change() -> None:
    other = declared().model_copy(update={"key": ("at", "number")})

    assert any("retrim new" in fault for fault in schema_faults(landed(declared()), other))


def test_the_time_may_not_be_another_column() -> None:
    old = declared(later={"type": "time", "role": "forbidden"})
    new = declared(later={"type": "time", "role": "time"}, at={"type": "time", "role": "forbidden"})

    assert any("'later' is the event's time" in fault for fault in schema_faults(landed(old), new))


class TestARename:
    def test_finds_the_column_under_its_old_name(self) -> None:
        new = declared(drop=("level",), height=feature("number", was="level"))

        assert schema_faults(landed(declared()), new) == []
        assert read_as(landed(declared()), new, {}).names.within("height", OWN) == "level"

    def test_needs_every_name_and_says_which_is_forgotten(self) -> None:
        first = declared(drop=("level",), height=feature("number", was="level"))
        files = landed(declared()) | {"b2": LandedSchema.declared(first, first.columns)}
        short = declared(drop=("level",), depth=feature("number", was="height"))
        whole = declared(drop=("level",), depth=feature("number", was=["height", "level"]))
        (fault,) = name_faults(files.values(), short)

        assert "`was: [height, level]`" in fault
        assert (name_faults(files.values(), whole), schema_faults(files, whole)) == ([], [])

    def test_of_a_key_or_target_stays_the_same_key_and_target(self) -> None:
        section = data_section("regression", labels="with_rows", horizon="1h")
        columns, now = section["columns"], {"number": "id", "outcome": "result"}
        section["columns"] = {
            now.get(name, name): one | ({"was": name} if name in now else {}) for name, one in columns.items()
        }
        new = DataParams.model_validate(section | {"key": ["id"]})

        assert schema_faults(landed(declared()), new) == []

    def test_frees_no_name_for_another_column(self) -> None:
        renamed = declared(drop=("level",), height=feature("number", was="level"))
        files = landed(declared()) | {"b2": LandedSchema.declared(renamed, renamed.columns)}
        both = declared(height=feature("number"))

        assert any({"'height'", "'level'"} <= set(fault.split()) for fault in schema_faults(files, both))

    def test_from_a_column_that_is_declared_too_is_refused_at_once(self) -> None:
        with pytest.raises(ValueError, match=r"`was` of 'height' is 'level',"):
            declared(height=feature("number", was="level"))

    def test_of_two_columns_of_one_batch_is_a_fault(self) -> None:
        new = declared(drop=("level",), slope=feature("number", was="level"))

        assert any("they are one column" in fault for fault in schema_faults(landed(declared()), new))

    def test_of_what_never_landed_names_what_did(self) -> None:
        new = declared(height=feature("number", was="lewel"))
        (fault,) = name_faults(landed(declared()).values(), new)

        assert "'lewel'" in fault
        assert re.search(r"\(at, group, level, .*\bslope\)", fault)


class TestWhatAnEarlierVersionNeeds:
    def test_is_read_under_the_name_it_knows(self) -> None:
        new = declared(drop=("level",), height=feature("number", was="level"))
        read = read_as(landed(declared()), new, {"level": "number", "slope": "number"})

        assert read.renamed == {"level": "height"}
        assert read.types["level"] == "number"

    def test_is_there_after_it_is_gone(self) -> None:
        read = read_as(
            landed(declared(extra=feature("integer"))), declared(), {"extra": "integer", "never": "category"}
        )

        assert (read.types["extra"], read.types["never"], read.renamed) == ("number", "category", {})


def test_batches_that_landed_without_a_column_are_named() -> None:
    files = landed(declared()) | {"b2": LandedSchema.declared(declared(extra=feature("number")), (*OWN, "extra"))}

    assert lacking(files, ("extra", "level"), ColumnNames(files.values(), declared())) == {"extra": frozenset(("b1",))}
