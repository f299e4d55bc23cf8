"""Text as a few numbers: words counted, by name or by a hash, weighted by how rare they are, and reduced by an SVD."""

from collections.abc import Mapping
from typing import Annotated, Any

import numpy as np
import pandas as pd
from pydantic import Field

from retrim.features.step import (
    CATEGORIES,
    Frame,
    PreprocessingStep,
    StepColumn,
    StepState,
    TrainingRows,
    estimator_to_record,
    sample_places,
    step,
    transform_texts,
)

Components = Annotated[int, Field(ge=1, le=256)]
Words = Annotated[int, Field(ge=2, le=20_000)]
Seed = Annotated[int, Field(ge=0, lt=2**32)]
DIGITS = 9
"""Decimals of an axis that are kept. Processors differ beyond them."""


class _Text(PreprocessingStep):
    """scikit-learn's vectorizer, TfidfTransformer and TruncatedSVD on each column."""

    def _learn(self, past: TrainingRows, size: int, *, components: int, seed: int) -> StepState:
        state: dict[str, Any] = {}
        makes: dict[str, StepColumn] = {}
        said: dict[str, Any] = {}
        for name, values in past.frame.items():
            some = values[sample_places(len(values))]
            state[name], said[name] = self._learn_column(
                ["" if text is None else text for text in some], size, components, seed
            )
            makes |= {f"{name}:text{number + 1}": StepColumn("number", name) for number in range(components)}
        return StepState({"columns": state, "components": components}, makes, drops=tuple(past.frame), said=said)

    def vectorizer(self, texts: list[str], size: int) -> Any:
        """A vectorizer of that many words at most; None where there is no word."""
        raise NotImplementedError

    def _learn_column(
        self, texts: list[str], size: int, components: int, seed: int
    ) -> tuple[list[dict[str, Any]], dict[str, Any]]:
        from sklearn.decomposition import TruncatedSVD
        from sklearn.feature_extraction.text import TfidfTransformer

        vectorizer = self.vectorizer(texts, size) if texts else None
        counts = None if vectorizer is None else vectorizer.transform(texts)
        if counts is None or not counts.nnz:
            return [], {"words": 0, "share kept": None}
        rarity = TfidfTransformer().fit(counts)
        weights = rarity.transform(counts)
        fitted, share = [vectorizer, rarity], 1.0
        if counts.shape[1] > 1:  # else there is nothing to reduce
            with np.errstate(all="ignore"):  # texts that are all alike have no variance to explain
                axes = TruncatedSVD(min(components, counts.shape[1]), n_iter=7, random_state=seed).fit(weights)
            axes.components_ = np.round(axes.components_, DIGITS)
            axes.explained_variance_ratio_ = np.nan_to_num(axes.explained_variance_ratio_)
            share = float((axes.singular_values_**2).sum() / weights.power(2).sum())
            fitted.append(axes)
        said = {"words": counts.shape[1], "share kept": round(share, DIGITS)}
        return [estimator_to_record(each) for each in fitted], said

    def apply(self, frame: Frame, state: Mapping[str, Any]) -> Frame:
        made: Frame = {}
        for name, values in frame.items():
            reduced = transform_texts(state["columns"][name], values, width=state["components"], nested=False)
            made |= {f"{name}:text{number + 1}": reduced[:, number] for number in range(state["components"])}
        return made


@step("text_tfidf", takes=CATEGORIES, gives="gone")
class TextTfidf(_Text):
    """`COLUMN:text1` and so on: the most frequent words of training, weighted by rarity, reduced to components.

    A text without a known word is 0 in all; a missing one is missing.
    """

    def learn(self, past: TrainingRows, *, words: Words, components: Components, seed: Seed) -> StepState:
        return self._learn(past, words, components=components, seed=seed)

    def vectorizer(self, texts: list[str], size: int) -> Any:
        from sklearn.feature_extraction.text import CountVectorizer

        split = CountVectorizer().build_analyzer()
        counts = pd.Series([word for text in texts for word in split(text)], dtype="str").value_counts()
        # Not by max_features: which of equally frequent words it keeps depends on the processor.
        words = sorted(sorted(counts.index, key=lambda word: (-counts[word], word))[:size])
        return CountVectorizer(vocabulary=words) if words else None


@step("text_hash", takes=CATEGORIES, gives="gone")
class TextHash(_Text):
    """The same without a list of words: each is counted in the bucket that its hash names, so new words count too."""

    def learn(self, past: TrainingRows, *, buckets: Words, components: Components, seed: Seed) -> StepState:
        return self._learn(past, buckets, components=components, seed=seed)

    def vectorizer(self, texts: list[str], size: int) -> Any:
        from sklearn.feature_extraction.text import HashingVectorizer

        return HashingVectorizer(n_features=size, norm=None, alternate_sign=False)
