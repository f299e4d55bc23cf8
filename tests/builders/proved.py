"""What a champion's move needs, for tests that make one in a store by hand: release checks that passed, and a row."""

from typing import Any

from retrim.adapters.store import Store
from retrim.decision.release_checks import RELEASE_CHECKS
from retrim.decision.stored_rows import ReleaseMove

PASSED: dict[str, Any] = {"passed": True, "reason": "as the test says", "checks": []}


def pass_checks(store: Store, model: str, version: int, *, at: str) -> None:
    """Records of a version that it passed its release checks, as `ops.release_checks` does."""
    store.add_to_envelope(model, version, kind=RELEASE_CHECKS, name="first", at=at, record=PASSED)


def move(model: str, version: int, *, at: str, action: str = "promote", reason: str = "") -> ReleaseMove:
    """A release, as `ops.release.make_live` hands it to the store: made as of a moment, at that moment."""
    return ReleaseMove(model=model, version=version, action=action, actor="a test", reason=reason, as_of=at, at=at)
