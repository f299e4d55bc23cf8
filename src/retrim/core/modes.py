"""How a run makes its version."""

from typing import Literal

Mode = Literal["search", "warm", "refit"]
FINAL = "final"
"""The mode of a run that fits a promoted recipe once more, on the rows that judged too. Nobody asks for it by name."""
RunMode = Literal["search", "warm", "refit", "final"]
