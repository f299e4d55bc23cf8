"""The version number of a bundle's format: written into it when it is made, read before anything else of it."""

import json
from collections.abc import Mapping
from typing import Any

from retrim.errors import BadInputError

FORMAT_FILE = "format.json"
VIEW = "features/view.json"
HISTORY = "features/history.json"
"""Its features from the past; not there where it has none."""
THRESHOLDS = "backtest/thresholds.json"
FORMAT = 1
"""Raised when a file or field that was there is gone or means something else; an added one leaves it.

docs/bundle.md describes it, and tests/fixtures/bundles keeps a bundle of each number for ever.
"""


def format_record() -> dict[str, Any]:
    """What the file holds."""
    return {"kind": "retrim bundle", "format": FORMAT}


def format_of(files: Mapping[str, bytes]) -> int:
    """The format of a bundle; 1 also for those that were made before it was written down.

    Args:
        files: Of the bundle, by relative name.

    Raises:
        BadInputError: It is newer than what this retrim reads, or the file is none.
    """
    if FORMAT_FILE not in files:
        return 1
    try:
        found = json.loads(files[FORMAT_FILE])["format"]
    except (ValueError, KeyError, TypeError) as error:
        raise BadInputError(f"{FORMAT_FILE} of the bundle cannot be read; restore the bundle") from error
    if not isinstance(found, int) or found < 1:
        raise BadInputError(f"{FORMAT_FILE} of the bundle says format {found!r}; a whole number from 1 is needed")
    if found > FORMAT:
        raise BadInputError(
            f"the bundle has format {found}, and this retrim reads up to {FORMAT}: use the retrim that made it, or a "
            "newer one"
        )
    return found
