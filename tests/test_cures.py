"""Cures that are printed are tried: each error is brought about, what it says is done, and the error is gone."""

import shlex
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.cured import says
from tests.printed import cures
from tests.typed import Session, prepared, session
from tests.world import World, make_world

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
    Case("no rows had landed by {}; land some with `retrim ingest FILE`", "room --as-of 2024-01-03", (ROWS,)),
    Case("or look at a file: retrim profile --data FILE --target COL", "profile",
         ("profile --data rows.csv --target outcome",), again=""),
    Case("so name that too: --data FILE", "profile --target outcome", (),
         again="profile --target outcome --data rows.csv"),
    Case("nothing was decided yet; run `retrim check` or `retrim retrain`", "why",
         (ROWS, "retrain --as-of 2024-01-03")),
    Case("nothing has landed; land some rows: retrim ingest FILE", "batch list", (ROWS,)),
    Case("land the file as a correction: retrim ingest FILE --correction", "ingest changed.csv", (), (ROWS,),
         again="ingest changed.csv --correction"),
    Case("if these are labels, land them as such: retrim ingest FILE --labels", "ingest labels.csv", (),
         (LATER, "ingest unlabelled.csv"), again="ingest labels.csv --labels"),
    Case("or land the batch in spite of it: retrim quarantine release ID --reason WHY", "ingest heavy.csv",
         ("quarantine release {batch} --reason weighed",)),
    Case("look at it: retrim quarantine show {}", "ingest heavy.csv", ("quarantine show {batch}",), again=""),
    Case("or set data.labels to 'later' in params.yaml", "ingest unlabelled.csv", (LATER,)),
    Case("land the rows, then release the labels", "ingest labels.csv --labels",
         ("ingest unlabelled.csv", "quarantine release {held} --reason so"), (LATER, ROWS)),
    Case("correct its rows: retrim ingest FILE --correction", "quarantine drop {batch} --reason twice",
         ("ingest light.csv --correction",), ("ingest heavy.csv", "quarantine release {batch} --reason weighed"),
         again=""),
    Case("no landed batch begins with {}; list them with `retrim batch list`", "batch withdraw ffff --reason wrong",
         ("batch list",), (ROWS,), again="batch withdraw {batch} --reason wrong"),
    Case("write 7, list them with `retrim versions`", "reproduce x", ("versions",), again="reproduce 7"),
    Case("has no version {}; list them with `retrim versions`", "reproduce 7", ("versions",), again=""),
    Case("write `retrim reproduce N --prove --chain`", "reproduce 7 --chain", (), again="reproduce 7 --prove --chain"),
    Case("rows of two keys cannot be told apart. Change it back", "ingest more.csv", ("set data.key [number]",),
         (ROWS, "set data.key [number,group]")),
    Case("name key columns in params.yaml (data.key)", "ingest changed.csv --correction", ("set data.key [number]",),
         ("set data.key []",)),
    Case("is all there is; make another: retrim new DIR", "init --data large.csv --target outcome --yes",
         ("new ../other",), (ROWS,), again=""),
    Case("name a folder outside", "new inside", ("new ../outside",), again=""),
    Case("run `git init`, `git add -A`, `git commit -m start` there", "room --as-of 2024-01-03",
         ("sh git init -q", "sh git add -A", "sh git commit -q -m start"), (ROWS, "sh mv .git ../gone")),
    Case("add it to .gitignore", "room --as-of 2024-01-03", ("sh printf credentials.txt >> .gitignore",),
         (ROWS, "sh printf PASSWORD=1 > credentials.txt")),
    Case(": retrim quarantine list", "status", ("quarantine list",), ("ingest heavy.csv",), again=""),
    Case("land rows: retrim ingest FILE", "status", (ROWS, "retrain --as-of 2024-01-03"), again=""),
)  # fmt: skip
WITH_A_VERSION = {
    "score": "no version is live, so nothing was scored; make version 1: retrim retrain",
    "versions": "no version yet; make the first: retrim retrain",
    "log show": "nothing was released yet; make version 1: retrim retrain",
    "rollback --reason late": "has no champion; make version 1 with `retrim retrain`",
    "fairness": "there is no version yet; make the first: retrim retrain",
    "explain 100": "is live; name one with --version N, or make one: retrim retrain",
    "drift verify": "so there is no history to verify on; make one: `retrim retrain`",
    "status": "none yet: retrim check",
}
"""What needs a version or a check says so, and both are made as it says."""


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


@pytest.fixture(scope="module")
def said_before_and_after(tmp_path_factory: pytest.TempPathFactory, server: str) -> dict[str, tuple[str, str]]:
    """What each command says before there is a version and a check, and after."""
    world = make_world(tmp_path_factory.mktemp("made"), server=server)
    world.land(world.day(25))
    before = {line: _printed(world, line) for line in WITH_A_VERSION}
    world.retrim("retrain", "--as-of", world.day(25))
    world.retrim("check", "--now", world.day(26))
    return {line: (before[line], _printed(world, line)) for line in WITH_A_VERSION}


def _printed(world: World, line: str) -> str:
    done = world.retrim(*shlex.split(line), code=(0, 1, 2))
    return " ".join(f"{done.stdout} {done.stderr}".split())


@pytest.mark.server
@pytest.mark.slow
@pytest.mark.parametrize("line", WITH_A_VERSION)
def test_a_version_and_a_check_cure_what_asks_for_them(
    said_before_and_after: dict[str, tuple[str, str]], line: str
) -> None:
    before, after = said_before_and_after[line]

    assert says(WITH_A_VERSION[line], before), before
    assert not says(WITH_A_VERSION[line], after), after


def tried() -> Iterator[str]:
    """The texts of the source whose cures are tried here."""
    known = [*(case.says for case in CASES), *WITH_A_VERSION.values()]
    for cure in cures():
        if any(says(fragment, cure.text) for fragment in known):
            yield str(cure)


def test_what_is_tried_is_printed_somewhere() -> None:
    assert len(list(tried())) >= 30
