"""A look as one HTML page, by a Jinja2 template that ships with the package: no script, nothing is fetched."""

from base64 import b64encode
from importlib.resources import files

from retrim.core.look.page import Page

TEMPLATE = "look.html.j2"


def html(page: Page) -> str:
    """The page with its pictures in it; all text from the table is escaped."""
    from jinja2 import DictLoader, Environment, StrictUndefined

    text = (files("retrim") / "templates" / TEMPLATE).read_text(encoding="utf-8")
    environment = Environment(
        loader=DictLoader({TEMPLATE: text}),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["png"] = lambda picture: b64encode(picture).decode()
    return environment.get_template(TEMPLATE).render(page=page)
