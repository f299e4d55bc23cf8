"""The card itself: all sections in their order, and the sources that their figures come from."""

from retrim.core.card import judged, limits, made, since
from retrim.core.card.facts import Facts
from retrim.core.card.page import Card, Section, Source, facts_table, told


def card_of(facts: Facts) -> Card:
    """The card of a version; the same facts give the same card."""
    sections = [
        made.intended_use(facts),
        made.data(facts),
        made.preparation(facts),
        judged.gate(facts),
        judged.metrics(facts),
        judged.calibration(facts),
        judged.importance(facts),
        judged.fairness(facts),
        limits.limits(facts),
        since.releases(facts),
        *since.envelope(facts),
        since.drift(facts),
        made.training(facts),
        made.lineage(facts),
    ]
    kept = tuple(section for section in sections if not section.empty)
    winner = facts.verdict["winner"]
    loss = facts.verdict["losses"].get(winner)
    status = facts_table([("status", _status(facts))], f"{since.STORE}releases")
    summary = facts_table(
        [
            ("verdict", facts.verdict["reason"]),
            ("mean loss on the judged rows", f"{facts.records[facts.fit_file]['recipe']['loss']} {told(loss)}"),
            ("as of", facts.version["as_of"]),
            ("run in MLflow", "not known" if facts.run is None else facts.run),
        ],
        judged.VERDICT,
    )
    return Card(f"Model card: {facts.model}, version {facts.number}", (status, summary), kept, _sources(facts, kept))


def _status(facts: Facts) -> str:
    spans = facts.live_spans
    if not spans:
        return "never live: " + ("the gate promoted it" if facts.verdict["promote"] else "the gate refused it")
    since_, until = spans[-1]
    return f"live since {told(since_)}" if until is None else f"not live; it was from {told(since_)} to {told(until)}"


def _sources(facts: Facts, sections: tuple[Section, ...]) -> tuple[Source, ...]:
    """Those that the tables name, and the pictures, in the order of the card."""
    named = [
        f"{since.STORE}releases",
        judged.VERDICT,
        *(table.source for section in sections for table in section.tables),
    ]
    root = "runs:/unknown" if facts.run is None else f"runs:/{facts.run}"
    found = []
    for name in dict.fromkeys(named):
        if name.startswith(since.STORE):
            found.append(
                Source(name, f"table {name.removeprefix(since.STORE)} of the store, model {facts.model}", None)
            )
        else:
            found.append(Source(name, f"{root}/bundle/{name}", facts.digests.get(name)))
    found += [
        Source(f"pictures/{picture.name}", f"{root}/pictures/{picture.name}", None)
        for section in sections
        for picture in section.pictures
    ]
    return tuple(found)
