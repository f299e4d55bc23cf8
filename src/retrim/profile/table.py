"""The table that is profiled: columns fetched one at a time, their distinct cells, whether they look personal."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import pandas as pd

from retrim.profile.dates import spelling_of_dates
from retrim.stats.codec import Unwritten
from retrim.table.data import ColumnType, DataParams, Role
from retrim.table.reading import RawColumn

ROLE = re.compile(
    r"(?:(?:employee|worker|staff|driver|courier|rider|doctor|physician|nurse|surgeon|therapist|teacher|instructor|tutor"
    r"|professor|student|pupil|author|artist|director|actor|player|coach|passenger|guest|customer|client|patient|person"
    r"|contact|owner|manager|supervisor|seller|sales_?(?:rep|person|man)|buyer|borrower|applicant|candidate|tenant"
    r"|landlord|member|subscriber|recipient|sender|technician|inspector|officer|judge|lawyer|host"
    r"|mitarbeiter|fahrer|kunde|lehrer|arzt|patientin|nom|prenom|nombre|apellido)(?:_?names?)?)"
)
"""What a column is called that holds people of some kind, or something else of that name: its cells decide."""
MAYBE = re.compile(r"(?:full|display|legal|nick)?_?names?|vorname|nachname")
SHAPE = re.compile(
    r"(?:(?:mr|mrs|ms|miss|dr|prof|herr|frau)\.? )?"
    r"[^\W\d_](?:[^\W\d_]|['.-](?=[^\W\d_]))*\.?(?:,? [^\W\d_](?:[^\W\d_]|['.-](?=[^\W\d_]))*\.?){0,4}",
    re.IGNORECASE,
)
BESIDE = re.compile(r"\([^()]*\)|\"[^\"]*\"")
"""What stands beside a name: a maiden name, a nickname."""
GIVEN_NAMES = """
james john robert michael william david richard joseph thomas charles christopher daniel matthew anthony mark
donald steven andrew paul joshua kenneth kevin brian george timothy ronald jason edward jeffrey ryan jacob gary
nicholas eric jonathan stephen larry justin scott brandon benjamin samuel gregory alexander patrick frank raymond
jack dennis jerry tyler aaron jose henry adam douglas nathan peter zachary kyle noah ethan jeremy christian walter
keith roger terry harry ralph sean jesse roy louis philip bruce willie eugene oliver leo luca lucas liam mary
patricia jennifer linda elizabeth barbara susan jessica sarah karen lisa nancy betty sandra margaret ashley
kimberly emily donna michelle carol amanda melissa deborah stephanie rebecca laura helen sharon cynthia kathleen
amy angela shirley anna brenda pamela emma nicole samantha katherine christine debra rachel carolyn janet maria
catherine heather diane olivia julie joyce evelyn joan kelly christina lauren judith megan andrea cheryl hannah
jacqueline martha gloria teresa ann sara janice kathryn alice julia sophia sophie grace amber denise marilyn
danielle isabella mia chloe lucy ella clara eva nina lena hans klaus jurgen stefan andreas markus matthias wolfgang
thorsten uwe heike petra monika ursula sabine claudia birgit ingrid pierre jean marie michel philippe nicolas
isabelle camille carlos luis juan miguel javier antonio francisco manuel alejandro pedro carmen ana isabel giovanni
marco giuseppe francesco matteo giulia chiara sofia ivan olga sergei dmitri natalia tatiana svetlana jan piotr
katarzyna agnieszka lars erik anders astrid ahmed mohamed mohammed muhammad ali fatima omar hassan aisha yusuf
ibrahim wei li ming hiroshi yuki kenji raj priya amit sanjay anil sunita
"""
"""Names that are common in several languages; those that are places or words too are left out."""
GIVEN = frozenset(GIVEN_NAMES.split())
FEW_WORDS, MANY = 3, 20
"""Distinct cells above which names may be people's, and above which those of an unknown tongue may."""
SHAPED, SOME, OFTEN = 0.8, 0.15, 0.3
"""Share of distinct cells that are shaped as names; that hold a common given name where the column is called so; and
where it is not."""
NAMES = {
    "a person's name": (
        r"(full|family|user|customer|client|patient|contact)[ _-]?name"
        r"|(\w+[ _-])?((first|last|given|middle|sur)[ _-]?name|forename)"
    ),
    "an email address": r"e[ _-]?mail|mail[ _-]?address",
    "a telephone number": r"(tele)?phone([ _-]?(no|number))?|mobile([ _-]?(no|number))?|cell[ _-]?phone",
    "a card or account number": r"(credit[ _-]?)?card[ _-]?(no|num|number)|iban|account[ _-]?(no|number)|pan",
    "an address": r"(street|home|postal|mailing|billing|delivery)?[ _-]?address|street",
    "an official identity number": r"ssn|social[ _-]?security.*|passport.*|national[ _-]?id|tax[ _-]?id",
    "a date of birth": r"(date[ _-]?of[ _-]?)?birth([ _-]?(day|date))?|dob|birthdate",
    "an IP address": r"ip([ _-]?address)?",
}
LOOKS = {
    "an email address": r"[^@\s]+@[^@\s]+\.[A-Za-z]{2,}",
    "a telephone number": r"(\+\d{1,3}[ .-]?)?(\(\d{2,4}\)[ .-]?)?\d{2,4}([ .-]\d{2,4}){2,4}",
    "an IP address": r"\d{1,3}(\.\d{1,3}){3}",
    "an address": (
        r"\d+[A-Za-z]? \w[\w ]+ (st|street|ave|avenue|rd|road|lane|ln|blvd|drive|dr|way|court|ct)\.?"
        r"|.+(stra(ß|ss)e|weg|platz) \d+\w?"
    ),
}
SHARE = 0.8
FEW_VALUES = 20
"""Distinct values up to which nothing is personal: an "address" is home or work then, and a "phone" yes or no."""
CARD = re.compile(r"(?:\d[ -]?){13,19}")
NO_VALUES = "forbidden to the model"
Weight = Literal["stop", "warn", "tell"]
"""stop: nothing is written; warn: a person should look; tell: what was found and decided."""


