"""Text as a few numbers: words counted, by name or by a hash, weighted by how rare they are, and reduced by an SVD."""

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Annotated, Any
from zlib import crc32

import numpy as np
from pydantic import Field

from retrim.core.prepare.step import CATEGORIES, Frame, Learned, Made, Past, Step, codes_of, counts_of, step

Components = Annotated[int, Field(ge=1, le=256)]
Words = Annotated[int, Field(ge=2, le=20_000)]
Seed = Annotated[int, Field(ge=0, lt=2**32)]
MOST_ROWS = 50_000
"""Rows that words, weights and the SVD are learned from, at most, spread evenly over training."""
DIGITS = 9  # significant ones that are kept of a weight


def words_of(text: str) -> list[str]:
    """Words of two signs or more, lower case."""
    return re.findall(r"\w\w+", text.lower())


def _counts(values: Iterable[str | None], place: Callable[[str], int | None]) -> list[dict[int, int]]:
    found = []
    for value in values:
        row: dict[int, int] = {}
        for word in words_of(value) if value is not None else ():
            at = place(word)
            if at is not None:
                row[at] = row.get(at, 0) + 1
        found.append(row)
    return found


def _weighted(row: dict[int, int], rarity: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Places and weights of one text, of length 1."""
    places = np.fromiter(sorted(row), dtype="int64", count=len(row))
    weights = np.array([row[place] for place in places.tolist()]) * rarity[places]
    length = float(np.sqrt((weights**2).sum()))
    return places, weights / length if length > 0 else weights


class _Text(Step):
    """Common to both: how a word finds its place is theirs."""

    def place(self, state: Mapping[str, Any]) -> Callable[[str], int | None]:
        """How a word finds its place; None: it has none."""
        raise NotImplementedError

    def reduced(self, past: Past, owns: Mapping[str, dict[str, Any]], *, components: int, seed: int) -> Learned:
        """The state of each column with rarity and components added."""
        state: dict[str, Any] = {}
        makes: dict[str, Made] = {}
        said: dict[str, Any] = {}
        for name, values in past.frame.items():
            own = owns[name]
            rows = _counts(_some(values), self.place(own))
            rarity = _rarity(rows, own["places"])
            axes, kept = _axes([_weighted(row, rarity) for row in rows], own["places"], components, seed)
            state[name] = {**own, "rarity": _short(rarity), "axes": [_short(axis) for axis in axes]}
            said[name] = {"words": own["places"], "share kept": kept}
            makes |= {f"{name}:text{number + 1}": Made("number", name) for number in range(components)}
        return Learned({"columns": state, "components": components}, makes, drops=tuple(past.frame), said=said)

    def apply(self, frame: Frame, state: Mapping[str, Any]) -> Frame:
        made: Frame = {}
        for name, values in frame.items():
            own = state["columns"][name]
            axes, rarity = np.array(own["axes"]).reshape(len(own["axes"]), own["places"]), np.array(own["rarity"])
            texts = list(counts_of(values))  # each once: many rows may say the same
            told = np.zeros((len(texts) + 1, state["components"]))
            for number, row in enumerate(_counts(texts, self.place(own))):
                if row:
                    places, weights = _weighted(row, rarity)
                    told[number, : len(axes)] = (axes[:, places] * weights).sum(axis=1)
            told[-1] = np.nan
            found = told[codes_of(values, texts)]  # a missing one has the code -1
            made |= {f"{name}:text{number + 1}": found[:, number] for number in range(state["components"])}
        return made


@step("text_tfidf", takes=CATEGORIES, gives="gone")
class TextTfidf(_Text):
    """`COLUMN:text1` and so on: the most frequent words of training, weighted by rarity, reduced to components.

    A text without a known word is 0 in all; a missing one is missing.
    """

    def learn(self, past: Past, *, words: Words, components: Components, seed: Seed) -> Learned:
        owns = {}
        for name, values in past.frame.items():
            counts: dict[str, int] = {}
            for value in _some(values):
                for word in words_of(value) if value is not None else ():
                    counts[word] = counts.get(word, 0) + 1
            kept = sorted(sorted(counts, key=lambda word: (-counts[word], word))[:words])
            owns[name] = {"words": kept, "places": len(kept)}
        return self.reduced(past, owns, components=components, seed=seed)

    def place(self, state: Mapping[str, Any]) -> Callable[[str], int | None]:
        return {word: place for place, word in enumerate(state["words"])}.get


@step("text_hash", takes=CATEGORIES, gives="gone")
class TextHash(_Text):
    """The same without a list of words: each is counted in the bucket that its hash names, so new words count too."""

    def learn(self, past: Past, *, buckets: Words, components: Components, seed: Seed) -> Learned:
        return self.reduced(past, {name: {"places": buckets} for name in past.frame}, components=components, seed=seed)

    def place(self, state: Mapping[str, Any]) -> Callable[[str], int | None]:
        return lambda word: crc32(word.encode("utf-8", "surrogatepass")) % int(state["places"])


def _some(values: np.ndarray) -> np.ndarray:
    if len(values) <= MOST_ROWS:
        return values
    return np.asarray(values[np.linspace(0, len(values) - 1, MOST_ROWS).round().astype("int64")])


def _rarity(rows: list[dict[int, int]], places: int) -> np.ndarray:
    """ln((1 + rows) / (1 + rows with the word)) + 1, as scikit-learn has it."""
    having = np.zeros(places)
    for row in rows:
        having[list(row)] += 1
    return np.asarray(np.log((1 + len(rows)) / (1 + having)) + 1)


def _axes(
    rows: list[tuple[np.ndarray, np.ndarray]], places: int, components: int, seed: int
) -> tuple[np.ndarray, float | None]:
    """The axes of the SVD, shape (up to components, places), and the share of the squared weights that they keep.

    Source:
        Halko, Martinsson and Tropp (2011), SIAM Review 53(2), 217-288, as in scikit-learn.
    """
    from scipy.sparse import csr_array

    some = [row for row in rows if len(row[0])]
    most = min(components, places, len(some))
    if most < 1:
        return np.zeros((0, places)), None
    ends = np.cumsum([0, *(len(found) for found, _ in some)])
    matrix = csr_array(
        (np.concatenate([weights for _, weights in some]), np.concatenate([found for found, _ in some]), ends),
        shape=(len(some), places),
    )
    if most == min(matrix.shape):
        # As many axes as there are: the exact decomposition, and small.
        axes = np.linalg.svd(matrix.toarray(), full_matrices=False)[2][:most]
        largest = np.abs(axes).argmax(axis=1)
        return axes * np.sign(axes[np.arange(most), largest])[:, None], 1.0
    from sklearn.decomposition import TruncatedSVD

    with np.errstate(all="ignore"):  # texts that are all alike have no variance to explain
        fitted = TruncatedSVD(most, algorithm="randomized", n_iter=7, random_state=seed).fit(matrix)
    # Each text has length 1, so their squares sum to how many there are.
    return np.asarray(fitted.components_), round(float((fitted.singular_values_**2).sum()) / len(some), DIGITS)


def _short(numbers: np.ndarray) -> list[float]:
    return [float(f"{number:.{DIGITS}g}") for number in numbers.tolist()]
