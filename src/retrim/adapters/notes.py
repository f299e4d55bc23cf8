"""What MLflow's pages say of a verdict, in Markdown. Texts hold values and names of a table, which anyone may write."""

import re
from collections.abc import Mapping
from typing import Any

from retrim.core.gate.verdict import mark_of

# Markdown, and HTML in it, begins with one of these; the slash ends a protocol that would become a link by itself.
SPECIAL = re.compile(r"[&<>\[\]`*_|\\~]|(?<=:)//")


def verdict_note(verdict: Mapping[str, Any]) -> str:
    """A verdict in Markdown: the word of the gate, then a line a check."""
    word = "Passed" if verdict["promote"] else "Refused by"
    lines = check_lines(verdict)
    seen = verdict.get("detectable")  # older bundles do not have it
    lines += [f"- could be seen: {escape(seen['text'])}"] if seen else []
    lines += [f"- note: {escape(text)}" for text in verdict.get("notes", [])]
    said = f"{word} the gate: challenger {escape(verdict['winner'])} on {verdict['rows']} judging rows."
    where = "The model card is card/model_card.html in the artifacts of the run; `retrim card` writes it anew."
    return f"{said} {where}\n\n" + "\n".join(lines)


def check_lines(record: Mapping[str, Any]) -> list[str]:
    """A line a check of a verdict or of the release checks."""
    marks = ((mark_of(check), escape(check["text"])) for check in record["checks"])
    return [f"- {'**failed**' if mark == 'failed' else mark}: {text}" for mark, text in marks]


def escape(text: str) -> str:
    """The text on one line, so that Markdown shows it as it is: special characters as numeric entities."""
    return SPECIAL.sub(lambda found: "".join(f"&#{ord(each)};" for each in found[0]), " ".join(text.split()))
