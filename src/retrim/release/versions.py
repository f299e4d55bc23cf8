"""Versions as they are stored, where each came from, which is live, and the release log that says so. The log has every
move of the champion, append-only, each row signed over the one before. The store has it, and git a copy of each row,
as an annotated tag `retrim/MODEL/log/N`: a log that was cut off or brought back as it was once differs from git's. The
tag is written after the row, and what a kill left out is written by whoever comes next.
"""

import json
import re
from collections.abc import Container, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property, partial
from hashlib import sha256
from pathlib import Path

import pandas as pd

from retrim.adapters import git
from retrim.adapters.database import iso
from retrim.adapters.exhibits import Exhibits
from retrim.adapters.signing import PublicKey, signature_fault
from retrim.decision.alerts import AlertKind
from retrim.decision.release_log import BrokenLog, digest_of_row, first_broken
from retrim.decision.retraining_cost import ModelWorth
from retrim.decision.stored_rows import PROOF, Origin, ReleaseRow, VersionRow
from retrim.drift.reference import Reference, load_reference
from retrim.errors import BadInputError, RefusedError, RetrimError
from retrim.files import folder_digest, read_folder
from retrim.gate.verdict import VerdictRecord
from retrim.lineage.workspace import Workspace
from retrim.stats.codec import from_parquet, from_record, to_json
from retrim.training.bundle import VERDICT, Predictor, judged_in, open_predictor
from retrim.training.estimators import trust_all
from retrim.training.predicted import half_width
from retrim.training.recipe import BASELINE, Recipe

PROBATION_ROLLBACK = AlertKind.PROBATION_ROLLBACK.value
ROLLBACKS = ("rollback", PROBATION_ROLLBACK)
"""What the release log calls a move back: a person's, and that of a probation."""
DIGEST = re.compile("[0-9a-f]{64}")
ORIGIN = "origin"
"""In the lineage of a version that was imported: model, version and commit there, and the key that signed it."""
REPOSITORY = "repository"
"""In a version's lineage: the first commit of the repository it was made in. Older ones do not say."""
MLFLOW_RUN = "mlflow_run"
"""In a version's lineage: MLflow's id of the run with its bundle, here. Older ones do not say."""


@dataclass(frozen=True)
class LastProof:
    """When a version was last found identical, and when it was found different since."""

    proved: str | None = None
    differed: str | None = None


def last_proofs(workspace: Workspace) -> dict[int, LastProof]:
    """The last proofs of each version that has some."""
    proofs: dict[int, LastProof] = {}
    for row in workspace.store.envelopes(workspace.model, kind=PROOF):
        last = proofs.get(row.version, LastProof())
        proofs[row.version] = LastProof(row.at) if row.proof.identical else replace(last, differed=row.at)
    return proofs


@dataclass(frozen=True)
class VerifiedLog:
    """A release log whose signatures were verified.

    Args:
        rows: Rows of the log.
        in_git: Rows that are also in git.
        head: Digest of the last row; None if the log is empty. If you keep it elsewhere, you can prove later that no
            row was removed.
    """

    rows: int
    in_git: int
    head: str | None


@dataclass(frozen=True)
class LoggedMove:
    """A row of the release log.

    Args:
        sequence: Position in the log, from 1.
        version: The version that went live.
        previous: The version that was live before; None if there was none.
        action: `promote`, `restore`, `rollback`, `probation rollback` or `import`.
        by: Who released it.
        reason: Why it was released.
        as_of: As-of date of the run, check or command.
        at: Time of the release, by the clock.
        digest: SHA-256 of the signed row.
        signer: Fingerprint of the key.
    """

    sequence: int
    version: int
    previous: int | None
    action: str
    by: str
    reason: str
    as_of: str
    at: str
    digest: str
    signer: str


def release_log(workspace: Workspace) -> list[LoggedMove]:
    """Every move of the champion, oldest first."""
    return [
        LoggedMove(
            row.sequence, row.version, row.previous, row.action, row.actor, row.reason, row.as_of, row.at,
            digest_of_row(row), PublicKey.read(row.signer).fingerprint,
        )
        for row in workspace.store.releases(workspace.model)
    ]  # fmt: skip


