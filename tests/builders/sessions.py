"""Sessions that a document prints, taken apart so that a test can run them and hold what they print against it."""

import re
from collections.abc import Sequence

LEFT_OUT = "..."
"""A line of a document that stands for lines it leaves out."""


def session(text: str) -> list[tuple[str, list[str]]]:
    """Commands of the first session that begins with `retrim new`, each with the lines that the document prints."""
    block = re.search(r"```\n(\$ retrim new.*?)\n```", text, re.DOTALL)
    assert block is not None
    steps: list[tuple[str, list[str]]] = []
    for line in block[1].splitlines():
        if line.startswith("$ "):
            steps.append((line[2:], []))
        else:
            steps[-1][1].append(line)
    return steps


def masked(line: str) -> str:
    """A line without its figures: they may differ in the last digit on another machine."""
    return re.sub(r"[0-9a-f]{12,}|\d+(?:[.,]\d+)?", "#", " ".join(line.split()))


def is_printed(shown: Sequence[str], printed: str) -> bool:
    """Whether a document shows what a command printed: line by line but for figures and what `...` stands for."""
    forms = [".*" if line == LEFT_OUT else re.escape(masked(line)) for line in shown if line.strip()]
    lines = [masked(line) for line in printed.splitlines() if line.strip()]
    return re.fullmatch("\n".join(forms), "\n".join(lines), re.DOTALL) is not None
