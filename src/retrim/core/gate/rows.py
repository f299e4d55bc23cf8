"""The check `rows`: whether enough rows judge."""

from retrim.core.gate.verdict import Check


def enough_rows(rows: int, *, least: int) -> Check:
    """Whether there are at least `least` judging rows."""
    text = f"{rows} judging rows, at least {least} needed"
    if rows < least:
        text += f": {least - rows} are missing"
    return Check("rows", rows >= least, rows, least, text, None)
