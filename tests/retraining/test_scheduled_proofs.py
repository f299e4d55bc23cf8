"""Which versions a scheduled proof picks from."""

from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest

from retrim.decision.stored_rows import Lineage
from retrim.files import platform_tag
from retrim.retraining import reproduce as op


def test_a_version_of_another_python_is_not_picked_as_it_cannot_be_rebuilt_here(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def version(number: int, platform: str) -> Any:
        return SimpleNamespace(version=number, made_from=Lineage(platform=platform))

    here = platform_tag()
    versions = [version(number, here if number == 7 else "linux-x86_64-python2.7.18") for number in range(1, 12)]
    store = SimpleNamespace(versions=lambda _: versions, envelopes=lambda *_, **__: [], runs=lambda *_, **__: [])
    params = SimpleNamespace(schedule=SimpleNamespace(prove="0 3 * * 0"))
    workspace: Any = SimpleNamespace(model="bike", store=store, params=params)
    picked: list[int] = []

    def prove(_house: Any, number: int, **_: Any) -> Any:
        picked.append(number)
        return SimpleNamespace(identical=True)

    monkeypatch.setattr(op, "prove_rebuild", prove)
    for week in range(20):
        now = pd.Timestamp("2024-01-07T03:00", tz="UTC") + week * pd.Timedelta("7D")
        op.prove_scheduled(workspace, now=now, say=str)

    assert set(picked) == {7}
