"""Cures that are printed are tried: each error is brought about, what it says is done, and the error is gone."""

from dataclasses import dataclass

import pytest

from tests.builders.cured import Cure, says
from tests.builders.printed import to_try
from tests.builders.tried import marked, untried
from tests.builders.typed import Session, prepared, session
from tests.cures.test_first_version import WITH_A_VERSION

__all__ = ["prepared", "session"]  # fixtures


@dataclass(frozen=True)
class Case:
    """An error and its cure.

    Args:
        says: What the error says, as the source has it between two values.
        wrong: The command that it is an answer to.
        cure: What it says to do: commands of retrim, `set KEY VALUE` for params.yaml, `sh COMMAND`.
        before: What brings it about, likewise.
        again: A command that must not say it any more; the wrong one by default, empty where the cure must only work.
    """

    says: str
    wrong: str
    cure: tuple[str, ...]
    before: tuple[str, ...] = ()
    again: str | None = None


LATER = "set data.labels later"
ROWS = "ingest rows.csv --arrived 2024-01-03"
CASES = (
    Case("no rows had landed by {}; land some with `retrim ingest FILE`", "check --now 2024-01-03", (ROWS,)),
    Case("no rows had landed by {}; land some with `retrim ingest FILE`", "versions run-directory --as-of 2024-01-03",
         (ROWS,)),
    Case("or profile a file: retrim profile --data FILE --target COL", "profile",
         ("profile --data rows.csv --target outcome",), again=""),
    Case("describes a raw file; pass that file with --data FILE", "profile --target outcome", (),
         again="profile --target outcome --data rows.csv"),
    Case("no decision has been made yet; run `retrim check` or `retrim retrain`", "why",
         (ROWS, "retrain --as-of 2024-01-03")),
    Case("OUT is missing; pass a file to write the predictions to: retrim predict IN OUT", "predict rows.csv", (),
         again="predict rows.csv out.csv"),
    Case("train version 1: retrim retrain", "status", ("retrain --as-of 2024-01-03",), (ROWS,)),
    Case("no batch has landed; land some rows: retrim ingest FILE", "batch list", (ROWS,)),
    Case("land the file as a correction: retrim ingest FILE --correction", "ingest changed.csv", (), (ROWS,),
         again="ingest changed.csv --correction"),
    Case("if these are labels, land them with `retrim ingest FILE --labels`", "ingest labels.csv", (),
         (LATER, "ingest unlabelled.csv"), again="ingest labels.csv --labels"),
    Case("or land the batch anyway: retrim batch release ID --reason WHY", "ingest heavy.csv",
         ("batch release {batch} --reason weighed",)),
    Case("show it: retrim batch show {}", "ingest heavy.csv", ("batch show {batch}",), again=""),
    Case("or set data.labels to 'later' or 'or_never' in params.yaml", "ingest unlabelled.csv", (LATER,)),
    Case("land the rows, then release the labels", "ingest labels.csv --labels",
         ("ingest unlabelled.csv", "batch release {held} --reason so"), (LATER, ROWS)),
    Case("correct its rows: retrim ingest FILE --correction", "batch drop {batch} --reason twice",
         ("ingest light.csv --correction",), ("ingest heavy.csv", "batch release {batch} --reason weighed"),
         again=""),
    Case("no landed batch has an id that begins with {}; list landed batches with `retrim batch list`, and those in "
         "quarantine with `retrim batch list --quarantined`", "batch withdraw ffff --reason wrong",
         ("batch list",), (ROWS,), again="batch withdraw {batch} --reason wrong"),
    Case("such as 7; list the versions with `retrim versions`",
         "versions reproduce x", ("versions",), again="versions reproduce 7"),
    Case("has no version {}; list them with `retrim versions`", "versions reproduce 7", ("versions",), again=""),
    Case(
        "run `retrim versions reproduce N --prove --chain`",
        "versions reproduce 7 --chain",
        (),
        again="versions reproduce 7 --prove --chain",
    ),
    Case("Change data.key back; for a table with a different key", "ingest more.csv", ("set data.key [number]",),
         (ROWS, "set data.key [number,group]")),
    Case("set the key columns in params.yaml (data.key)", "ingest changed.csv --correction", ("set data.key [number]",),
         ("set data.key []",)),
    Case("create a separate workspace: retrim new DIR", "init --data large.csv --target outcome --yes",
         ("new ../other",), (ROWS,), again=""),
    Case("choose a folder outside", "new inside", ("new ../outside",), again=""),
    Case("in that folder, run `git init`, `git add -A` and `git commit -m start`",
         "versions run-directory --as-of 2024-01-03",
         ("sh git init -q", "sh git add -A", "sh git commit -q -m start"), (ROWS, "sh mv .git ../gone")),
    Case("add the file to .gitignore", "versions run-directory --as-of 2024-01-03",
         ("sh printf credentials.txt >> .gitignore",),
         (ROWS, "sh printf PASSWORD=1 > credentials.txt")),
    Case(": retrim batch list --quarantined", "status", ("batch list --quarantined",), ("ingest heavy.csv",), again=""),
    Case("land rows: retrim ingest FILE", "status", (ROWS, "retrain --as-of 2024-01-03"), again=""),
)  # fmt: skip

EXCEPTIONS = {
    "the worker ended: {}; start it again with `retrim schedule`": "only a fault in Prefect's worker ends it so",
    "start `retrim up` again": "only who removes a deployment by hand meets it; tests/operations/test_up.py starts it",
    "no part of `retrim up` is running": (
        "says what is so; tests/operations/test_doctor.py plants it, test_up.py starts it"
    ),
    "`retrim up` was never started here": "says what is so, and that it is in order",
    "triggers.budget.money: the limit is {}, but the cost of a retraining is not set; compute it with `retrim "
    "policy cost`, which prints gain.money, or set triggers.budget.money to null": (
        "both settings are tried in tests/cures_settings/loading.py"
    ),
}
"""Texts whose cure no test takes, each with the reason; a new one needs its test: tests/builders/cured.py says how."""


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.wrong}: {case.says[:40]}")
def test_the_cure_that_is_printed_cures(session: Session, case: Case) -> None:
    for line in case.before:
        session.type(line)
    _, said = session.type(case.wrong)
    assert says(case.says, said), said
    for line in case.cure:
        code, said = session.type(line)
        assert "Traceback" not in said
        assert code == 0 or line.startswith("retrain"), f"{line}: {said}"  # a retraining may have to wait for rows
    if case.again != "":
        code, said = session.type(case.again or case.wrong)
        assert "Traceback" not in said
        assert not says(case.says, said), said


def test_every_cure_that_is_printed_is_tried() -> None:
    known = [*(case.says for case in CASES), *WITH_A_VERSION.values()]
    left = {each.text: str(each) for each in untried(known)}

    assert [where for text, where in left.items() if text not in EXCEPTIONS] == []
    assert set(EXCEPTIONS) <= set(left)  # none is excused that is tried, or is not printed any more


def test_a_mark_names_a_text_that_is_printed() -> None:
    texts = [each.text for each in to_try()]

    assert [where for text, where in marked() if not any(says(text, each) for each in texts)] == []


def test_a_cure_that_was_not_seen_is_found() -> None:
    cure = Cure(("see `retrim status`",))
    with pytest.raises(AssertionError):
        cure.is_asked("see nothing")
    cure.is_asked("error: see\n`retrim status`")
    with pytest.raises(AssertionError):
        cure.is_done("again: see `retrim status`")

    assert cure.done == set()
