"""What a message says."""

import pandas as pd

from retrim.decision.alerts import SHOWN, Alert, AlertKind, Severity, compose_message

NOW = pd.Timestamp("2026-03-02 12:00", tz="UTC")


def test_an_alert_says_what_happened_why_and_what_to_do() -> None:
    message = compose_message(
        "bike", [Alert("a", AlertKind.APPROVAL_NEEDED, "4", "the gate promotes it", NOW)], place="here, /models"
    )

    assert message.title == "retrim bike: approval needed"
    assert message.body.splitlines() == [
        "WARNING: approval needed (4), 2026-03-02 12:00 UTC",
        "why: the gate promotes it",
        "do: answer it: `retrim versions approve 4 --reason WHY`, or `retrim versions reject 4 --reason WHY`",
        "",
        "from: here, /models",
    ]


def test_a_message_of_many_counts_those_that_it_does_not_spell_out() -> None:
    many = [Alert(str(number), AlertKind.RUN_FAILED, f"run {number}", "a test", NOW) for number in range(SHOWN + 5)]
    message = compose_message("bike", many, place="here, /models")

    assert message.title == f"retrim bike: {SHOWN + 5} x run failed"
    assert message.severity is Severity.CRITICAL
    assert message.body.count("do: ") == SHOWN
    assert "and 5 more: `retrim alerts` lists them" in message.body


def test_it_says_where_it_is_from_and_calls_nobody() -> None:
    text = "column '@everyone' and '<!here>' of someone@example.org"
    message = compose_message("bike", [Alert("a", AlertKind.COLUMN_GONE, "@channel", text, NOW)], place="here, /models")

    assert message.body.endswith("from: here, /models")
    assert not any(call in message.body for call in ("@everyone", "<!here", "@channel"))
    assert "someone@example.org" in message.body
