"""Three hundred hostile tables: how many end in settings, how many in which error. Every fourth with settings lands.

python bench/hostile.py [COUNT]
"""

import re
import shutil
import sys
import tempfile
import time
import traceback
from collections import Counter
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from hypothesis import HealthCheck, Phase, given, settings

from tests.builders.hostile_tables import hostile, wide
from tests.onboarding.test_init_hostile import landed, outcome

COUNT = int(sys.argv[1]) if len(sys.argv) > 1 else 300
ENDS: Counter[str] = Counter()
TRACES: list[str] = []
DRAFTED: list[bytes] = []
EACH = 4
WIDE = (500, 5000)
"""Columns of two more tables."""
SLOW = 30.0
"""Seconds from which a table is told by itself."""


@settings(
    max_examples=COUNT,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    derandomize=True,
    database=None,
    phases=[Phase.generate],
)
@given(hostile())
def ends(drawn: tuple[bytes, dict[str, Any]]) -> None:
    """One table."""
    content, wishes = drawn
    begun = time.perf_counter()
    folder = Path(tempfile.mkdtemp(prefix="hostile-"))
    try:
        ended = outcome(content, wishes)
        if ended == "settings":
            DRAFTED.append(content)
            ended = landed(folder, content, wishes) if len(DRAFTED) % EACH == 0 else ended
    except Exception:  # noqa: BLE001  each is told at the end
        trace = traceback.format_exc()
        TRACES.append(f"{wishes}\n{trace}")
        ended = f"TRACEBACK {trace.strip().splitlines()[-1]}"
    finally:
        shutil.rmtree(folder)
    took = time.perf_counter() - begun
    if took > SLOW:
        print(f"slow: {took:.0f} s, {len(content)} bytes, {wishes}, {ended[:60]}", flush=True)
    ENDS[re.sub(r"'[^']*'|\d+|\([^)]*\)", "*", ended)[:70]] += 1


if __name__ == "__main__":
    ends()
    print(f"{sum(ENDS.values())} tables, {len(TRACES)} tracebacks", flush=True)
    for end, count in ENDS.most_common():
        print(f"{count:4d}  {end}", flush=True)
    for columns in WIDE:
        begun = time.perf_counter()
        ended = outcome(wide(columns), {"target": "goal", "event_time": "when"})
        print(f"{columns} columns: {ended[:70]}, {time.perf_counter() - begun:.0f} s", flush=True)
    for trace in TRACES:
        print(trace)
