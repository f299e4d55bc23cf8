"""Pages and cards by the Jinja2 templates that ship with the package."""

import re
from base64 import b64encode
from typing import Any

from retrim.card.report import moment, shown

NUMBER = re.compile(r"[+-]?\d[\d.,]*(e[+-]?\d+)?%?( to [+-]?\d[\d.,]*(e[+-]?\d+)?)?|-")


def rendered(template: str, **values: Any) -> str:
    """A page as HTML, in which every text is escaped, or a card as Markdown."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("retrim"),
        autoescape=".html" in template,  # noqa: S701  Markdown escapes its own signs, by the filters below
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {"line": _line, "cell": _cell, "code": _code, "anchor": _anchor, "png": _png}
    environment.filters |= {"shown": shown, "moment": moment}
    environment.tests["number"] = lambda text: NUMBER.fullmatch(str(text)) is not None
    return re.sub(r"\n{3,}", "\n\n", environment.get_template(template).render(**values))


def _line(text: str) -> str:
    r"""Text on one line, in which Markdown finds no mark-up: a name from a table may hold anything."""
    return re.sub(r"([\\`*_\[\]<>|#])", r"\\\1", " ".join(str(text).split()))


def _cell(text: str) -> str:
    """The same in a cell of a table, which may not be empty in every reader."""
    return _line(text) or " "


def _code(text: str) -> str:
    """Text between backticks in a cell, where Markdown reads all but these two signs as they stand."""
    return " ".join(str(text).split()).replace("`", "'").replace("|", "\\|")


def _anchor(name: str) -> str:
    return "source-" + re.sub(r"[^A-Za-z0-9]+", "-", name).strip("-")


def _png(picture: bytes) -> str:
    return b64encode(picture).decode()
