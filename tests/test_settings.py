"""Columns that are looked at beside the model's stay, where rows are put together into coarser ones."""

from copy import deepcopy
from typing import Any

import pytest
from pydantic import ValidationError

from retrim.settings import Params
from tests.builders.shipped import whole

LOOKED = "passed_by"
GROUP = {"column": LOOKED, "cuts": [], "least_rows": 100}


def settings(section: str, said: dict[str, Any], **how: str) -> Params:
    document = deepcopy(whole())
    data = document["data"]
    data["columns"][LOOKED] = {"type": "category", "role": "forbidden"}
    kept = {
        name: "mean" if column["type"] in ("number", "integer") else "last"
        for name, column in data["columns"].items()
        if column["role"] in ("feature", "target")
    }
    data["rows"]["resample"] = {"every": "1D", "by": [], "how": kept | how}
    document[section] |= said
    return Params.model_validate(document)


USES = [
    ("fairness", {"groups": [GROUP]}, "fairness.groups"),
    ("gate", {"slices": whole()["gate"]["slices"] | {"columns": [LOOKED]}}, "gate.slices.columns"),
    ("leaks", {"entity": LOOKED}, "leaks.entity"),
]


@pytest.mark.parametrize(("section", "said", "key"), USES)
def test_a_column_that_would_be_missing_throughout_is_refused(section: str, said: dict[str, Any], key: str) -> None:
    with pytest.raises(ValidationError, match=rf"'{LOOKED}' .*\b{key}\b"):
        settings(section, said)


@pytest.mark.parametrize(("section", "said", "key"), USES)
def test_a_column_of_which_something_is_said_stays(section: str, said: dict[str, Any], key: str) -> None:
    assert LOOKED in settings(section, said, **{LOOKED: "last"}).data.rows.resample.how  # type: ignore[union-attr]