def verify_log(workspace: Workspace, *, kept: str | None) -> VerifiedLog:
    """Checks the whole log: signatures, order, count, and the copies in git.

    Args:
        kept: A digest that was noted before and must be in it; None to ask for none.

    Raises:
        BadInputError: What was noted is no whole digest.
        RefusedError: A row was changed, moved, added or taken away; names the first.
    """
    if kept is not None and not DIGEST.fullmatch(kept):
        raise BadInputError(
            f"{kept!r} is not a digest of 64 hexadecimal digits; pass a whole digest, as `retrim versions log "
            "--verify` prints it"
        )
    try:
        rows, copies = _checked(workspace)
    except RefusedError:
        rows, copies = _checked(workspace)  # read again: the champion may have moved between one reading and the next
    digests = [digest_of_row(row) for row in rows]
    if kept is not None and kept not in digests:
        raise RefusedError(
            f"the release log of {workspace.model} has no row with the digest {kept[:12]}, so rows were removed "
            "after you noted the digest; check that the digest is from this workspace, or restore the store from a "
            "backup"
        )
    return VerifiedLog(len(rows), len(copies), digests[-1] if digests else None)


def keep_copies(workspace: Workspace) -> None:
    """Writes copies of the rows that have none into git, once the log was verified; done twice, it is done once.

    Raises:
        RefusedError: The log was altered.
    """
    rows = workspace.store.releases(workspace.model)
    missing = {row.sequence for row in rows} - _copies(workspace).keys()
    if not missing:
        return
    verify_log(workspace, kept=None)
    root = workspace.paths.root
    for row in rows:
        if row.sequence in missing:
            made = workspace.store.version(workspace.model, row.version)
            commit = None if made is None else git.find_tag(root, made.tag)  # None: it was imported
            message = f"retrim: version {row.version} of {workspace.model}, {row.action}"
            text = f"{message}\n\n{to_json(vars(row)).decode()}"
            git.keep(root, f"{_prefix(workspace)}/{row.sequence}", commit or "HEAD", text)


def _checked(workspace: Workspace) -> tuple[list[ReleaseRow], dict[int, str | None]]:
    """Rows and copies of a log that is what was signed."""
    copies = _copies(workspace)  # first: a move in between has a row without a copy, which is no fault
    try:
        rows, head = workspace.store.releases(workspace.model), workspace.store.release_head(workspace.model)
    except RetrimError:
        number = workspace.store.unreadable_release(workspace.model)
        raise _altered(workspace, BrokenLog(number, "cannot be read"), copies) from None
    counts = partial(signature_fault, known=workspace.keys.known())
    broken = first_broken(rows, head, copies, fault=counts)
    if broken is not None:
        raise _altered(workspace, broken, copies)
    return rows, copies


def _copies(workspace: Workspace) -> dict[int, str | None]:
    """Digests of the copies in git by number; None for one that cannot be read."""
    targets: dict[int, str | None] = {}
    for name, text in git.read_all(workspace.paths.root, _prefix(workspace)).items():
        number = name.removeprefix(f"{_prefix(workspace)}/")
        if number.isdecimal():
            targets[int(number)] = None
            with suppress(ValueError):
                targets[int(number)] = sha256(to_json(json.loads(text.partition("\n\n")[2]))).hexdigest()
    return targets


def _prefix(workspace: Workspace) -> str:
    return f"retrim/{workspace.model}/log"


def _altered(workspace: Workspace, broken: BrokenLog, copies: Container[int | None]) -> RefusedError:
    which = "its signed head" if broken.row is None else f"row {broken.row}"
    cure = "restore the store from an earlier backup, and check who can write to it"
    if broken.row in copies:
        name = f"{_prefix(workspace)}/{broken.row}"
        cure += (
            f". `git show {name}` shows the row as it was signed; if no backup has the row, `git tag -d {name}` "
            "removes its signed copy, and the log continues without the row"
        )
    return RefusedError(f"the release log of {workspace.model} was altered: {which} {broken.what}; {cure}")


@dataclass(frozen=True)
class LiveVersion:
    """The live version.

    Args:
        version: Number of the version.
        as_of: As-of date of the run, check or command that released it.
        since: Time of the release, by the clock.
        by: Who released it, or decided to.
        reason: Why it was released.
        action: The release log's word for the release.
        previous: The champion that it replaced, to which a rollback returns. If the promoted recipe was fitted again,
            this is the champion before the evaluated version, not that version.
        loss: Its mean loss on the holdout rows, as judged; None if there were none.
    """

    version: int
    as_of: str
    since: str
    by: str
    reason: str
    action: str
    previous: int | None
    loss: float | None = None


