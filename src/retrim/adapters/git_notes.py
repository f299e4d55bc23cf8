"""Notes in a repository: annotated tags that say something of their own."""

from pathlib import Path

from retrim.adapters import git
from retrim.errors import RetrimError


def keep(root: Path, name: str, commit: str, text: str) -> None:
    """Sets an annotated tag that says `text`; one that stands already stays as it is."""
    try:
        git.git(root, *git.IDENTITY, "tag", "-a", "--cleanup=verbatim", name, commit, "-m", text)
    except RetrimError:
        if name not in read_all(root, name):  # else another process was faster
            raise


def read_all(root: Path, prefix: str) -> dict[str, str]:
    """What the tags whose names begin with these whole parts say, by name."""
    printed = git.git(root, "for-each-ref", "--format=%(refname:strip=2)%00%(contents)%00", f"refs/tags/{prefix}")
    parts = printed.split("\0")[:-1]
    return {name.strip(): text for name, text in zip(parts[::2], parts[1::2], strict=True)}
