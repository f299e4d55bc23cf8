"""What a version is known not to do well, or not to have been looked at for."""

from retrim.core.card.facts import Facts
from retrim.core.card.judged import IMPORTANCE, SLICES
from retrim.core.card.page import Section, told

FEW_ROUNDS = 3
"""So few trees are hardly a model."""


def limits(facts: Facts) -> Section:
    """Sentences on what is not known, then what a person said."""
    verdict, view = facts.verdict, facts.view
    found = []
    if verdict["rows"] < facts.min_rows:
        found.append(f"It was judged on {verdict['rows']} rows; the gate asks for {facts.min_rows}.")
    if seen := verdict.get("detectable"):
        found.append(f"Differences from the champion below {seen['gain']:.1%} could not be told from noise.")
    if len(facts.judged):
        unseen = int((facts.judged["actual"] < 0).sum()) if view["task"] == "multiclass" else 0
        if unseen:
            found.append(f"{unseen} judged rows are of a class that was not seen in training; it is never predicted.")
        if view["task"] == "multiclass":
            absent = [name for code, name in enumerate(view["classes"]) if not (facts.judged["actual"] == code).any()]
            if absent:
                found.append(f"No judged row is of the class {told(absent)}: nothing is known of how well it is told.")
    recipe = facts.records[facts.fit_file]["recipe"]
    if recipe["model"] == "gbm" and recipe["rounds"] <= FEW_ROUNDS:
        found.append(
            f"Its boosting ended at round {recipe['rounds']}: in the folds of its search more made it worse, as where "
            "the past has stopped matching for a while. It may say much less than the features do."
        )
    found += _by_slice(facts)
    found.append("A category that was not seen in training is taken for a missing value.")
    until = facts.records["features/split.json"]["judged_until"]
    found.append(f"It knows nothing of what happened after {told(until)}, where its judging rows end.")
    if not facts.records.get(IMPORTANCE):
        found.append("No exact contributions are kept, so the importance is that of the splits alone.")
    found.append(f"By its owner: {facts.said.limits or 'not said (card.limits in params.yaml)'}")
    return Section("Known limits", "limits", tuple(found))


def _by_slice(facts: Facts) -> list[str]:
    sliced = facts.records.get(SLICES)
    if sliced is None:
        return ["This bundle keeps no losses by slice."]
    looked = {each["column"] for each in sliced["slices"]}
    columns = [feature["name"] for feature in facts.view["features"] if feature["name"] not in looked]
    said = [f"Slices with fewer than {facts.least_rows} judged rows were not looked at."]
    if columns:
        said.append(f"No slice of {told(columns)} was looked at: too few rows in each, or too many categories.")
    worse = [each for each in sliced["slices"] if each["saved"] is not None and each["saved"][2] < 0]
    if worse:
        names = "; ".join(f"{each['column']} {each['name']}" for each in worse[:5])
        said.append(
            f"It clearly loses more than the champion in {len(worse)} of {len(sliced['slices'])} slices: {names}."
        )
    return said
