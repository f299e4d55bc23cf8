"""Values written into a params.yaml, with the comments that stand beside them."""

import pytest

from retrim.lineage.settings_file import edited
from retrim.stats.plugins import SettingChoice
from retrim.yaml_files import load_yaml


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("split:\n  rows: 8\n", "split:\n  rows: 9\n"),
        ("split:\n  rows: 8  # (a quarter of 32)\n", "split:\n  rows: 9\n"),
        ("split:\n  rows: 8  # (a quarter of 32)\n\ntune:\n  seed: 7\n", "split:\n  rows: 9\n\ntune:\n  seed: 7\n"),
    ],
    ids=["no comment", "a reason", "a reason before another section"],
)
def test_a_value_without_a_reason_is_written_where_no_comment_is_left(text: str, expected: str) -> None:
    found = edited(text, {("split", "rows"): SettingChoice(9, "")})

    assert found.replace(" \n", "\n") == expected
    assert load_yaml(found)["split"]["rows"] == 9
