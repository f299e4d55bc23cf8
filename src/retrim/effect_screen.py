"""What a tried setting shows: both losses, the gain, the slices that lose and gain most, and the sentence."""

from typing import Any

from retrim import screens

SHOWN = 3


def show_effect(record: dict[str, Any]) -> None:
    """Prints the record of `retrim.ops.effect.Effect`."""
    for key, both in record["changes"].items():
        screens.OUT.print(f"{key}: {_told(both['as_is'])} -> {_told(both['tried'])}", highlight=False, markup=False)
    low, high = record["interval"]
    screens.show_table(
        ("", record["measure"], "seconds"),
        [
            (name, f"{record['loss'][side]:.4g}", f"{record['seconds'][side]:.1f}")
            for name, side in (("as it is", "as_is"), ("as tried", "tried"))
        ],
    )
    screens.OUT.print(
        f"gain {record['gain']:+.1%} ({low:+.1%} to {high:+.1%}), {record['rows']} rows, {record['origins']} origins",
        highlight=False,
        markup=False,
    )
    told = [each for each in record["slices"] if each["saved"] is not None]
    worst = [each for each in told if each["saved"][0] < 0][:SHOWN]
    best = [each for each in reversed(told) if each["saved"][0] > 0][:SHOWN]
    for title, found in (("loses most", worst), ("gains most", best)):
        if found:
            screens.show_table(("slice", "rows", "as it is", "as tried", "saved"), map_lines(found), title=title)
    screens.OUT.print()
    screens.OUT.print(record["sentence"], highlight=False, markup=False)


def map_lines(found: list[dict[str, Any]]) -> list[tuple[str, ...]]:
    """A line a slice."""
    return [
        (
            f"{each['column']}: {each['name']}",
            str(each["rows"]),
            f"{each['other']:.4g}",
            f"{each['loss']:.4g}",
            f"{each['saved'][0]:+.3g} ({each['saved'][1]:+.3g} to {each['saved'][2]:+.3g})",
        )
        for each in found
    ]


def _told(value: Any) -> str:
    return screens.brief("null" if value is None else str(value), 100)
