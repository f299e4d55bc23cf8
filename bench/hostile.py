"""Three hundred hostile tables: how many end in settings, and how many in which error.

python bench/hostile.py
"""

import re
import sys
from collections import Counter
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from hypothesis import HealthCheck, given, settings

from tests.ops.hostile_tables import hostile
from tests.ops.test_init_hostile import outcome

ENDS: Counter[str] = Counter()


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True, database=None)
@given(hostile())
def ends(drawn: tuple[bytes, dict[str, Any]]) -> None:
    """One table."""
    ENDS[re.sub(r"'[^']*'|\d+|\([^)]*\)", "*", outcome(*drawn))[:70]] += 1


if __name__ == "__main__":
    ends()
    for end, count in ENDS.most_common():
        print(f"{count:4d}  {end}")
