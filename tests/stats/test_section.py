"""Spans of time as params.yaml has them."""

import pytest

from retrim.stats.plugins import check_span


@pytest.mark.parametrize("text", ["7", " 7 ", "+7", "", "nat", "nan", "soon", "-1D"])
def test_a_span_that_says_no_unit_or_is_none_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="span"):
        check_span(text)


@pytest.mark.parametrize(("text", "read"), [("7d", "7D"), ("90min", "90min"), ("00:30:00", "00:30:00"), ("0", "0")])
def test_a_span_stands_as_it_was_written(text: str, read: str) -> None:
    assert check_span(text) == read
