"""What a backup says of itself: one record, by which every file of it is found and checked."""

from dataclasses import dataclass, field
from typing import Annotated, Any, Self

from retrim.stats.codec import Absent, Moment, key

FORMAT = 2


@dataclass(frozen=True, kw_only=True)
class BackupFile:
    """A file of a workspace.

    Args:
        place: Where it lies, as seen from the workspace.
        digest: SHA-256 of its content, under which it lies in the backup.
        state: What told this content from another when it was read: an unchanged file is not read again.
    """

    place: str
    digest: Annotated[str, key("sha256")]
    size: Annotated[int, key("bytes")]
    mode: int = 0o600
    state: str = ""

    @property
    def named(self) -> str:
        """How an error names it, and the object that holds its content."""
        return f"{self.place} (object {self.digest[:16]})"


@dataclass(frozen=True, kw_only=True)
class LeftOut:
    """Something that a backup does not contain.

    Args:
        what: Path or name of the item.
        why: Why it is left out, or how to get it back.
    """

    what: str
    why: str


@dataclass(frozen=True, kw_only=True)
class GitState:
    """A repository: all its refs, and how the working tree differs from the newest commit.

    Args:
        refs: Commit or tag, by ref.
        head: The branch that is checked out, or a commit.
        changed: Files that differ from the commit or are not committed.
        removed: Committed files that are missing.
    """

    bundle: BackupFile
    refs: dict[str, str]
    head: str
    commit: str
    changed: tuple[BackupFile, ...]
    removed: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Backup:
    """A backup, which appears in its place only when it is complete.

    Args:
        at: Time of the snapshot. Everything that was decided or landed by then is included.
        retrim: The retrim version that made it.
        artifacts: Folder or address of MLflow's files.
        databases: The store and MLflow's database, SQLite or as `pg_dump` writes them.
        repository: First commit of the repository.
        folders: Permission bits of each folder of the workspace that holds a file of the backup.
    """

    format: int = FORMAT
    model: str
    at: Moment
    retrim: str
    root: str
    artifacts: str
    git: GitState
    databases: tuple[BackupFile, ...]
    files: tuple[BackupFile, ...]
    repository: Absent[str] = None
    folders: dict[str, int] = field(default_factory=dict)

    def every_file(self) -> tuple[BackupFile, ...]:
        return (self.git.bundle, *self.git.changed, *self.databases, *self.files)


@dataclass(frozen=True, kw_only=True)
class BackupListed:
    """A backup, as listed.

    Args:
        name: Name of the backup's record.
        model: Name of the model.
        at: Time of the snapshot.
        files: Files in the backup.
        size: Size of these files, in bytes.
    """

    name: str
    model: str
    at: Moment
    files: int
    size: Annotated[int, key("bytes")]

    @classmethod
    def of(cls, name: str, backup: Backup, **more: Any) -> Self:
        """The facts of a backup, and what a class of these says `more`."""
        files = backup.every_file()
        size = sum(file.size for file in files)
        return cls(name=name, model=backup.model, at=backup.at, files=len(files), size=size, **more)


@dataclass(frozen=True, kw_only=True)
class BackupMade(BackupListed):
    """The result of a backup.

    Args:
        where: Address of the backup, without secrets.
        new_files: Files that had to be copied because no earlier backup holds their contents.
        new_bytes: Size of these files, in bytes.
        left_out: What the backup does not contain, and why.
        damaged: Contents of earlier backups that were read again, are damaged and are no longer in the workspace.
        seconds: Duration, in seconds.
    """

    where: str
    new_files: int
    new_bytes: int
    left_out: tuple[LeftOut, ...]
    damaged: tuple[str, ...]
    seconds: float


@dataclass(frozen=True, kw_only=True)
class BackupVerified(BackupListed):
    """The result of reading a backup as a whole.

    Args:
        damaged: Files that are missing, or whose content is not what was backed up.
    """

    damaged: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class BackupRestored(BackupListed):
    """The result of a restore, each file of which was checked against its SHA-256.

    Args:
        folder: The restored workspace.
        moved: Paths in MLflow's database that were changed to the new folder.
        to_do: What is left for a person to do.
        seconds: Duration, in seconds.
    """

    folder: str
    moved: int
    to_do: tuple[str, ...]
    seconds: float
