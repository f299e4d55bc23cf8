"""The example of docs/how-to/preparing.md is one that works."""

import re
from pathlib import Path

from retrim.features.fitted import PrepareParams
from retrim.yaml_files import load_yaml

TEXT = (Path(__file__).resolve().parents[2] / "docs" / "how-to" / "preparing.md").read_text(encoding="utf-8")


def test_the_example_is_read_as_it_stands() -> None:
    (example,) = re.findall(r"```yaml\n(.*?)```", TEXT, re.DOTALL)

    assert len(PrepareParams.model_validate(load_yaml(example)["prepare"]).steps) == 7
