"""Git: snapshots of a workspace, worktrees, commits, tags, bundles. The user's branch, index and files stay."""

import fnmatch
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from retrim.errors import BadInputError, RefusedError, RetrimError
from retrim.files import flush_all

IDENTITY = (
    *("-c", "user.name=retrim", "-c", "user.email=retrim@localhost"),
    *("-c", "commit.gpgsign=false", "-c", "tag.gpgsign=false"),
)
NO_HOOKS = ("-c", "core.hooksPath=/dev/null")
SECRET_NAMES = (
    ".env", ".env.*", "*.env", "*.pem", "*.key", "*.p12", "*.pfx", "id_rsa*", "id_ed25519*", "id_ecdsa*",
    "config.local",
    ".netrc", ".pypirc", ".pgpass", "*credentials*", "*secret*.json", "*secret*.yaml", "*secret*.yml", "*token*.txt",
)  # fmt: skip
SECRET_TEXT = re.compile(rb"-----BEGIN [A-Z ]*PRIVATE KEY-----|\bAKIA[0-9A-Z]{16}\b|\bgh[pousr]_[A-Za-z0-9]{36}\b")
HEAD = "HEAD"
REF_OR_COMMIT = re.compile("refs/.+|[0-9a-f]{40,64}", re.ASCII)


@dataclass(frozen=True)
class Snapshot:
    """A commit of everything git does not ignore, and the untracked files that are in it, staged or not."""

    commit: str
    untracked: tuple[str, ...]


def git(
    folder: Path, *arguments: str, index: Path | None = None, extra: Mapping[str, str] = MappingProxyType({})
) -> str:
    """What one git command prints; no hook fires.

    Raises:
        RetrimError: It failed; the message is git's own.
    """
    environment = {**_environment(), **extra}
    if index is not None:
        environment["GIT_INDEX_FILE"] = str(index)
    command = ["git", *NO_HOOKS, *arguments]
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            env=environment,
            capture_output=True,
            encoding="utf-8",
            errors="surrogateescape",  # names of files are bytes, and need not be UTF-8
            check=False,
        )
    except FileNotFoundError as error:
        raise RetrimError(f"git cannot be run in {folder} ({error.strerror}); install git") from error
    if done.returncode:
        command_words = arguments[len(IDENTITY) :] if arguments[: len(IDENTITY)] == IDENTITY else arguments
        raise RetrimError(f"git {' '.join(command_words[:3])} failed in {folder}: {done.stderr.strip()}")
    return done.stdout.strip("\n")  # a name may begin with a space


def _environment() -> dict[str, str]:
    """The inherited environment without what names another repository, as git sets it for its hooks."""
    return {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}


def require_repository(root: Path) -> None:
    """Checks that `root` is the top of a git repository with a commit.

    Raises:
        BadInputError: It is not.
    """
    try:
        top = Path(git(root, "rev-parse", "--show-toplevel"))
        git(root, "rev-parse", "--verify", "HEAD")
    except RetrimError as error:
        raise BadInputError(
            f"{root} is not a git repository with a commit, but every run starts from a commit; in that folder, run "
            "`git init`, `git add -A` and `git commit -m start`"
        ) from error
    if top.resolve() != root.resolve():
        raise BadInputError(
            f"the workspace {root} lies inside the git repository {top}; move the workspace out of it, and run `git "
            "init`, `git add -A` and `git commit -m start` in the moved folder"
        )


