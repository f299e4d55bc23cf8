"""The result of a policy backtest as one HTML page that needs nothing else."""

from base64 import b64encode
from collections.abc import Mapping, Sequence
from html import escape

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #1f2933; max-width: 62rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.4rem; } h2 { font-size: 1.1rem; margin-top: 2rem; }
p.answer { font-size: 1.1rem; border-left: 4px solid #1f6feb; padding-left: 0.8rem; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: 0.25rem 0.8rem; border-bottom: 1px solid #e4e7eb; text-align: right; }
th:first-child, td:first-child { text-align: left; }
img { max-width: 100%; } small { color: #616e7c; }
"""


def page(
    *,
    title: str,
    sentence: str,
    facts: Sequence[str],
    columns: Sequence[str],
    rows: Sequence[Sequence[str]],
    pictures: Mapping[str, bytes],
) -> bytes:
    """The page: the recommendation first, then the table and the pictures; no script, no address of another place.

    Args:
        title: Of the page.
        sentence: The recommendation.
        facts: What was tried, a line each.
        columns: Names of the table's columns.
        rows: Its cells.
        pictures: PNG bytes by what they show.
    """
    head = "".join(f"<th>{escape(name)}</th>" for name in columns)
    body = "\n".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    shown = "\n".join(
        f'<h2>{escape(name)}</h2>\n<img alt="{escape(name)}" src="data:image/png;base64,{b64encode(png).decode()}">'
        for name, png in pictures.items()
    )
    told = "<br>\n".join(escape(fact) for fact in facts)
    return (
        f'<!doctype html>\n<html lang="en">\n<meta charset="utf-8">\n<title>{escape(title)}</title>\n'
        f'<style>{STYLE}</style>\n<h1>{escape(title)}</h1>\n<p class="answer">{escape(sentence)}</p>\n'
        f"<table>\n<tr>{head}</tr>\n{body}\n</table>\n{shown}\n<p><small>{told}</small></p>\n</html>\n"
    ).encode()
