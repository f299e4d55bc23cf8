"""A version's model card: its sections in their order, and the sources of their figures."""

from collections.abc import Sequence
from dataclasses import replace

from retrim.card import sections
from retrim.card.facts import STORE, VERDICT, Card, CardSection, Source, VersionFacts
from retrim.card.report import Facts, shown

JUDGED_SECTIONS = ("gate", "metrics", "calibration", "importance", "fairness")


def card_of(facts: VersionFacts) -> Card:
    """The card of a version; the same facts give the same card."""
    verdict, name = facts.verdict, facts.fit.recipe.loss
    final = verdict.final
    listed = [
        sections.intended_use(facts),
        sections.data(facts),
        sections.preparation(facts),
        sections.gate(facts),
        sections.metrics(facts),
        sections.calibration(facts),
        sections.importance(facts),
        sections.fairness(facts),
        sections.limits(facts),
        sections.releases(facts),
        *sections.envelope(facts),
        sections.drift(facts),
        sections.training(facts),
        sections.lineage(facts),
    ]
    written = [one for one in listed if not one.empty]
    if final is not None and final.used:
        whose = (
            "These figures are those of the judged fit, which had not seen the holdout rows. The final fit, which "
            "predicts, is the same recipe on all mature rows."
        )
        written = [
            replace(one, sentences=(whose, *one.sentences)) if one.anchor in JUDGED_SECTIONS else one for one in written
        ]
    seen = None if final is None else final.training.get("loss")
    summary = (
        ("verdict", verdict.reason),
        ("mean loss on the holdout rows", f"{name} {shown(verdict.losses.get(verdict.winner))}"),
        ("final fit", None if final is None else final.reason),
        ("training error of the final fit on these rows", None if seen is None else f"{name} {shown(seen)}"),
        ("as of", facts.version.as_of),
        ("run in MLflow", "not known" if facts.run is None else facts.run),
    )
    status = Facts((("status", _status(facts)),), source=f"{STORE}releases")
    title = f"Model card: {facts.model}, version {facts.number}"
    return Card(title, (status, Facts(summary, source=VERDICT)), tuple(written), _sources(facts, written))


def _status(facts: VersionFacts) -> str:
    spans = facts.live_spans
    if not spans:
        return f"never live: {facts.outcome}"
    since, until = spans[-1]
    if until is None:
        return f"live since {shown(since)}"
    return f"not live; it was live from {shown(since)} to {shown(until)} ({facts.outcome})"


def _sources(facts: VersionFacts, written: Sequence[CardSection]) -> tuple[Source, ...]:
    """Those that the tables name, and the pictures, in the order of the card."""
    tables = [f"{STORE}releases", VERDICT, *(table.source for section in written for table in section.tables)]
    root = "runs:/unknown" if facts.run is None else f"runs:/{facts.run}"
    files = [
        Source(name, f"table {name.removeprefix(STORE)} of the store, model {facts.model}", None)
        if name.startswith(STORE)
        else Source(name, f"{root}/bundle/{name}", facts.digests.get(name))
        for name in dict.fromkeys(tables)
    ]
    pictures = [f"pictures/{name}" for section in written for name, _ in section.pictures]
    return (*files, *(Source(name, f"{root}/{name}", None) for name in pictures))
