"""One world for all that only reads versions, or removes what nobody needs."""

import pytest

from tests.builders.world import World, lend_environment, make_world

FIRST, SECOND = 25, 35


GRACE = 'gc_grace: Span = Field(\n        exclude=True,\n        default="1h",'
AT_ONCE = [(GRACE, GRACE.replace("1h", "0s"))]
"""What came into the cache just now may be pruned."""


@pytest.fixture(scope="session")
def two_versions(tmp_path_factory: pytest.TempPathFactory, server: str) -> World:
    """A world with version 1, and version 2 that was judged against it after the table had changed.

    Proofs run in an environment lent to them.
    """
    drift = {"kind": "concept", "size": 3.0, "since": "2024-01-26T00:00:00+00:00"}
    made = make_world(tmp_path_factory.mktemp("two"), server=server, drift=drift, code=AT_ONCE)
    lend_environment(made)
    made.land(made.day(FIRST))
    made.retrim("retrain", "--as-of", made.day(FIRST))
    made.land(made.day(SECOND), since=made.day(FIRST))
    made.retrim("retrain", "--as-of", made.day(SECOND), code=(0, 1))
    return made