def snapshot(root: Path, *, max_file_mb: float) -> Snapshot:
    """Commits everything git does not ignore, uncommitted edits included, onto no branch.

    Raises:
        RefusedError: An untracked file is too large, looks like a secret, or is a repository of its own.
    """
    require_repository(root)
    others = git(root, "ls-files", "--others", "--exclude-standard", "-z")
    staged = git(root, "diff", "--cached", "--name-only", "--no-renames", "--diff-filter=A", "-z", "HEAD")
    untracked = tuple(sorted(filter(None, f"{others}\0{staged}".split("\0"))))
    _refuse(root, untracked, max_file_mb)
    with tempfile.TemporaryDirectory() as folder:
        index = Path(folder) / "index"
        real_index = Path(git(root, "rev-parse", "--git-path", "index"))
        real_index = real_index if real_index.is_absolute() else root / real_index
        if real_index.exists():
            shutil.copy2(real_index, index)
        git(root, "add", "-A", index=index)
        tree = git(root, "write-tree", index=index)
    commit = git(root, *IDENTITY, "commit-tree", tree, "-p", "HEAD", "-m", "retrim: snapshot of the workspace")
    return Snapshot(commit, untracked)


def _refuse(root: Path, untracked: tuple[str, ...], max_file_mb: float) -> None:
    for name in untracked:
        path = root / name
        if name.endswith("/"):
            raise RefusedError(
                f"untracked folder {name} is a separate git repository, so a snapshot cannot include its files; add "
                "the folder to .gitignore"
            )
        if not path.is_file() or path.is_symlink():
            continue
        size = path.stat().st_size / 1e6
        if size > max_file_mb:
            raise RefusedError(
                f"untracked file {name} is {size:.1f} MB, but a tag may publish an untracked file of at most "
                f"{max_file_mb:g} MB; add the file to .gitignore, or commit it"
            )
        if looks_secret(path):
            raise RefusedError(
                f"untracked file {name} looks like a secret, and a tag would publish it; add the file to .gitignore"
            )


def looks_secret(path: Path) -> bool:
    """Whether a file's name or its first 64 kB look like a key or a password store."""
    if any(fnmatch.fnmatch(path.name.lower(), pattern) for pattern in SECRET_NAMES):
        return True
    with path.open("rb") as file:
        return SECRET_TEXT.search(file.read(1 << 16)) is not None


