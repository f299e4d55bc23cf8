"""How far a recipe fitted once more, on the rows that judged too, is from the model that was judged.

`python bench/agreement.py`: bike, bank and rodents by default, 8 moments evenly from 40% of the rows on. At each the
recipe is fitted on the rows before the newest `judge_rows`, and once more on all; both are held against one another as
`AgreementParams` says. Beside it the same with a fault: the targets of all rows are shuffled, or those of the rows
that judge alone.
"""

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
from matrices import recipe_of
from streams import Stream, load

from retrim.features.view import FeatureView
from retrim.gate.agreement import AgreementParams, agree
from retrim.gate.verdict import ScoredModel, score
from retrim.stats.windows import past_of
from retrim.training.recipe import fit_recipe

JUDGE_ROWS = {"bike": 336, "bank": 400, "rodents": 400}
MOMENTS, FROM = 8, 0.4


def main() -> None:
    """Prints a line a stream: changes of sound second fits, and how many of sound and spoilt ones are let live."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    params = AgreementParams()
    heads = (
        "stream",
        "rows that judge",
        "99% move by, median (most)",
        "loss, median",
        "sound, live",
        "all shuffled, live",
        "judging shuffled, live",
    )
    print(f"| {' | '.join(heads)} |")
    print("|---|---|---|---|---|---|---|")
    for name, judging in JUDGE_ROWS.items():
        stream = load(name, Path("var"))
        found = [at_moment(stream, round(n), params) for n in np.linspace(FROM, 1, MOMENTS) * len(stream.table)]
        changes, losses, *live = (np.array(column, dtype=float) for column in zip(*found, strict=True))
        said = f"{np.median(changes):.1%} ({changes.max():.1%}) | {np.median(losses):+.1%}"
        counted = " | ".join(f"{each.sum():.0f} of {MOMENTS}" for each in live)
        print(f"| {name} | {judging} | {said} | {counted} |", flush=True)


def at_moment(stream: Stream, rows: int, params: AgreementParams) -> tuple[float, float, bool, bool, bool]:
    """Change of predictions and of loss of a sound second fit; whether it goes live, and whether spoilt ones do."""
    table = stream.table.iloc[:rows].reset_index(drop=True)
    start = rows - JUDGE_ROWS[stream.name]
    past = table.iloc[past_of(table["_event"], table["_due"], start)]
    block = table.iloc[start:]
    judged = fitted(stream, past, block)
    sound = agree("all", judged, fitted(stream, table, block), params)
    part = pd.concat([table.iloc[:start], spoilt(stream, block)])
    live = [agree("all", judged, fitted(stream, rows, block), params).promote for rows in (spoilt(stream, table), part)]
    return sound.checks[1].figure, sound.checks[2].figure, sound.promote, *live


def spoilt(stream: Stream, rows: pd.DataFrame) -> pd.DataFrame:
    """The same rows with one another's targets."""
    order = np.random.default_rng(7).permutation(len(rows))
    return rows.assign(**{stream.data.target: rows[stream.data.target].to_numpy()[order]})


def fitted(stream: Stream, rows: pd.DataFrame, block: pd.DataFrame) -> ScoredModel:
    """The recipe on these rows, and what it says of the block."""
    view = FeatureView.learn(rows, stream.data)
    model = fit_recipe(recipe_of(stream), view, rows, threads=1)
    return score(view, block, model.predict(view.matrix(block)), loss=stream.loss, stated=None)


if __name__ == "__main__":
    main()
