"""What was set aside is released with a reason, or dropped; each once."""

import json

import pandas as pd
import pytest

from retrim.adapters.landing_zone import Landing
from retrim.errors import BadInputError, RefusedError
from retrim.landing.ingest import drop_quarantined, release_quarantined
from tests.builders.counter import DAY, GOOD, HEAVY, Counter
from tests.builders.landed import quarantine_show, read_landed


def test_a_released_batch_keeps_the_time_at_which_it_came(counter: Counter) -> None:
    held = counter.land(HEAVY)
    came = counter.now
    released = counter.release(held.batch[:6])
    (batch,) = Landing(counter.workspace.landing).batches()

    assert (released.outcome, batch.arrived, batch.released) == ("landed", came, "weighed again")
    assert counter.table().index.tolist() == ["3", "4"]


def test_it_keeps_that_time_whatever_landed_since(counter: Counter) -> None:
    held = counter.land(HEAVY)
    came = counter.now
    counter.land(GOOD)
    counter.release(held.batch)

    assert counter.arrivals() == {held.batch: came, counter.land(GOOD).batch: came + DAY}


def test_after_a_release_the_past_is_played_on(counter: Counter) -> None:
    held = counter.land(HEAVY)
    came = counter.now
    release_quarantined(held.batch, **counter.where, now=pd.Timestamp.now("UTC"), by="anna", reason="weighed again")
    counter.now = came

    assert counter.land(GOOD).outcome == "landed"


def test_a_released_label_was_known_when_it_came(counter_later: Counter) -> None:
    held = counter_later.land("order,price\n1,9\n", labels=True)
    came = counter_later.now
    counter_later.land(GOOD.replace(",9.5", ",").replace(",8\n", ",\n"))
    counter_later.release(held.batch)

    labels = read_landed(counter_later.workspace.landing)[1]
    assert labels is not None

    assert labels["label_time"].tolist() == [came]


# --- offered again --------------------------------------------------------------------------------


def allow_any_weight(counter: Counter) -> None:
    """Takes the expectation that HEAVY breaks out of the suite."""
    path = counter.workspace.root / counter.data.suite
    suite = json.loads(path.read_text(encoding="utf-8"))
    suite["expectations"] = [each for each in suite["expectations"] if each["kwargs"]["column"] != "weight"]
    path.write_text(json.dumps(suite), encoding="utf-8")


def test_a_file_whose_fault_is_gone_is_taken_when_it_is_offered_again(counter: Counter) -> None:
    counter.land(HEAVY)
    allow_any_weight(counter)
    again = counter.land(HEAVY)

    assert again.outcome == "landed"
    assert quarantine_show(counter.workspace, again.batch).state == "landed"


def test_a_file_that_is_still_faulty_keeps_the_time_at_which_it_first_came(counter: Counter) -> None:
    held = counter.land(HEAVY)
    came = counter.now

    assert counter.land(HEAVY).outcome == "quarantined"
    assert quarantine_show(counter.workspace, held.batch).arrived == came


def test_a_dropped_batch_that_lands_later_has_landed(counter: Counter) -> None:
    held = counter.land(HEAVY)
    counter.drop(held.batch)
    allow_any_weight(counter)
    counter.land(HEAVY)

    assert quarantine_show(counter.workspace, held.batch).state == "landed"


# --- released, dropped ----------------------------------------------------------------------------


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


def test_a_batch_that_landed_is_not_dropped(counter: Counter) -> None:
    batch = counter.release(counter.land(HEAVY).batch).batch

    with pytest.raises(RefusedError, match="was released"):
        counter.drop(batch)


def test_too_few_digits_are_answered_with_the_batches_they_fit(counter: Counter) -> None:
    batches = [counter.land(HEAVY + "\n" * number).batch for number in range(17)]  # two begin alike at least
    first = next(batch[0] for batch in batches if sum(other[0] == batch[0] for other in batches) > 1)
    fitting = sorted(batch for batch in batches if batch[0] == first)

    with pytest.raises(BadInputError, match=rf"^'{first}' .*\b{len(fitting)} batches") as error:
        quarantine_show(counter.workspace, first)
    named = str(error.value).rpartition(": ")[2].split(", ")
    assert sorted(named) == fitting


def test_an_empty_reason_is_refused(counter: Counter) -> None:
    batch = counter.land(HEAVY).batch

    with pytest.raises(BadInputError, match="--reason"):
        release_quarantined(
            batch, workspace=counter.workspace, data=counter.data, now=counter.now, by="a test", reason=" "
        )
    with pytest.raises(BadInputError, match="--reason"):
        drop_quarantined(batch, workspace=counter.workspace, now=counter.now, by="a test", reason="")
