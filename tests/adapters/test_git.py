"""Snapshots, worktrees, commits and tags, in real repositories; the user's own stay as they are."""

import os
import re
import subprocess
from pathlib import Path

import pytest

from retrim.adapters.git import (
    add_worktree,
    clear_tag_locks,
    commit_files,
    file_at,
    find_tag,
    git,
    remove_worktree,
    require_repository,
    snapshot,
    tag,
)
from retrim.errors import BadInputError, RefusedError, RetrimError

DATE = "2024-01-01T00:00:00+00:00"
AUTHOR = ("-c", "user.name=someone", "-c", "user.email=someone@localhost")
STATE = (("rev-parse", "HEAD"), ("symbolic-ref", "HEAD"), ("ls-files", "--stage"), ("status", "--porcelain"))


@pytest.fixture
def nameless(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A machine whose git knows nobody and asks for a signature."""
    home = tmp_path / "home"
    home.mkdir()
    (home / ".gitconfig").write_text("[user]\n\tuseConfigOnly = true\n[commit]\n\tgpgsign = true\n")
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)


@pytest.fixture
def repository(tmp_path: Path, nameless: None) -> Path:
    """One commit of a.txt; then a staged edit of it, an unstaged one, an untracked file, and an ignored one."""
    root = tmp_path / "repository"
    root.mkdir()
    git(root, "init", "-q", "-b", "trunk")
    (root / ".gitignore").write_text("ignored.txt\n")
    (root / "a.txt").write_text("committed\n")
    (root / "gone.txt").write_text("committed\n")
    git(root, "add", "-A")
    git(root, *AUTHOR, "-c", "commit.gpgsign=false", "commit", "-q", "-m", "start")
    (root / "a.txt").write_text("staged\n")
    git(root, "add", "a.txt")
    (root / "a.txt").write_text("edited\n")
    (root / "gone.txt").unlink()
    (root / "sub").mkdir()
    (root / "sub" / "näw file.txt").write_text("untracked\n")
    (root / "ignored.txt").write_text("ignored\n")
    return root


def seen(root: Path) -> tuple[list[str], dict[str, bytes]]:
    """What a user sees of a repository: branch, index, status, files."""
    files = {path.name: path.read_bytes() for path in root.rglob("*") if path.is_file() and ".git" not in path.parts}
    return [git(root, *arguments) for arguments in STATE], files


def hook(root: Path, name: str) -> Path:
    """Installs a hook that leaves a mark; gives the mark."""
    mark, script = root.parent / f"{name}-fired", root / ".git" / "hooks" / name
    script.parent.mkdir(exist_ok=True)
    script.write_text(f"#!/bin/sh\ntouch '{mark}'\n")
    script.chmod(0o755)
    return mark


class TestASnapshot:
    def test_holds_edits_and_untracked_files_and_touches_nothing(
        self, repository: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        before, variables = seen(repository), dict(os.environ)
        marks = [hook(repository, name) for name in ("pre-commit", "post-commit", "post-index-change")]
        taken = snapshot(repository, max_file_mb=1)
        with monkeypatch.context() as patch:  # as in a hook of another repository
            patch.setenv("GIT_DIR", "/nowhere")
            patch.setenv("GIT_INDEX_FILE", "/nowhere/index")
            again = snapshot(repository, max_file_mb=1)
        names = git(repository, "ls-tree", "-r", "-z", "--name-only", taken.commit).split("\0")
        trees = [git(repository, "rev-parse", f"{shot.commit}^{{tree}}") for shot in (taken, again)]

        assert sorted(filter(None, names)) == [".gitignore", "a.txt", "sub/näw file.txt"]  # not what was deleted
        assert git(repository, "show", f"{taken.commit}:a.txt") == "edited"
        assert git(repository, "show", f"{taken.commit}:sub/näw file.txt") == "untracked"
        assert taken.untracked == ("sub/näw file.txt",)
        assert trees[0] == trees[1]
        assert seen(repository) == before
        assert [mark for mark in marks if mark.exists()] == []
        assert dict(os.environ) == variables

    def test_refuses_a_large_file_and_names_it_with_its_size(self, repository: Path) -> None:
        (repository / "large.bin").write_bytes(bytes(1_200_000))

        with pytest.raises(RefusedError, match=r"large\.bin is 1\.2 MB.* at most 1 MB"):
            snapshot(repository, max_file_mb=1)

    def test_takes_a_large_file_that_is_committed(self, repository: Path) -> None:
        (repository / "large.bin").write_bytes(bytes(1_200_000))
        git(repository, "add", "large.bin")
        git(repository, *AUTHOR, "-c", "commit.gpgsign=false", "commit", "-q", "-m", "large", "--", "large.bin")

        assert snapshot(repository, max_file_mb=1).untracked == ("sub/näw file.txt",)

    @pytest.mark.parametrize(
        ("name", "content"),
        [
            (".env", "A=1"),
            ("deploy.pem", ""),
            ("id_ed25519", ""),
            ("my-credentials.txt", ""),
            ("notes.txt", "-----BEGIN OPENSSH PRIVATE KEY-----\n"),
            ("notes.txt", f"key: {'AKIA' + 'Q' * 16}\n"),
            (".dvc/config.local", "[remote]\n"),
            (" a.pem", "x"),
        ],
    )
    def test_refuses_what_looks_like_a_secret_and_names_it(self, repository: Path, name: str, content: str) -> None:
        (repository / name).parent.mkdir(exist_ok=True)
        (repository / name).write_text(content)

        with pytest.raises(RefusedError, match=f"untracked file {re.escape(name)} looks like a secret"):
            snapshot(repository, max_file_mb=1)

    def test_refuses_a_staged_secret_that_no_commit_holds(self, repository: Path) -> None:
        (repository / "deploy.pem").write_text("")
        git(repository, "add", "deploy.pem")

        with pytest.raises(RefusedError, match=r"deploy\.pem"):
            snapshot(repository, max_file_mb=1)

    def test_takes_a_repository_inside_for_an_error(self, repository: Path) -> None:
        inner = repository / "inner"
        inner.mkdir()
        git(inner, "init", "-q")
        (inner / "code.py").write_text("x = 1\n")
        git(inner, "add", "-A")
        git(inner, *AUTHOR, "-c", "commit.gpgsign=false", "commit", "-q", "-m", "start")

        with pytest.raises(RefusedError, match=r"inner/ .* repository"):
            snapshot(repository, max_file_mb=1)


class TestAWorkspace:
    def test_that_is_no_repository_or_has_no_commit_is_told_how_to_become_one(
        self, tmp_path: Path, nameless: None
    ) -> None:
        with pytest.raises(BadInputError, match=rf"{re.escape(str(tmp_path))} .*`git init`"):
            require_repository(tmp_path)
        with pytest.raises(BadInputError, match="git init"):
            clear_tag_locks(tmp_path, "retrim/bike")  # what a retraining does first
        git(tmp_path, "init", "-q")
        with pytest.raises(BadInputError, match="git commit"):
            require_repository(tmp_path)

    def test_below_the_top_of_a_repository_is_refused_with_both_folders(self, repository: Path) -> None:
        with pytest.raises(BadInputError, match=rf"{repository / 'sub'} .* {repository};"):
            require_repository(repository / "sub")


class TestAWorktree:
    @pytest.fixture
    def run_directory(self, repository: Path) -> Path:
        folder = repository.parent / "rooms" / "one"
        add_worktree(repository, folder, snapshot(repository, max_file_mb=1).commit)
        return folder

    def test_is_committed_to_and_removed_and_leaves_what_is_the_users(self, repository: Path) -> None:
        before = seen(repository)
        marks = [hook(repository, name) for name in ("post-checkout", "pre-commit", "commit-msg", "post-commit")]
        folder = repository.parent / "rooms" / "two"
        add_worktree(repository, folder, snapshot(repository, max_file_mb=1).commit)
        assert (folder / "a.txt").read_text() == "edited\n"
        (folder / "ignored.txt").write_text("made\n")
        commit = commit_files(folder, ["ignored.txt"], "made", date=DATE)  # without an identity or a signature
        assert git(folder, "show", f"{commit}:ignored.txt") == "made"
        tag(repository, "v1", commit, same=["ignored.txt"])
        for _ in range(2):
            remove_worktree(repository, folder)

        assert not folder.exists()
        assert git(repository, "worktree", "list", "--porcelain").count("worktree ") == 1
        assert seen(repository) == before
        assert [mark for mark in marks if mark.exists()] == []

    def test_is_made_anew_where_a_killed_run_lost_the_folder(self, repository: Path, run_directory: Path) -> None:
        subprocess.run(["rm", "-r", str(run_directory)], check=True)
        add_worktree(repository, run_directory, "HEAD")

        assert (run_directory / "a.txt").read_text() == "committed\n"


class TestATag:
    @pytest.fixture
    def tagged(self, repository: Path) -> str:
        commit = git(repository, "rev-parse", "HEAD")
        tag(repository, "retrim/m/v1", commit, same=["a.txt"])
        return commit

    def test_stands_on_its_commit_and_is_never_moved(self, repository: Path, tagged: str) -> None:
        other = snapshot(repository, max_file_mb=1).commit
        tag(repository, "retrim/m/v1", other, same=[".gitignore"])  # whose files are the same: it stays
        with pytest.raises(RetrimError, match=r"tag retrim/m/v1 points to .* never moves"):
            tag(repository, "retrim/m/v1", other, same=["a.txt"])

        assert find_tag(repository, "retrim/m/v1") == tagged
        assert find_tag(repository, "retrim/m/v9") is None

    def test_needs_no_signature(self, repository: Path) -> None:
        git(repository, "config", "tag.gpgsign", "true")
        tag(repository, "retrim/m/v2", "HEAD", same=["a.txt"])

        assert find_tag(repository, "retrim/m/v2") is not None


def test_a_failed_command_ends_in_gits_own_words(tmp_path: Path) -> None:
    with pytest.raises(RetrimError, match=f"{tmp_path}: fatal: "):
        git(tmp_path, "status")


def test_a_file_whose_name_is_not_utf8_is_taken_along(repository: Path) -> None:
    name = os.fsdecode(b"caf\xe9.txt")
    (repository / name).write_text("x", encoding="utf-8")
    taken = snapshot(repository, max_file_mb=1)

    assert name in taken.untracked


def test_a_file_of_a_commit_is_that_of_this_repository_in_a_hook_of_another(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "another" / ".git"))

    assert file_at(repository, "HEAD", "a.txt") == b"committed\n"
