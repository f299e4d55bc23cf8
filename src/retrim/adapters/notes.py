"""What MLflow's pages say of a verdict, in Markdown."""

from collections.abc import Mapping
from typing import Any

from retrim.core.gate.verdict import mark_of


def verdict_note(verdict: Mapping[str, Any]) -> str:
    """A verdict in Markdown: the word of the gate, then a line a check."""
    word = "Passed" if verdict["promote"] else "Refused by"
    lines = check_lines(verdict)
    seen = verdict.get("detectable")  # older bundles do not have it
    lines += [f"- could be seen: {seen['text']}"] if seen else []
    lines += [f"- note: {text}" for text in verdict.get("notes", [])]
    said = f"{word} the gate: challenger {verdict['winner']} on {verdict['rows']} judging rows."
    where = "The model card is card/model_card.html in the artifacts of the run; `retrim card` writes it anew."
    return f"{said} {where}\n\n" + "\n".join(lines)


def check_lines(record: Mapping[str, Any]) -> list[str]:
    """A line a check of a verdict or of the release checks."""
    marks = ((mark_of(check), check["text"]) for check in record["checks"])
    return [f"- {'**failed**' if mark == 'failed' else mark}: {text}" for mark, text in marks]