def names_people(name: str, words: pd.Index) -> bool:
    """Whether a column of text holds people's names; the name of the column has `_` between words."""
    bare = name.strip().lower()
    if len(words) <= FEW_WORDS:
        return False
    texts: list[str] = [" ".join(BESIDE.sub(" ", str(word)).split()) for word in words]
    shaped = [text for text in texts if SHAPE.fullmatch(text) and _capital(text)]
    if len(shaped) < SHAPED * len(texts):
        return False
    given: float = sum(any(token in GIVEN for token in _tokens(text)) for text in texts) / len(texts)
    whole = bool(sum(len(_tokens(text)) > 1 for text in texts) >= SHAPED * len(texts))
    if ROLE.fullmatch(bare):
        return given >= SOME or (whole and len(texts) > MANY)
    return given >= (SOME if MAYBE.fullmatch(bare) else OFTEN) and (whole or bool(MAYBE.fullmatch(bare)))


def _tokens(text: str) -> list[str]:
    return [token for token in re.split(r"[\s,.-]+", text.lower()) if token]


def _capital(text: str) -> bool:
    """Whether most of its words begin with a capital letter: von and de do not."""
    tokens: list[str] = [token for token in re.split(r"[\s,]+", text) if token]
    return sum(token[0].isupper() for token in tokens) * 2 > len(tokens)


