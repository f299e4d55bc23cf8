"""The result of a policy backtest as one HTML page that needs nothing else.

Pictures of a policy backtest as PNG bytes: the same figures give the same bytes.
"""

from base64 import b64encode
from collections.abc import Mapping, Sequence
from html import escape

from retrim.stats.charts import COLOURS, INK, MUTED, drawn, plain

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #1f2933; max-width: 62rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.4rem; } h2 { font-size: 1.1rem; margin-top: 2rem; }
p.answer { font-size: 1.1rem; border-left: 4px solid #1f6feb; padding-left: 0.8rem; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: 0.25rem 0.8rem; border-bottom: 1px solid #e4e7eb; text-align: right; }
th:first-child, td:first-child { text-align: left; }
img { max-width: 100%; } small { color: #616e7c; }
"""


def page(
    *,
    title: str,
    sentence: str,
    facts: Sequence[str],
    columns: Sequence[str],
    rows: Sequence[Sequence[str]],
    pictures: Mapping[str, bytes],
) -> bytes:
    """The page: the recommendation first, then the table and the pictures; no script, no address of another place.

    Args:
        title: Of the page.
        sentence: The recommendation.
        facts: What was tried, a line each.
        columns: Names of the table's columns.
        rows: Its cells.
        pictures: PNG bytes by what they show.
    """
    head = "".join(f"<th>{escape(name)}</th>" for name in columns)
    body = "\n".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    shown = "\n".join(
        f'<h2>{escape(name)}</h2>\n<img alt="{escape(name)}" src="data:image/png;base64,{b64encode(png).decode()}">'
        for name, png in pictures.items()
    )
    told = "<br>\n".join(escape(fact) for fact in facts)
    return (
        f'<!doctype html>\n<html lang="en">\n<meta charset="utf-8">\n<title>{escape(title)}</title>\n'
        f'<style>{STYLE}</style>\n<h1>{escape(title)}</h1>\n<p class="answer">{escape(sentence)}</p>\n'
        f"<table>\n<tr>{head}</tr>\n{body}\n</table>\n{shown}\n<p><small>{told}</small></p>\n</html>\n"
    ).encode()


MARKS = {"gain": "o", "every": "s", "always": "s", "never": "X"}


def loss_by_retrainings(points: Mapping[str, tuple[int, float]], frontier: Sequence[tuple[int, float]]) -> bytes:
    """Each policy's loss against its number of retrainings, and the least that hindsight could have had with as many.

    Args:
        points: Retrainings and loss, mean loss times checks, by policy.
        frontier: The same of the best schedules in hindsight, by number.
    """
    with drawn("Loss against retrainings", width=8.4, height=5.2) as (axes, made):
        ordered = sorted(frontier)
        axes.step(
            [count for count, _ in ordered],
            [loss for _, loss in ordered],
            where="post",
            color=MUTED,
            linewidth=1.4,
            label="best in hindsight with as many",
        )
        names: dict[tuple[int, float], list[str]] = {}
        for name, point in points.items():
            names.setdefault(point, []).append(name)
        for number, (point, alike) in enumerate(sorted(names.items())):
            stem = alike[0].partition("-")[0]
            colour = COLOURS[0] if stem == "gain" else COLOURS[1] if stem in MARKS else COLOURS[3]
            axes.scatter(*point, s=42, color=colour, marker=MARKS.get(stem, "D"), zorder=3, linewidths=0)
            # Names of points that lie close to one another go up and down in turn, and those far right to the left.
            right = point[0] < 0.8 * max(count for count, _ in names)
            axes.annotate(
                plain(", ".join(alike)),
                point,
                (5 if right else -5, 6 if number % 2 else -6),
                textcoords="offset points",
                ha="left" if right else "right",
                va="bottom" if number % 2 else "top",
                color=INK,
                fontsize=8,
            )
        axes.set(xlabel="retrainings", ylabel="loss summed over the windows, mean loss x checks")
        axes.legend(loc="upper right")
    return made.getvalue()


def cost_by_retraining_cost(
    costs: Mapping[str, Sequence[float]], retraining_costs: Sequence[float], *, retraining_cost: float
) -> bytes:
    """Total cost of each policy over the retraining cost, each over that of the best schedule at that cost.

    Args:
        costs: Cost over that of hindsight at each cost, 1 or more, by policy.
        retraining_costs: Of a retraining, in mean loss times checks, ascending, above 0.
        retraining_cost: The one that params.yaml has.
    """
    with drawn("Total cost over the retraining cost", width=8.4, height=4.8) as (axes, made):
        for number, (name, values) in enumerate(costs.items()):
            axes.plot(
                retraining_costs,
                values,
                color=COLOURS[number % len(COLOURS)],
                linestyle=("-", "--", ":")[number // len(COLOURS) % 3],
                linewidth=1.6,
                label=plain(name),
            )
        axes.axvline(retraining_cost, color=MUTED, linewidth=0.9, linestyle=":")
        axes.annotate(
            "cost now",
            (retraining_cost, 1),
            (3, -2),
            xycoords=("data", "axes fraction"),
            textcoords="offset points",
            va="top",
            color=MUTED,
            fontsize=9,
        )
        axes.set_xscale("log")
        axes.set(xlabel="retraining cost, mean loss x checks", ylabel="cost over that of the best in hindsight")
        axes.set_ylim(0.98, min(max(max(values) for values in costs.values()) * 1.02, 3.0))
        axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return made.getvalue()
