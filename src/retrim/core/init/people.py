"""Columns of people's names: what they are called, and what their cells look like."""

import re

import pandas as pd

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
FEW, MANY = 3, 20
"""Distinct cells above which names may be people's, and above which those of an unknown tongue may."""
SHAPED, SOME, OFTEN = 0.8, 0.15, 0.3
"""Share of distinct cells that are shaped as names; that hold a common given name where the column is called so; and
where it is not."""


def names_people(name: str, words: pd.Index) -> bool:
    """Whether a column of text holds people's names.

    Args:
        name: What it is called, with `_` between words.
        words: Some of its distinct cells.
    """
    bare = name.strip().lower()
    if len(words) <= FEW:
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