def personal(look: RawColumn) -> str:
    """What personal thing a column seems to hold, such as `a mail address`; empty: none."""
    bare = re.sub(r"(?<=[a-z])(?=[A-Z])|[ -]", "_", look.name.strip())
    for what, pattern in NAMES.items():
        if re.fullmatch(pattern, bare.lower()) and look.distinct > FEW_VALUES:
            return what
    if look.stored == "text" and names_people(bare, look.sampled.index[:500]):
        return "a person's name"
    if look.stored != "text" or look.distinct <= FEW_VALUES:
        return ""
    words = look.words.index[:500].to_series()
    for what, pattern in LOOKS.items():
        if words.str.fullmatch(pattern, case=False).mean() >= SHARE and spelling_of_dates(words.index) is None:
            return what
    cards = [word for word in words if CARD.fullmatch(word)]
    if len(cards) >= SHARE * len(words) and all(_luhn(word) for word in cards):
        return "a card or account number"
    return ""


def _luhn(text: str) -> bool:
    """Whether the check digit of a card number holds.

    Source:
        ISO/IEC 7812-1, annex B.
    """
    digits = [int(sign) for sign in text if sign.isdigit()][::-1]
    doubled = [sum(divmod(2 * digit, 10)) if at % 2 else digit for at, digit in enumerate(digits)]
    return sum(doubled) % 10 == 0


@dataclass(frozen=True)
class ProfiledTable:
    """A table in order of time.

    Args:
        event: Event time of each row, UTC, ascending, shape (n,).
        keys: Key of each row, shape (n,).
        column: One of its columns as typed rows hold it, in that order, index 0 to n - 1.
        timed: Whether the event time is one; else it only stands for the order of the rows.
        mature: Rows whose label was due and known; None: not known.
        left_out: Columns that were never kept, and why; nothing else is known of them.
    """

    data: DataParams
    event: pd.Series
    keys: pd.Series
    column: Callable[[str], pd.Series]
    timed: bool
    mature: int | None
    left_out: Mapping[str, str]

    @property
    def rows(self) -> int:
        return len(self.event)

    @cached_property
    def kinds(self) -> dict[str, tuple[ColumnType, Role]]:
        """Type and role of every column, those from the past last."""
        landed: dict[str, tuple[ColumnType, Role]] = {
            name: (column.type, column.role) for name, column in self.data.columns.items()
        }
        return {**landed, **dict.fromkeys(self.data.history.columns, ("number", "feature"))}


def hidden(name: str, values: pd.Series, table: ProfiledTable, *, before: Mapping[str, str]) -> str:
    """Why no value of a column may be shown; empty: all may be."""
    past = table.data.history.columns.get(name)
    if past is not None:
        return before[past.of]
    kind, role = table.kinds[name]
    stored = "text" if kind == "category" else "number"
    whose = "" if kind == "time" else personal(RawColumn(name, stored, values))  # type: ignore[arg-type]  # one of its words
    if whose:
        return f"looks like {whose}"
    return NO_VALUES if role == "forbidden" else ""


@dataclass(frozen=True)
class TableNote:
    """A note about the table.

    Args:
        about: Kind of the note, such as `decimal comma`.
        column: The column that it is about; empty if it is about the table.
        seen: What was found, with its figure.
        done: What was done about it, or what to do.
    """

    about: str
    column: str
    seen: str
    done: str
    weight: Weight = "tell"

    def __str__(self) -> str:
        where = f"{self.column}: " if self.column else ""
        return f"{self.about}: {where}{self.seen}; {self.done}"


@dataclass(frozen=True)
class Leak:
    """A column, or several together, that leak the target.

    Args:
        probe: Test that found the leak.
        seen: What was found, with an example value if that helps.
        bare: The same without an example value; empty if `seen` has none.
    """

    columns: tuple[str, ...]
    probe: str
    seen: str
    bare: Unwritten[str] = ""

    @property
    def text(self) -> str:
        return f"{', '.join(self.columns)}: {self.seen}"


class Notes(list[TableNote]):
    """Notes in the order in which they were taken."""

    def tell(self, about: str, column: str, seen: str, done: str) -> None:
        self.append(TableNote(about, column, seen, done))

    def warn(self, about: str, column: str, seen: str, done: str) -> None:
        self.append(TableNote(about, column, seen, done, "warn"))