def find_live_version(workspace: Workspace, *, before: pd.Timestamp | None = None) -> LiveVersion | None:
    """What is live now, or went live as of a moment before `before`, from the release rows; None where nothing did."""
    rows = workspace.store.releases(workspace.model)
    return _last(workspace, [row for row in rows if before is None or row.as_of < iso(before)])


def live_at(workspace: Workspace, moment: pd.Timestamp) -> LiveVersion | None:
    """What was live at a moment of the clock, whatever was taken for now; None where nothing was."""
    return _last(workspace, [row for row in workspace.store.releases(workspace.model) if row.at <= iso(moment)])


def _last(workspace: Workspace, rows: Sequence[ReleaseRow]) -> LiveVersion | None:
    if not rows:
        return None
    row = rows[-1]
    loss = judged_loss(workspace.store.version(workspace.model, row.version))
    return LiveVersion(row.version, row.as_of, row.at, row.actor, row.reason, row.action, row.previous, loss)


def judged_loss(row: VersionRow | None) -> float | None:
    """Mean loss of a version's judged fit on the holdout rows."""
    return None if row is None else row.judged.losses.get(row.judged.winner)


def judged_in_words(loss: float | None) -> str:
    """A judged loss, behind a version's number."""
    return "no holdout rows judged it" if loss is None else f"mean loss {loss:.4g} when judged"


@dataclass(frozen=True)
class RollbackTarget:
    """Where a rollback goes if nobody names a version.

    Args:
        live: The version that is live.
        version: The version that goes live again.
        loss: Its mean loss on the holdout rows, as judged; None if there were none.
    """

    live: int
    version: int
    loss: float | None


def find_rollback_target(workspace: Workspace) -> RollbackTarget | None:
    """Where a rollback goes, by command or by the page's button; None if no version was live before."""
    live = find_live_version(workspace)
    if live is None or live.previous is None:
        return None
    loss = judged_loss(workspace.store.version(workspace.model, live.previous))
    return RollbackTarget(live.version, live.previous, loss)


def rolled_back_from(releases: Sequence[ReleaseRow]) -> set[int]:
    """Versions that a rollback took out of service and that were not released again since.

    These are all that were live after the version to which the rollback went; of a new one, a baseline, the one before.
    """
    gone: set[int] = set()
    for number, row in enumerate(releases):
        if row.action in ROLLBACKS:
            earlier = (start for start in range(number - 1, -1, -1) if releases[start].version == row.version)
            until = next(earlier, number - 2)
            gone |= {release.version for release in releases[until + 1 : number]}
        gone.discard(row.version)
    return gone


def worth_of_live(workspace: Workspace) -> ModelWorth | None:
    """What the live version is worth, as judged.

    It is the live version's, and not the first one's: what a retraining can bring back is what the model in use is
    better than a naive baseline, and that of a first model on little history is soon out of date. Before a release it
    is that of version 1; None before that.
    """
    versions = {row.version: row.judged for row in workspace.store.versions(workspace.model)}
    if not versions:
        return None
    first = versions[min(versions)]
    live = find_live_version(workspace)
    judged = first if live is None else versions.get(live.version, first)
    return ModelWorth(judged.loss, judged.naive_loss)


def champions_before(releases: Sequence[ReleaseRow], version: int) -> list[int]:
    """Those that were live before, the newest first, without `version`."""
    numbers = dict.fromkeys(row.version for row in reversed(releases))
    return [number for number in numbers if number != version]


def trusted_live(workspace: Workspace) -> LiveVersion | None:
    """What is live now, after the release log was verified: for who serves it or goes on from it.

    Raises:
        RefusedError: A row of the log was altered.
    """
    verify_log(workspace, kept=None)
    return find_live_version(workspace)


def origin_of(row: VersionRow) -> Origin | None:
    """Where a version was imported from; None where it was made here."""
    return row.made_from.origin


