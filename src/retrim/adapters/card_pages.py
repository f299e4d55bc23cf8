"""A card as Markdown and as one HTML page, by Jinja2 templates that ship with the package."""

import base64
import re
from collections.abc import Mapping
from importlib.resources import files
from typing import Any

from retrim.core.card import Card

NUMBER = re.compile(r"[+-]?\d[\d.,]*(e[+-]?\d+)?%?( to [+-]?\d[\d.,]*(e[+-]?\d+)?)?|-")


def markdown(card: Card) -> str:
    """The card as Markdown: text alone, its pictures by name."""
    return _rendered("card.md.j2", card=card)


def html(card: Card, pictures: Mapping[str, bytes]) -> str:
    """The card as one HTML page with its pictures in it: no script, and nothing is fetched from anywhere.

    Args:
        card: The card.
        pictures: PNG files by name; one that is not there is left out.
    """
    coded = {name: base64.b64encode(content).decode() for name, content in pictures.items()}
    return _rendered("card.html.j2", card=card, pictures=coded)


def _rendered(name: str, **given: Any) -> str:
    from jinja2 import DictLoader, Environment, StrictUndefined

    text = (files("retrim") / "templates" / name).read_text(encoding="utf-8")
    environment = Environment(
        loader=DictLoader({name: text}),
        autoescape=".html" in name,  # noqa: S701  Markdown escapes its own signs, by the filters below
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {"line": _line, "cell": _cell, "code": _code, "anchor": _anchor}
    environment.tests["number"] = lambda text: NUMBER.fullmatch(str(text)) is not None
    made = environment.get_template(name).render(**given)
    return re.sub(r"\n{3,}", "\n\n", made)


def _line(text: str) -> str:
    r"""Text on one line, in which Markdown finds no mark-up: a name from a table may hold anything."""
    plain = " ".join(str(text).split())
    return re.sub(r"([\\`*_\[\]<>|#])", r"\\\1", plain)


def _cell(text: str) -> str:
    """The same in a cell of a table, which may not be empty in every reader."""
    return _line(text) or " "


def _code(text: str) -> str:
    """Text between backticks in a cell, where Markdown reads all but these two signs as they stand."""
    return " ".join(str(text).split()).replace("`", "'").replace("|", "\\|")


def _anchor(name: str) -> str:
    return "source-" + re.sub(r"[^A-Za-z0-9]+", "-", name).strip("-")
