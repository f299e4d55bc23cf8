"""When a batch arrives that does not say: by the clock, once its turn has come, and never before another."""

import pandas as pd
import pytest

from retrim.adapters.landing_zone import Landing
from retrim.errors import BadInputError
from retrim.landing.ingest import arrival, land_batch
from retrim.landing.withdraw import A_SECOND
from retrim.lineage.workspace import clock
from tests.builders.counter import HEAVY, NEXT, Counter
from tests.builders.landed import quarantine_show


def landing_with(counter: Counter, at: pd.Timestamp) -> Landing:
    """A landing zone whose last batch arrived then."""
    landing, rows = Landing(counter.workspace.landing), pd.DataFrame({"_key": ["1"], "price": [1.0]})
    with landing.locked():
        landing.land("rows", rows, digest="0" * 64, arrived=at, correction=False, released="")
    return landing


def test_one_that_waited_for_another_arrives_with_it_not_before_it(counter: Counter) -> None:
    last = clock() + A_SECOND  # what a process that began after us may have written by now
    landing = landing_with(counter, last)

    assert arrival(landing, None, correction=False) == last


def test_a_correction_arrives_after_what_it_corrects_also_within_the_second(counter: Counter) -> None:
    last = clock() + A_SECOND
    landing = landing_with(counter, last)

    assert arrival(landing, None, correction=True) == last + A_SECOND


def test_a_third_correction_within_the_second_waits_for_its_turn(counter: Counter) -> None:
    last = clock() + 2 * A_SECOND
    landing = landing_with(counter, last)

    assert arrival(landing, None, correction=True) > last


def test_a_clock_that_went_back_is_told(counter: Counter) -> None:
    landing = landing_with(counter, clock() + pd.Timedelta("1h"))

    with pytest.raises(BadInputError, match=r"arrival time .* last batch"):
        arrival(landing, None, correction=False)


def test_what_does_not_say_when_it_came_arrives_when_it_is_written(counter: Counter) -> None:
    begun = clock()
    landed = land_batch(counter.file(NEXT), workspace=counter.workspace, data=counter.data, now=None, correction=False)
    (batch,) = Landing(counter.workspace.landing).batches()

    assert landed.outcome == "landed"
    assert begun <= batch.arrived <= clock()


def test_it_is_set_aside_by_the_clock_too(counter: Counter) -> None:
    begun = clock()
    held = land_batch(counter.file(HEAVY), workspace=counter.workspace, data=counter.data, now=None, correction=False)

    assert held.outcome == "quarantined"
    assert begun <= quarantine_show(counter.workspace, held.batch).arrived <= clock()
