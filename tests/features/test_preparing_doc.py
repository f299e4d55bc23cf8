"""docs/how-to/preparing.md tells every step, with its arguments, and its example is one that works."""

import re
from pathlib import Path

import pytest
import yaml

from retrim.features.fitted import PrepareParams, arguments_of
from retrim.features.step import STEPS

TEXT = (Path(__file__).resolve().parents[2] / "docs" / "how-to" / "preparing.md").read_text(encoding="utf-8")
ROWS = [[cell.strip() for cell in line.strip("|").split("|")] for line in TEXT.splitlines() if line.startswith("| `")]
TOLD = {name: cells[2] for cells in ROWS for name in re.findall(r"`(\w+)`", cells[0])}


def test_the_table_names_every_step_and_no_other() -> None:
    assert sorted(TOLD) == [entry.name for entry in STEPS]


@pytest.mark.parametrize("name", sorted(TOLD))
def test_the_table_names_the_arguments_of_a_step(name: str) -> None:
    assert sorted(re.findall(r"`(\w+)`", TOLD[name])) == sorted(arguments_of(STEPS.entry(name)))


def test_the_example_is_read_as_it_stands() -> None:
    (example,) = re.findall(r"```yaml\n(.*?)```", TEXT, re.DOTALL)

    assert len(PrepareParams.model_validate(yaml.safe_load(example)["prepare"]).steps) == 8