def refuse_rebuild(row: VersionRow) -> None:
    """Says why an imported version is not rebuilt here, and what was checked instead.

    Raises:
        RefusedError: It was imported.
    """
    origin = origin_of(row)
    if origin is None:
        return
    proved = "was not proved" if origin.proved_at is None else f"was last proved on {origin.proved_at}"
    raise RefusedError(
        f"version {row.version} was imported, so its commit {origin.commit[:12]} and raw data are not here; prove it "
        f"in the workspace that made it, as version {origin.version} (key {origin.signer[:16]}). Here only its bundle "
        f"is checked, against the signed hash and its reference rows. When it was exported, it {proved} there"
    )


@dataclass(frozen=True)
class Stored:
    """A stored version, read once; what is in it is made when first asked for.

    Args:
        files: Of its bundle, by relative name.
    """

    version: int
    files: Mapping[str, bytes]

    @cached_property
    def verdict(self) -> VerdictRecord:
        """What the gate said of it."""
        return from_record(VerdictRecord, json.loads(self.files[VERDICT]))

    @cached_property
    def predictor(self) -> Predictor:
        """The model that predicts, with its own preprocessing; it is loaded when first asked for."""
        return open_predictor(self.files)

    @cached_property
    def judged_losses(self) -> pd.Series | None:
        """Where the final fit predicts, the judged fit's loss on each of the rows that judged, by key; else None."""
        if not judged_in(self.files).predicts_final:
            return None
        judged = from_parquet(self.files["verdict/judged.parquet"], ["_key", "_judged_loss"])
        return judged.set_index("_key")["_judged_loss"]

    @cached_property
    def reference(self) -> Reference | None:
        """The profiles of what it was made from; None where its bundle is older than they are."""
        return load_reference(self.files, judged_in(self.files).folder)


def stored_bundle(workspace: Workspace, version: int) -> Path:
    """The folder of a version's bundle.

    Raises:
        BadInputError: There is no such version.
        RefusedError: The stored bundle is not the recorded one.
    """
    row = workspace.store.version(workspace.model, version)
    if row is None:
        raise BadInputError(f"{workspace.model} has no version {version}; list them with `retrim versions`")
    folder = _folder(workspace, row)
    digest = folder_digest(folder)
    if digest != row.bundle:
        raise RefusedError(
            f"the stored bundle of version {version} was altered: its hash is {digest[:12]}, but {row.bundle[:12]} "
            f"is recorded. `git checkout {row.tag} && dvc checkout` restores the recorded bundle in "
            f"data/candidate; copy that bundle to {folder}"
        )
    return folder


def load_stored_version(workspace: Workspace, version: int) -> Stored:
    """A stored version.

    Raises:
        As `stored_bundle`.
    """
    files = read_folder(stored_bundle(workspace, version))
    trust_all(files)  # it has the recorded hash: made here, or imported where this workspace had the same file
    return Stored(version, files)


def interval_width(found: Stored) -> float | None:
    """Half the width of the interval around a number: from the holdout rows of the judged fit."""
    if found.predictor.view.task != "regression":
        return None
    rows, winner = from_parquet(found.files["verdict/judged.parquet"]), found.verdict.winner
    return None if winner not in rows else half_width((rows[winner] - rows["actual"]).to_numpy())


def _folder(workspace: Workspace, row: VersionRow) -> Path:
    return workspace.registry.bundle_folder(row.version, run=row.made_from.mlflow_run)


def live_kind(workspace: Workspace) -> str | None:
    """The kind of the live model; None before the first promotion. Its bundle is read and not checked."""
    now_live = find_live_version(workspace)
    return None if now_live is None else _recipe(workspace, now_live.version).kind


def newest_recipe(workspace: Workspace) -> Recipe | None:
    """The recipe of the newest champion that is a model, and no baseline; None where there was none."""
    numbers = dict.fromkeys(row.version for row in reversed(workspace.store.releases(workspace.model)))
    recipes = (_recipe(workspace, number) for number in numbers)
    return next((recipe for recipe in recipes if recipe.kind != BASELINE), None)


def _recipe(workspace: Workspace, version: int) -> Recipe:
    row = workspace.store.version(workspace.model, version)
    assert row is not None, version
    return Exhibits(_folder(workspace, row)).fit.recipe


def load_champion(workspace: Workspace) -> Stored | None:
    """The live version; None before the first promotion.

    Raises:
        RefusedError: Its stored bundle or the release log was altered.
    """
    now_live = trusted_live(workspace)
    if now_live is None:
        return None
    return load_stored_version(workspace, now_live.version)
