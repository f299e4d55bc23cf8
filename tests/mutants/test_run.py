"""What a run of mutants says: caught, survived, left out; and the run that `make test` makes."""

import contextlib
import io
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.mutants import run
from tests.mutants.draw import draw_sample, find_base, find_changed_files, is_of, read_guards, starts_server
from tests.mutants.mutant import Edit, Mutant, read_mutants

MUTANTS = read_mutants()
GIT = ["git", "-c", "user.name=x", "-c", "user.email=x@localhost", "-c", "core.hooksPath=/dev/null"]


def commit(tree: Path, text: str) -> None:
    (tree / "src").mkdir(exist_ok=True)
    (tree / "src/one.py").write_text(text, encoding="utf-8")
    for command in (["init", "-q", "-b", "main"], ["add", "-A"], ["commit", "-q", "-m", "x"]):
        subprocess.run([*GIT, *command], cwd=tree, check=True)


class TestTheDraw:
    def test_is_the_same_for_one_seed(self) -> None:
        assert draw_sample(MUTANTS, 20, "a") == draw_sample(MUTANTS[::-1], 20, "a")

    def test_is_another_for_another_seed(self) -> None:
        assert draw_sample(MUTANTS, 20, "a") != draw_sample(MUTANTS, 20, "b")

    def test_is_not_moved_by_a_mutant_that_is_added(self) -> None:
        before, after = draw_sample(MUTANTS[1:], 20, "a"), draw_sample(MUTANTS, 20, "a")

        assert len(set(before) & set(after)) >= 19


class TestTheBase:
    def test_of_a_clone_with_one_commit_is_none(self, tmp_path: Path) -> None:
        commit(tmp_path, "x = 1")

        assert find_base(tmp_path) is None

    def test_on_main_is_the_commit_before(self, tmp_path: Path) -> None:
        commit(tmp_path, "x = 1")
        commit(tmp_path, "x = 2")

        assert find_changed_files(tmp_path, find_base(tmp_path) or "") == {"src/one.py"}

    def test_on_a_branch_is_where_it_left_main(self, tmp_path: Path) -> None:
        commit(tmp_path, "x = 1")
        subprocess.run([*GIT, "switch", "-q", "-c", "other"], cwd=tmp_path, check=True)
        (tmp_path / "two.py").touch()
        commit(tmp_path, "x = 1")
        commit(tmp_path, "x = 2")

        assert find_changed_files(tmp_path, find_base(tmp_path) or "") == {"two.py", "src/one.py"}

    def test_leaves_uncommitted_and_untracked_files_changed(self, tmp_path: Path) -> None:
        commit(tmp_path, "x = 1")
        (tmp_path / "src/one.py").write_text("x = 3", encoding="utf-8")
        (tmp_path / "new.py").touch()

        assert find_changed_files(tmp_path, "HEAD") == {"src/one.py", "new.py"}


@pytest.mark.parametrize(
    ("files", "answer"), [({"src/one.py"}, True), ({"tests/test_one.py"}, True), ({"src/two.py"}, False)]
)
def test_a_mutant_is_of_the_files_that_it_edits_and_of_its_guard(
    tmp_path: Path, files: set[str], *, answer: bool
) -> None:
    commit(tmp_path, "x = 1")
    mutant = Mutant(
        "x", (Edit(module="retrim.one", name="x", statement="x = 1", becomes="x = 2"),), "tests/test_one.py::test_x", ""
    )

    assert is_of(mutant, files, tmp_path) is answer


def test_markers_of_a_guard_are_read_from_test_class_and_file(tmp_path: Path) -> None:
    (tmp_path / "test_x.py").write_text(
        "import pytest\npytestmark = [pytest.mark.slow]\n"
        "@pytest.mark.server\nclass TestOne:\n    def test_a(self): ...\n"
        "def test_b(): ...\n@pytest.mark.drill\ndef test_c(): ...\ndef no_test(): ...\n",
        encoding="utf-8",
    )

    assert read_guards(tmp_path / "test_x.py") == {
        "TestOne::test_a": {"server", "slow"},
        "test_b": {"slow"},
        "test_c": {"drill", "slow"},
    }
    assert starts_server(Mutant("x", (), "test_x.py::test_c[1]", ""), tmp_path)
    assert not starts_server(Mutant("x", (), "test_x.py::test_b[server]", ""), tmp_path)


ENDS = {
    "caught": ("x", "x = 2", "test_x", "caught"),
    "unseen": ("y", "y = 2", "test_x", "passes with the mutant in place"),
    "no import": ("x", "import polish", "test_x", "did not run"),
    "no guard": ("x", "x = 2", "test_y", "does not pass before"),
    "no place": ("z", "z = 2", "test_x", "no module defines z"),
}
"""Mutants by title: the variable that each changes, how, its guard, and what is said of it."""


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    tree = tmp_path_factory.mktemp("tree")
    (tree / "tests").mkdir()
    (tree / "tests/test_x.py").write_text("import one\ndef test_x(): assert one.x == 1\n", encoding="utf-8")
    commit(tree, "x = 1\ny = 1")
    return tree


@pytest.fixture(scope="module")
def told(tree: Path) -> tuple[int, str]:
    mutants = [
        Mutant(title, (Edit(module="one", name=n, statement=f"{n} = 1", becomes=to),), f"tests/test_x.py::{guard}", "")
        for title, (n, to, guard, _) in ENDS.items()
    ]
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(io.StringIO()) as printed:
        patch.setattr(run, "ROOT", tree)
        patch.setattr(run, "read_mutants", lambda: mutants)
        code = run.main(["-n", "2"])
    return code, printed.getvalue()


@pytest.mark.slow
class TestARun:
    @pytest.mark.parametrize("title", ENDS)
    def test_says_what_became_of_a_mutant(self, told: tuple[int, str], title: str) -> None:
        [line] = re.findall(rf"\[\d/5\] ((?:caught|SURVIVED)  {title}.*\n(?:    .*)?)", told[1])

        assert line.startswith("caught") is (title == "caught")
        assert ENDS[title][3] in line

    def test_fails_when_one_survives(self, told: tuple[int, str]) -> None:
        assert told[0] == 1
        assert "1 of 5 mutants caught" in told[1]

    def test_leaves_the_tree_itself_alone(self, told: tuple[int, str], tree: Path) -> None:
        assert (tree / "src/one.py").read_text(encoding="utf-8") == "x = 1\ny = 1"


@pytest.mark.slow
def test_a_run_begins_none_when_the_time_is_up() -> None:
    tried = run.Run(workers=1, ends=0.0)

    tried.try_all([Mutant("x", (), "", "")])

    assert (len(tried.caught), len(tried.survived), len(tried.not_begun)) == (0, 0, 1)


@pytest.mark.slow
def test_mutants_of_changed_files_and_a_sample_are_caught(capfd: pytest.CaptureFixture) -> None:
    options = ["--changed", "--most", "20", "--sample", "20", "--no-servers", "-n", "2", "--within", "90"]
    done = subprocess.run(
        [sys.executable, "-m", "tests.mutants.run", *options], cwd=run.ROOT, capture_output=True, text=True, check=False
    )
    with capfd.disabled():
        told = [line for line in done.stdout.splitlines() if not line.startswith("[")]
        sys.stderr.write("".join(f"\n    {line}" for line in told) + "\n")

    assert done.returncode == 0, done.stdout + done.stderr
