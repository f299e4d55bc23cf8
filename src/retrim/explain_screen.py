"""An explained prediction on the screen: what each feature adds, with a bar, down to the sum."""

from typing import Any

from retrim import screens

WIDTH = 12  # characters of a bar on either side
SCORES = {
    "identity": "prediction",
    "log": "log of the prediction",
    "chance": "chance",
    "log odds": "log odds",
    "shares": "share",
    "log shares": "raw score (log share)",
}
HOW = {
    "log": "exp(sum)",
    "log odds": "1 / (1 + exp(-sum))",
    "shares": "its share of the sum of all classes",
    "log shares": "its exp over that of all classes",
}
"""How a raw score becomes the output; one that is the output itself is not in it."""


def show_explanation(record: dict[str, Any], *, top: int) -> None:
    """The `top` largest contributions, the rest in one line, and the sum."""
    explained = record["class"]
    of = "" if explained is None else f" of {explained}"
    output = f"{record['output']:.6g}" if explained is None else f"{explained} with {record['output']:.2%}"
    screens.show_facts(
        [
            ("version", record["version"]),
            ("row", record["key"]),
            ("event", screens.moment(record["event"])),
            ("features as of", screens.moment(record["as_of"])),
            ("prediction", output),
            ("stored", None if record["stored"] is None else _stored_in_words(record)),
            ("classes", _classes_in_words(record)),
        ]
    )
    added = record["contributions"]
    shown, rest = added[:top], added[top:]
    parts = [(each["feature"], _value_in_words(each), each["contribution"]) for each in shown]
    if rest:
        parts.append((f"{len(rest)} other{'' if len(rest) == 1 else 's'}", "", sum(e["contribution"] for e in rest)))
    largest = max((abs(part[2]) for part in parts), default=0.0)
    rows = [("average training row", "", f"{record['base']:.6g}", "")]
    rows += [(name, value, f"{part:+.6g}", _bar(part, largest)) for name, value, part in parts]
    rows.append((f"sum: {SCORES[record['link']]}{of}", "", f"{record['score']:.6g}", _link_in_words(record)))
    screens.show_table(("feature", "value", "adds", ""), rows, title="What each feature adds")
    screens.OUT.print(
        f"\nexact (TreeSHAP, or a linear model's terms); they miss the score by {abs(record['remainder']):.1e}",
        highlight=False,
    )


def _bar(part: float, largest: float) -> str:
    """A bar to the left of the middle for what lowers, to the right for what raises."""
    length = round(WIDTH * abs(part) / largest) if largest > 0 else 0
    left, right = ("█" * length, "") if part < 0 else ("", "█" * length)
    return f"{left:>{WIDTH}}│{right:<{WIDTH}}"


def _value_in_words(each: dict[str, Any]) -> str:
    if not each["note"]:
        return str(each["value"])
    return f"{each['value']} ({each['note']})" if each["value"] else str(each["note"])


def _link_in_words(record: dict[str, Any]) -> str:
    how = HOW.get(record["link"])
    return "" if how is None else f"{how} = {record['output']:.4f}"


def _stored_in_words(record: dict[str, Any]) -> str:
    stored = record["stored"]
    said = ", ".join(f"{each:.6g}" for each in stored) if isinstance(stored, list) else f"{stored:.6g}"
    return f"{said}: {'as the version says now' if record['agrees'] else 'NOT what the version says now'}"


def _classes_in_words(record: dict[str, Any]) -> str | None:
    ranked = sorted(record["outputs"].items(), key=lambda item: (-item[1], item[0]))
    if not ranked:
        return None
    more = f", {len(ranked) - 5} more" if len(ranked) > 5 else ""
    return ", ".join(f"{name} {share:.2%}" for name, share in ranked[:5]) + more
