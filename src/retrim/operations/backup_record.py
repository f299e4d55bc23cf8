"""What a backup says of itself: one record, by which every file of it is found and checked."""

from dataclasses import dataclass
from typing import Annotated

from retrim.stats.codec import Absent, Moment, Unwritten, key, written

FORMAT = 1


@dataclass(frozen=True, kw_only=True)
class BackupFile:
    """A file of a workspace.

    Args:
        place: Where it lies, as seen from the workspace.
        digest: SHA-256 of its content, under which it lies in the backup.
        size: Bytes.
        mode: Its rights, as the system counts them.
        state: What told this content from another when it was read: an unchanged file is not read again.
    """

    place: str
    digest: Annotated[str, key("sha256")]
    size: Annotated[int, key("bytes")]
    mode: int = 0o600
    state: str = ""


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
        bundle: File with its objects.
        refs: Commit or tag, by ref.
        head: The branch that is checked out, or a commit.
        commit: The commit that is checked out.
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
        format: Format of this record.
        model: Name of the model.
        at: Time of the snapshot. Everything that was decided or landed by then is included.
        retrim: The retrim version that made it.
        root: Folder of the workspace.
        artifacts: Folder or address of MLflow's files.
        git: The repository.
        databases: The store and MLflow's database, SQLite or as `pg_dump` writes them.
        files: All other files.
        keys: Keys and passwords, encrypted; None if they were left out.
        left_out: What is not included.
        repository: First commit of the repository.
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
    keys: BackupFile | None
    left_out: tuple[LeftOut, ...]
    repository: Absent[str] = None

    def every_file(self) -> tuple[BackupFile, ...]:
        """All of it, by which it is restored and kept from being removed."""
        sealed = () if self.keys is None else (self.keys,)
        return (self.git.bundle, *self.git.changed, *self.databases, *self.files, *sealed)


@dataclass(frozen=True, kw_only=True)
class BackupListed:
    """A backup, as listed.

    Args:
        name: Name of the backup's record.
        model: Name of the model.
        at: Time of the snapshot.
        files: Files in the backup.
        size: Size of these files, in bytes.
        keys: Whether keys and passwords are in the backup.
    """

    name: str
    model: str
    at: Moment
    files: int
    size: Annotated[int, key("bytes")]
    keys: bool


@dataclass(frozen=True, kw_only=True)
class BackupMade:
    """The result of a backup.

    Args:
        name: Name of the backup's record.
        where: Address of the backup, without secrets.
        backup: The backup's record.
        new_files: Files that had to be copied because no earlier backup holds their contents.
        new_bytes: Size of these files, in bytes.
        seconds: Duration, in seconds.
    """

    name: str
    where: str
    backup: Unwritten[Backup]
    new_files: int
    new_bytes: int
    seconds: float

    @written
    def at(self) -> Moment:
        """Time of the snapshot."""
        return self.backup.at

    @written
    def files(self) -> int:
        """Files in the backup."""
        return len(self.backup.every_file())

    @written
    def bytes(self) -> int:
        """Size of these files, in bytes."""
        return sum(each.size for each in self.backup.every_file())

    @written
    def keys(self) -> bool:
        """Whether keys and passwords are in the backup."""
        return self.backup.keys is not None

    @written
    def left_out(self) -> tuple[LeftOut, ...]:
        """What the backup does not contain, and why."""
        return self.backup.left_out


@dataclass(frozen=True, kw_only=True)
class BackupVerified:
    """The result of reading a backup as a whole.

    Args:
        name: Name of the backup's record.
        at: Time of the snapshot.
        files: Files in the backup.
        damaged: Those that are missing, or whose content is not what was backed up.
    """

    name: str
    at: Moment
    files: int
    damaged: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class BackupRestored:
    """The result of a restore.

    Args:
        name: Name of the backup's record.
        at: Time of the snapshot.
        folder: The restored workspace.
        files: Files that were restored, each verified against its SHA-256.
        size: Size of these files, in bytes.
        keys: Whether keys and passwords were restored.
        moved: Paths in MLflow's database that were changed to the new folder.
        to_do: What is left for a person to do.
        seconds: Duration, in seconds.
    """

    name: str
    at: Moment
    folder: str
    files: int
    size: Annotated[int, key("bytes")]
    keys: bool
    moved: int
    to_do: tuple[str, ...]
    seconds: float
