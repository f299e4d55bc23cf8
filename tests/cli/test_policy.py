"""The options of `retrim policy backtest` that exclude one another."""

import pytest

from retrim.cli.policy import backtest
from retrim.errors import BadInputError


def test_a_base_goes_with_no_changed_setting() -> None:
    with pytest.raises(BadInputError, match="--with"):
        backtest(base="main", settings=["gain.cost=1"])
