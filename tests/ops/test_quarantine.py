"""What was set aside is released with a reason, or dropped; each once."""

import pytest

from retrim.adapters.landing import Landing
from retrim.errors import BadInputError, RefusedError
from retrim.ops.ingest import drop, quarantine_show, release
from tests.ops.counter import GOOD, HEAVY, Counter


def test_a_released_batch_arrives_when_it_is_released(counter: Counter) -> None:
    held = counter.land(HEAVY)
    released = counter.release(held.batch[:6])
    (batch,) = Landing(counter.workspace.landing).batches()

    assert (released.outcome, batch.arrived, batch.released) == ("landed", counter.now, "weighed again")
    assert counter.table().index.tolist() == ["3", "4"]


def test_the_report_of_a_released_batch_says_why(counter: Counter) -> None:
    entry = quarantine_show(counter.workspace, counter.release(counter.land(HEAVY).batch).batch)

    assert (entry.state, entry.reason, entry.closed) == ("released", "weighed again", counter.now)
    assert [fault.column for fault in entry.faults] == ["weight"]


def test_releasing_twice_changes_nothing(counter: Counter) -> None:
    batch = counter.release(counter.land(HEAVY).batch).batch

    assert counter.release(batch).outcome == "already"
    assert counter.landed == [batch]


def test_known_keys_are_not_released_but_corrected(counter: Counter) -> None:
    counter.land(GOOD)
    batch = counter.land(GOOD.replace("9.5", "7")).batch

    with pytest.raises(RefusedError, match="--correction"):
        counter.release(batch)


def test_a_dropped_batch_keeps_its_report_and_loses_its_bytes(counter: Counter) -> None:
    held = counter.land(HEAVY)
    counter.drop(held.batch)

    assert [path.name for path in held.path.iterdir()] == ["report.json"]
    assert quarantine_show(counter.workspace, held.batch).state == "dropped"


def test_a_dropped_batch_may_be_handed_in_again(counter: Counter) -> None:
    held = counter.land(HEAVY)
    counter.drop(held.batch)

    with pytest.raises(RefusedError, match="was dropped"):
        counter.release(held.batch)
    assert counter.land(HEAVY).outcome == "quarantined"
    assert counter.release(held.batch).outcome == "landed"


def test_a_batch_that_landed_is_not_dropped(counter: Counter) -> None:
    batch = counter.release(counter.land(HEAVY).batch).batch

    with pytest.raises(RefusedError, match="was released"):
        counter.drop(batch)


@pytest.mark.parametrize("name", ["", "zz"])
def test_an_unknown_batch_is_named_with_those_there_are(counter: Counter, name: str) -> None:
    batch = counter.land(HEAVY).batch

    with pytest.raises(BadInputError, match=batch):
        quarantine_show(counter.workspace, name)


def test_too_few_digits_are_answered_with_the_batches_they_fit(counter: Counter) -> None:
    batches = [counter.land(HEAVY + "\n" * number).batch for number in range(17)]  # two begin alike at least
    first = next(batch[0] for batch in batches if sum(other[0] == batch[0] for other in batches) > 1)
    fitting = sorted(batch for batch in batches if batch[0] == first)

    with pytest.raises(BadInputError, match="give more digits") as error:
        quarantine_show(counter.workspace, first)
    named = str(error.value).split("give more digits: ")[1].split(", ")
    assert sorted(named) == fitting


def test_an_empty_reason_is_refused(counter: Counter) -> None:
    batch = counter.land(HEAVY).batch

    with pytest.raises(BadInputError, match="--reason"):
        release(batch, workspace=counter.workspace, data=counter.data, now=counter.now, by="a test", reason=" ")
    with pytest.raises(BadInputError, match="--reason"):
        drop(batch, workspace=counter.workspace, now=counter.now, by="a test", reason="")
