"""Columns that look personal: by their name, and by what their cells look like."""

import re

import pandas as pd

from retrim.core.init.dates import spelling_of_dates
from retrim.core.init.looks import Look
from retrim.core.init.people import names_people

NAMES = {
    "a person's name": (
        r"(first|last|full|family|given|middle|sur|user|customer|client|patient|contact)[ _-]?name|surname|forename"
    ),
    "a mail address": r"e[ _-]?mail|mail[ _-]?address",
    "a telephone number": r"(tele)?phone([ _-]?(no|number))?|mobile([ _-]?(no|number))?|cell[ _-]?phone",
    "a card or account number": r"(credit[ _-]?)?card[ _-]?(no|num|number)|iban|account[ _-]?(no|number)|pan",
    "an address": r"(street|home|postal|mailing|billing|delivery)?[ _-]?address|street",
    "an official number": r"ssn|social[ _-]?security.*|passport.*|national[ _-]?id|tax[ _-]?id",
    "a date of birth": r"(date[ _-]?of[ _-]?)?birth([ _-]?(day|date))?|dob|birthdate",
    "an address on the net": r"ip([ _-]?address)?",
}
LOOKS = {
    "a mail address": r"[^@\s]+@[^@\s]+\.[A-Za-z]{2,}",
    "a telephone number": r"(\+\d{1,3}[ .-]?)?(\(\d{2,4}\)[ .-]?)?\d{2,4}([ .-]\d{2,4}){2,4}",
    "an address on the net": r"\d{1,3}(\.\d{1,3}){3}",
    "an address": (
        r"\d+[A-Za-z]? \w[\w ]+ (st|street|ave|avenue|rd|road|lane|ln|blvd|drive|dr|way|court|ct)\.?"
        r"|.+(stra(ß|ss)e|weg|platz) \d+\w?"
    ),
}
SHARE = 0.8
FEW = 20
"""Distinct values up to which nothing is personal: an "address" is home or work then, and a "phone" yes or no."""
CARD = re.compile(r"(?:\d[ -]?){13,19}")


def personal(look: Look) -> str:
    """What personal thing a column seems to hold, such as `a mail address`; empty: none."""
    bare = re.sub(r"(?<=[a-z])(?=[A-Z])|[ -]", "_", look.name.strip())
    for what, pattern in NAMES.items():
        if re.fullmatch(pattern, bare.lower()) and look.distinct > FEW:
            return what
    if look.stored == "text" and names_people(bare, look.sampled.index[:500]):
        return "a person's name"
    if look.stored != "text" or look.distinct <= FEW:
        return ""
    words = look.words.index[:500].to_series()
    for what, pattern in LOOKS.items():
        if words.str.fullmatch(pattern, case=False).mean() >= SHARE and not _are_dates(words):
            return what
    cards = [word for word in words if CARD.fullmatch(word)]
    if len(cards) >= SHARE * len(words) and all(_luhn(word) for word in cards):
        return "a card or account number"
    return ""


def _are_dates(words: pd.Series) -> bool:
    return spelling_of_dates(pd.Index(words, dtype="str")) is not None


def _luhn(text: str) -> bool:
    """Whether the check digit of a card number holds.

    Source:
        ISO/IEC 7812-1, annex B.
    """
    digits = [int(sign) for sign in text if sign.isdigit()][::-1]
    doubled = [sum(divmod(2 * digit, 10)) if place % 2 else digit for place, digit in enumerate(digits)]
    return sum(doubled) % 10 == 0
