"""Columns of people's names are found by what they are called and by what stands in them; other names are none."""

import pandas as pd
import pytest

from retrim.profile.table import names_people, personal
from retrim.table.reading import RawColumn

PEOPLE = [
    "Karen Whitfield", "Thomas Oduya", "Priya Raman", "Lars Holm", "Mbali Dube", "Susan O'Neill", "Jean-Luc Moreau",
    "Dr. Anna Keller", "Piotr Zielinski", "Wanjiru Njoroge", "David Fenn", "Emma van der Berg",
]  # fmt: skip
FOREIGN = [f"{first} {last}" for first in ("Wanjiru", "Tadhg", "Oyelaran", "Mbali", "Aroha") for last in
           ("Njoroge", "Murchu", "Adeyemi", "Dube", "Tamatea")]  # fmt: skip
OTHERS = {
    "city": ["New York", "San Jose", "Los Angeles", "St. Louis", "Fort Worth", "Las Vegas", "Kansas City", "El Paso"],
    "station": ["Elm Road", "Harbour East", "Museum", "Ring East", "Old Market", "North Gate", "Hill Top", "Mill Lane"],
    "name": [
        "Blue Widget",
        "Red Lamp",
        "Garden Chair",
        "Desk Lamp",
        "Office Chair",
        "Coat Rack",
        "Tea Pot",
        "Oak Desk",
    ],
    "employee": ["Full Time", "Part Time", "Contractor", "Seasonal"],
    "driver": ["Front Wheel", "Rear Wheel", "All Wheel", "Four Wheel"],
    "weather": ["Light Rain", "Heavy Rain", "Clear Sky", "Few Clouds"],
    "manager": ["yes", "no", "unknown", "none"],
    "job": ["Sales Rep", "Store Manager", "Data Analyst", "Truck Driver", "Field Engineer", "Office Clerk"],
}


@pytest.mark.parametrize("name", ["driver", "Driver Name", "salesRep", "name", "who", "col_7", "Attending Physician"])
def test_names_of_people_are_found_whatever_the_column_is_called(name: str) -> None:
    look = RawColumn(name, "text", pd.Series(PEOPLE * 40, dtype="str"))

    assert personal(look) == "a person's name"


@pytest.mark.parametrize("name", ["fake_first_name", "buyer last name", "Surname", "contactForename"])
def test_names_of_any_tongue_are_found_where_the_column_says_what_part_of_a_name_it_holds(name: str) -> None:
    look = RawColumn(name, "text", pd.Series([f"{first}{n}" for n in range(9) for first in ("jh", "ob", "wyl")]))

    assert personal(look) == "a person's name"


LAST_FIRST = [f"{name.split()[-1]}, {name.split()[0]}" for name in PEOPLE]
BESIDE = ["Holm, Mrs Karen (Anna Beck)", 'Fenn, Mr David "Dave"', "Keller, Miss Emma", "Moreau, Mr Jean (Luc)"]
GIVEN = ["Karen", "Thomas", "Priya", "Lars", "Mbali", "Susan", "Anna", "Wanjiru"]


@pytest.mark.parametrize(
    ("name", "words", "people"),
    [
        ("who", LAST_FIRST, True),
        ("Name", BESIDE, True),  # maiden names and nicknames
        ("name", GIVEN, True),  # where the column is called so
        ("variety", GIVEN, False),
        ("driver", FOREIGN, True),
        ("product", FOREIGN, False),
    ],
)
def test_names_are_told_by_what_they_are_and_by_what_the_column_is_called(
    name: str, words: list[str], *, people: bool
) -> None:
    assert names_people(name, pd.Index(words)) == people


@pytest.mark.parametrize("name", sorted(OTHERS))
def test_other_names_are_no_peoples(name: str) -> None:
    assert not names_people(name, pd.Index(OTHERS[name]))
