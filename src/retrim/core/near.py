"""The keys that are nearest to one that is not there, so that an error can name them."""

from bisect import bisect_left
from collections.abc import Sequence
from difflib import get_close_matches

AROUND = 200


def near_keys(known: Sequence[str], wanted: str, *, most: int) -> list[str]:
    """Up to `most` of the known keys: those spelt alike, then the neighbours in order.

    Only `AROUND` neighbours on either side are compared letter by letter: a table may have millions.

    Args:
        known: In any order.
        wanted: One that is not among them.
        most: 1 or more.
    """
    ordered = sorted(set(known))
    place = bisect_left(ordered, wanted)
    neighbours = ordered[max(place - AROUND, 0) : place + AROUND]
    alike = get_close_matches(wanted, neighbours, n=most, cutoff=0.8)
    middle = min(place, AROUND)
    nearest = sorted(range(len(neighbours)), key=lambda at: abs(at - middle + 0.5))
    return list(dict.fromkeys([*alike, *(neighbours[at] for at in nearest)]))[:most]