def add_worktree(root: Path, folder: Path, commit: str) -> None:
    """A worktree at `commit`, on no branch, without hooks."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    git(root, "worktree", "add", "-q", "--detach", "--force", str(folder), commit)


def clone_commit(root: Path, folder: Path, commit: str) -> None:
    """A fresh clone of one commit and its past: each object is sent, and hashed anew where it arrives.

    Unlike a worktree it shares nothing with the repository: not the objects, whose hashes git does not check when it
    checks out files, nor the settings, filters and hooks.
    """
    folder.mkdir(parents=True)
    git(folder, "init", "-q", "-b", "empty")
    git(root, "push", "-q", str(folder), f"{commit}:refs/heads/rebuilt")
    git(folder, "-c", "advice.detachedHead=false", "checkout", "-q", "--detach", commit)


def remove_worktree(root: Path, folder: Path) -> None:
    """Removes a worktree, whatever is in it; it may be gone already."""
    if folder.exists():
        shutil.rmtree(folder)
    with suppress(
        RetrimError
    ):  # git locks a worktree while it makes it; one killed just then would stay listed for ever
        git(root, "worktree", "unlock", str(folder))
    git(root, "worktree", "prune")


def commit_files(folder: Path, names: list[str], message: str, *, date: str) -> str:
    """Commits these files of a worktree, ignored ones too, and gives the commit.

    The same files on the same snapshot with the same date are the same commit, whoever makes it when.
    """
    git(folder, "add", "-f", "--", *names)
    tree = git(folder, "write-tree")
    dates = {"GIT_AUTHOR_DATE": date, "GIT_COMMITTER_DATE": date}
    parent = git(folder, "rev-parse", "HEAD")
    if tree == git(folder, "rev-parse", "HEAD^{tree}"):
        return parent
    commit = git(folder, *IDENTITY, "commit-tree", tree, "-p", parent, "-m", message, extra=dates)
    git(folder, "reset", "-q", "--soft", commit)
    return commit


def commit(root: Path, names: list[str], message: str) -> str:
    """Commits these files if they changed, and gives the newest commit; what else is staged stays so."""
    if git(root, "status", "--porcelain", "--", *names):
        git(root, "add", "--", *names)
        git(root, *IDENTITY, "commit", "-q", "-m", message, "--", *names)
    return git(root, "rev-parse", "HEAD")


def tag(root: Path, name: str, commit: str, *, same: list[str]) -> None:
    """Sets an annotated tag. Where it stands already it stays, if the files `same` are the same there.

    Raises:
        RetrimError: The tag stands on a commit with other files.
    """
    standing = find_tag(root, name)
    if standing is None:
        git(root, *IDENTITY, "tag", "-a", name, commit, "-m", name)
    elif git(root, "diff", "--name-only", standing, commit, "--", *same):
        raise RetrimError(
            f"tag {name} points to {standing[:12]}, not to {commit[:12]}, and retrim never moves a tag; if the tag was "
            f"created by hand, delete it with `git tag -d {name}`"
        )


def collect_loose(root: Path) -> None:
    """Lets git pack its loose objects if they are many; what nothing names and is younger than two weeks stays."""
    git(root, "-c", "gc.autoDetach=false", "gc", "--auto", "--quiet")


def flush(root: Path, name: str) -> None:
    """Makes a tag, and all that the commit it stands on is made of, survive a power cut."""
    git_folder = Path(git(root, "rev-parse", "--path-format=absolute", "--git-common-dir"))
    listed = git(root, "rev-list", "--objects", "--no-walk", f"refs/tags/{name}").splitlines()
    objects = [git_folder / "objects" / line[:2] / line.split()[0][2:] for line in listed]
    loose = filter(Path.is_file, [*objects, git_folder / "refs" / "tags" / name])  # packed is flushed by git
    flush_all(loose, below=git_folder)


def clear_tag_locks(root: Path, prefix: str) -> None:
    """Removes locks that a kill inside `git tag` left; only for one who knows that nobody is tagging."""
    require_repository(root)
    for lock in (root / git(root, "rev-parse", "--git-path", f"refs/tags/{prefix}")).rglob("*.lock"):
        lock.unlink(missing_ok=True)


def has_commit(root: Path, commit: str) -> bool:
    try:
        git(root, "cat-file", "-e", f"{commit}^{{commit}}")
    except RetrimError:
        return False
    return True


@dataclass(frozen=True)
class ChangedFile:
    """A file that differs between two commits: lines added and taken away; None for one that is not text."""

    name: str
    added: int | None
    removed: int | None


def changed_files(root: Path, older: str, newer: str) -> tuple[ChangedFile, ...]:
    """Every file that differs between two commits, by name; one that was renamed is gone and new."""
    listed = git(root, "diff", "--numstat", "--no-renames", "-z", older, newer)
    files = []
    for line in filter(None, listed.split("\0")):
        added, removed, name = line.split("\t", 2)
        files.append(ChangedFile(name, *(None if count == "-" else int(count) for count in (added, removed))))
    return tuple(sorted(files, key=lambda file: file.name))


def commit_of(root: Path, name: str) -> str | None:
    """The commit a ref leads to; None where it leads to something else or nothing."""
    try:
        return git(root, "rev-parse", "--verify", "--quiet", f"{name}^{{commit}}")
    except RetrimError:
        return None


def first_commit(root: Path) -> str | None:
    """The commit that a repository began with, by which it is told from others.

    None where it does not say: it was cloned without its past, or put together of several.
    """
    if git(root, "rev-parse", "--is-shallow-repository") != "false":
        return None
    first = git(root, "rev-list", "--max-parents=0", "HEAD").splitlines()
    return first[0] if len(first) == 1 else None


def find_tag(root: Path, name: str) -> str | None:
    return commit_of(root, f"refs/tags/{name}")


def file_at(root: Path, commit: str, name: str) -> bytes:
    """A file of a commit, byte for byte.

    Raises:
        RetrimError: The commit does not have it.
    """
    command = ["git", *NO_HOOKS, "cat-file", "blob", f"{commit}:{name}"]
    done = subprocess.run(command, cwd=root, env=_environment(), capture_output=True, check=False)
    if done.returncode:
        message = done.stderr.decode(errors="replace").strip()
        raise RetrimError(
            f"git cannot read {name} in commit {commit[:12]} ({message}); if this is a clone, fetch that commit"
        )
    return done.stdout


def keep(root: Path, name: str, commit: str, text: str) -> None:
    """Sets an annotated tag that says `text`; one that stands already stays as it is."""
    try:
        git(root, *IDENTITY, "tag", "-a", "--cleanup=verbatim", name, commit, "-m", text)
    except RetrimError:
        if name not in read_all(root, name):  # else another process was faster
            raise


def read_all(root: Path, prefix: str) -> dict[str, str]:
    """What the tags whose names begin with these whole parts say, by name."""
    printed = git(root, "for-each-ref", "--format=%(refname:strip=2)%00%(contents)%00", f"refs/tags/{prefix}")
    parts = printed.split("\0")[:-1]
    return {name.strip(): text for name, text in zip(parts[::2], parts[1::2], strict=True)}


def refs(root: Path) -> dict[str, str]:
    """What every ref stands on, and `HEAD`."""
    listed = git(root, "for-each-ref", "--format=%(objectname) %(refname)")
    return {**_commits_by_name(listed), HEAD: git(root, "rev-parse", HEAD)}


def _commits_by_name(listed: str) -> dict[str, str]:
    return {name: commit for commit, _, name in (line.partition(" ") for line in listed.splitlines())}


def bundle(root: Path, to: Path) -> dict[str, str]:
    """Writes all refs with all that they lead to into one file, without the `HEAD` of other worktrees, such as run
    directories; gives the refs that it holds, and `HEAD`.
    """
    git(root, "bundle", "create", "--quiet", str(to), "--single-worktree", "--all", HEAD)
    return _commits_by_name(git(root, "bundle", "list-heads", str(to)))


def checked_out(root: Path) -> str:
    """The branch that is checked out, as a ref; a commit where none is."""
    with suppress(RetrimError):
        return git(root, "symbolic-ref", "--quiet", HEAD)
    return git(root, "rev-parse", HEAD)


def differing(root: Path, commit: str) -> tuple[list[str], list[str]]:
    """Files of the working folder that are not as in a commit, or new and not ignored; and those that are gone."""
    changed = git(root, "diff", "--name-only", "--no-renames", "-z", commit).split("\0")
    others = git(root, "ls-files", "--others", "--exclude-standard", "-z").split("\0")
    names = sorted(set(filter(None, [*changed, *others])))
    here = [name for name in names if os.path.lexists(root / name)]
    return here, [name for name in names if name not in here]


def unbundle(folder: Path, file: Path, stands: Mapping[str, str], branch: str) -> None:
    """Makes a repository of a bundle, with these refs and the files of the branch or commit that is checked out.

    Raises:
        RetrimError: `file` is not a git bundle, lacks the commit of a ref, or a name is not that of a ref: git would
            write it among its own files.
    """
    strange = [name for name in stands if name != HEAD and not name.startswith("refs/")]
    if strange or not REF_OR_COMMIT.fullmatch(branch):
        raise RetrimError(
            f"the backup record contains the invalid git ref {(*strange, branch)[0]!r}, so the record was altered; "
            "restore an older backup"
        )
    git(folder, "init", "-q", "-b", "empty")
    git(folder, "bundle", "unbundle", str(file))
    for name, commit in stands.items():
        if name != HEAD:
            git(folder, "update-ref", name, commit)
    if branch.startswith("refs/"):
        git(folder, "symbolic-ref", HEAD, branch)
    else:
        git(folder, "update-ref", "--no-deref", HEAD, branch)
    git(folder, "reset", "-q", "--hard")
