"""A version in one signed tar: written by one workspace; checked, judged anew and registered by another.

The tar holds the registered model with its verdict and reference rows, the lock file it was made with, a manifest with
the SHA-256 of each of these files, and the signature of the manifest.
"""

import base64
import binascii
import json
import platform
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import pandas as pd
from pydantic import JsonValue

from retrim.adapters import git
from retrim.adapters.database import iso
from retrim.adapters.exhibits import Exhibits
from retrim.adapters.signing import PublicKey
from retrim.decision.release_checks import LOAD_SECONDS, hold_to
from retrim.decision.stored_rows import Lineage, Origin, VersionRow
from retrim.errors import BadInputError, RefusedError, RetrimError
from retrim.files import (
    digest_of_files,
    file_digest,
    make_private_folder,
    platform_tag,
    read_folder,
    write_file,
    write_folder,
)
from retrim.lineage.locks import held_locks
from retrim.lineage.own_code import refuse_strange_code
from retrim.lineage.workspace import Workspace, require_who_and_why
from retrim.release.approval import ANSWER, APPROVAL, answer_of
from retrim.release.card import keep_card
from retrim.release.outcome import show_outcome
from retrim.release.release import ask_fresh, make_live
from retrim.release.versions import (
    MLFLOW_RUN,
    ORIGIN,
    find_live_version,
    last_proofs,
    origin_of,
    stored_bundle,
)
from retrim.release.versions import load_champion as live_version
from retrim.retraining.archive import pack, unpack
from retrim.retraining.judge_import import judge_import
from retrim.retraining.reproduce import recorded_commit, version_row
from retrim.stats.codec import from_record, to_json, to_record

MANIFEST, SIGNATURE, LOCK, BUNDLE = "manifest.json", "signature", "requirements.lock", "bundle/"
IMPORTED = "imported"  # kind of row of a release envelope


@dataclass(frozen=True)
class ExportedVersion:
    """An exported version.

    Args:
        version: Number of the version.
        file: The file that was written.
        sha256: SHA-256 of the file. The same version in the same state gives the same file.
        bytes: Size of the file, in bytes.
    """

    version: int
    file: Path
    sha256: str
    bytes: int


@dataclass(frozen=True)
class ExportManifest:
    """What an export says of its version, as the workspace that made it recorded it.

    Args:
        proved_at: When a proof last found its rebuild identical; None if none did.
        files: SHA-256 of each other file of the export by its name.
    """

    model: str
    version: int
    as_of: str
    tag: str
    bundle: str
    model_sha256: str
    lineage: dict[str, JsonValue]
    proved_at: str | None
    files: dict[str, str]


def export(workspace: Workspace, version: int, *, to: Path | None) -> ExportedVersion:
    """Writes a version into one signed file, by default `var/exports/<model>-v<N>.tar`.

    Raises:
        BadInputError: There is no such version.
        RefusedError: Its stored bundle is not the recorded one, its commit is gone, or it was imported itself.
    """
    row = version_row(workspace, version)
    if (origin := origin_of(row)) is not None:
        raise RefusedError(
            f"version {version} was imported; export it from the workspace that made it, where it is version "
            f"{origin.version} (key {origin.signer[:16]})"
        )
    bundle = read_folder(stored_bundle(workspace, version))
    files = {f"{BUNDLE}{name}": content for name, content in bundle.items()}
    files[LOCK] = git.file_at(workspace.paths.root, recorded_commit(workspace, row), LOCK)
    proof = last_proofs(workspace).get(version)
    manifest = ExportManifest(
        model=row.model,
        version=version,
        as_of=row.as_of,
        tag=row.tag,
        bundle=row.bundle,
        model_sha256=row.model_sha256,
        lineage=row.lineage,
        proved_at=None if proof is None else proof.proved,
        files=_digests(files),
    )
    files[MANIFEST] = to_json(to_record(manifest))
    files[SIGNATURE] = f"{workspace.keys.public} {workspace.keys.sign(files[MANIFEST])}\n".encode()
    content = pack(files)
    file = to or workspace.paths.var / "exports" / f"{workspace.model}-v{version}.tar"
    write_file(file, content)
    return ExportedVersion(version, file, sha256(content).hexdigest(), len(content))


def _digests(files: Mapping[str, bytes]) -> dict[str, str]:
    return {name: sha256(content).hexdigest() for name, content in files.items()}


@dataclass(frozen=True)
class VersionArchive:
    """An export whose signature and hashes are right.

    Args:
        bundle: Files of the bundle by relative name.
        origin: Where it was made.
        environment: How this machine differs from the one that made it, one line per difference.
    """

    manifest: ExportManifest
    bundle: dict[str, bytes]
    origin: Origin
    environment: tuple[str, ...]


def open_archive(workspace: Workspace, file: Path, *, key: PublicKey | None) -> VersionArchive:
    """Reads an export and checks its signature and hashes, and whether this workspace may take it.

    Raises:
        As `import_version`.
    """
    files = unpack(file)
    signer = _signer(workspace, file, files, key)
    manifest = _manifest(file, files)
    if manifest.model != workspace.model:
        raise BadInputError(
            f"{file.name} is an export of model {manifest.model!r}, but this workspace has model {workspace.model!r}; "
            f"import it in a workspace of {manifest.model!r}"
        )
    bundle = {name.removeprefix(BUNDLE): content for name, content in files.items() if name.startswith(BUNDLE)}
    if digest_of_files(bundle) != manifest.bundle:
        raise RefusedError(
            f"the hash of the bundle in {file.name} differs from the one in its manifest; export it again in the "
            "workspace that made it"
        )
    made_from = from_record(Lineage, manifest.lineage)
    origin = Origin(
        model=manifest.model,
        version=manifest.version,
        commit=str(made_from.commit),
        signer=signer.fingerprint,
        proved_at=manifest.proved_at,
    )
    return VersionArchive(manifest, bundle, origin, _environment(workspace, made_from, files.get(LOCK, b"")))


def _signer(workspace: Workspace, file: Path, files: Mapping[str, bytes], key: PublicKey | None) -> PublicKey:
    """Who signed the manifest: the owner of `key`, or of one of this workspace's keys where none is given."""
    try:
        named, encoded = files[SIGNATURE].decode("ascii").split()
        signer, signature = PublicKey.read(named), base64.b64decode(encoded, validate=True)
        manifest = files[MANIFEST]
    except (KeyError, ValueError, binascii.Error, BadInputError) as error:
        raise BadInputError(
            f"{file.name} has no signed {MANIFEST}; choose a file that `retrim versions export` wrote"
        ) from error
    if signer not in (workspace.keys.known() if key is None else [key]):
        whose = "none of this workspace's keys" if key is None else f"not key {key.fingerprint[:16]} that --key names"
        raise RefusedError(
            f"{file.name} was signed by key {signer.fingerprint}, which is {whose}; ask the sender to confirm this "
            "fingerprint, which `retrim versions export --key` prints there, and pass a file with the sender's key "
            "with --key"
        )
    if not signer.signed(manifest, signature):
        raise RefusedError(
            f"{MANIFEST} in {file.name} does not match its signature, so it was altered; get the export again from the "
            "workspace that made it"
        )
    return signer


def _manifest(file: Path, files: Mapping[str, bytes]) -> ExportManifest:
    """The signed manifest, if the export holds the files that it names and no others."""
    try:
        manifest = from_record(ExportManifest, json.loads(files[MANIFEST]))
    except (ValueError, RetrimError) as error:
        raise BadInputError(
            f"{file.name} is signed, but its {MANIFEST} is incomplete ({error}); export it again with the retrim that "
            "you have here"
        ) from error
    present = _digests({name: content for name, content in files.items() if name not in (MANIFEST, SIGNATURE)})
    wrong = sorted(name for name, _ in present.items() ^ manifest.files.items())
    if wrong:
        raise RefusedError(
            f"files in {file.name} differ from the files that were signed: {', '.join(dict.fromkeys(wrong[:5]))}; get "
            "the export again from the workspace that made it"
        )
    return manifest


def _environment(workspace: Workspace, made_from: Lineage, lock: bytes) -> tuple[str, ...]:
    here, python, digest = platform_tag(), platform.python_version(), sha256(lock).hexdigest()
    differences = []
    if made_from.platform != here:
        differences.append(f"made on {made_from.platform}, but this is {here}: the bytes may differ")
    if made_from.python != python:
        differences.append(f"made with Python {made_from.python}, but this is Python {python}")
    if digest != file_digest(workspace.paths.lock):
        differences.append(f"made with requirements.lock {digest[:12]}, but this workspace has a different one")
    return tuple(differences)


@dataclass(frozen=True)
class ImportedVersion:
    """The result of an import.

    Args:
        state: promoted, refused, waiting for a person, or deferred.
        version: Number of the version here; None if it was deferred, in which case nothing is stored.
        reason: The reason, in one sentence.
        origin: Where the version was made.
        environment: How this machine differs from the one that made the version, one line per difference.
    """

    state: str
    version: int | None
    reason: str
    origin: Origin
    environment: tuple[str, ...]


def import_version(
    workspace: Workspace,
    file: Path,
    *,
    key: PublicKey | None = None,
    by: str,
    approval: str | None,
    now: pd.Timestamp,
) -> ImportedVersion:
    """Checks an export, judges it on the rows that are mature here by `now`, and makes it live if it passed.

    Called again with the same file, it gives the same answer or finishes what a kill left.

    `key` must have signed it; None: a key of this workspace. `approval` is why `by` approves it; without it, the
    version waits where `release.approval` asks a person.

    Raises:
        BadInputError: The file is no export, is too large, or is of another model; or nobody is named.
        RefusedError: It was altered, another key signed it, it does not answer its reference rows, its table is
            another one, it holds code that is not in this workspace, or a run or another import is in progress.
    """
    require_who_and_why(by=by, reason=approval)
    archive = open_archive(workspace, file, key=key)
    refuse_strange_code(workspace, archive.bundle)
    make_private_folder(workspace.paths.tmp)
    with (
        held_locks(workspace, "import"),
        tempfile.TemporaryDirectory(prefix="import-", dir=workspace.paths.tmp) as scratch,
    ):
        versions = workspace.store.versions(workspace.model)
        row = next((row for row in versions if row.bundle == archive.manifest.bundle), None)
        if row is None:
            folder = Path(scratch) / "bundle"
            write_folder(folder, archive.bundle)
            _require_same_answers(folder, archive.manifest.bundle)
            champion = live_version(workspace)
            judged = judge_import(workspace, archive.bundle, champion, now=now)
            if judged.verdict is None:
                return _result("deferred", None, judged.deferred, archive)
            against = None if champion is None else champion.version
            row = _register(workspace, folder, archive, judged.verdict, judged.example, against=against, now=now)
    return _release(workspace, row, archive, by=by, approval=approval, now=now)


def _require_same_answers(folder: Path, digest: str) -> None:
    """Loads the bundle in a fresh process, and compares its answers to the reference rows and its size.

    Raises:
        RefusedError: It does not load, or answers otherwise than where it was made.
    """
    size = sum((folder / name).stat().st_size for name in Exhibits(folder).predicting)
    checks = hold_to(ask_fresh(folder, digest, seconds=LOAD_SECONDS), size, again=False)
    if not checks.passed:
        raise RefusedError(
            f"the imported model cannot go live here: {checks.reason}; nothing was imported. Export it again from "
            "the workspace that made it"
        )


def _register(
    workspace: Workspace,
    folder: Path,
    archive: VersionArchive,
    verdict: dict[str, JsonValue],
    example: pd.DataFrame,
    *,
    against: int | None,
    now: pd.Timestamp,
) -> VersionRow:
    """Publishes the bundle to MLflow and records the version; after a kill it goes on to the same number."""
    manifest, signer, origin = archive.manifest, archive.origin.signer[:12], to_record(archive.origin)
    run = f"import-{workspace.model}-{manifest.bundle[:16]}"
    name = f"{workspace.model} version {manifest.version} of {signer}"
    parent = workspace.registry.open_run(run, name, {"retrim.mode": "import"})
    lineage = {**manifest.lineage, "run": run, "champion": against, ORIGIN: origin, MLFLOW_RUN: parent}
    version = workspace.registry.publish(
        parent,
        folder,
        bundle_id=manifest.bundle,
        lineage=lineage,
        params={"mode": "import", "as_of": manifest.as_of},
        example=example,
    )
    workspace.registry.finish(parent, "FINISHED")
    record: dict[str, JsonValue] = {"origin": origin, "environment": [*archive.environment]}
    workspace.store.add_to_envelope(workspace.model, version, kind=IMPORTED, name="origin", at=iso(now), record=record)
    workspace.store.add_version(
        VersionRow(
            workspace.model,
            version,
            run=run,
            tag=f"{manifest.tag} of {signer}",
            as_of=manifest.as_of,
            bundle=manifest.bundle,
            model_sha256=manifest.model_sha256,
            made=iso(now),
            lineage=lineage,
            verdict=verdict,
        )
    )
    show_outcome(workspace, version)
    keep_card(workspace, version, now=now)
    return version_row(workspace, version)


def _release(
    workspace: Workspace, row: VersionRow, archive: VersionArchive, *, by: str, approval: str | None, now: pd.Timestamp
) -> ImportedVersion:
    """Acts on the verdict: the version goes live, or does not and the reason is given."""
    reason = row.judged.reason
    if not row.judged.promote:
        return _result("refused", row.version, reason, archive)
    if not any(move.version == row.version for move in workspace.store.releases(workspace.model)):
        if origin_of(row) is None:
            raise RefusedError(
                f"the bundle is identical to version {row.version}, which this workspace made; nothing was imported"
            )
        against = row.made_from.champion
        asks = workspace.params.release.approval.asks(against)
        if asks and not _is_approved(workspace, row, by, approval, now=now):
            missing = "release.approval requires a person to approve it: import it again with --reason"
            return _result("waiting", row.version, f"{reason}; {missing}", archive)
        why = f"{approval}; " if approval else ""
        why += f"imported from {archive.origin.signer[:12]}: {reason}"
        make_live(workspace, row.version, action="import", expected=against, by=by, reason=why, now=now)
    live = find_live_version(workspace)
    is_live = live is not None and live.version == row.version
    return _result(
        "promoted", row.version, reason if is_live else f"{reason} (a different version has gone live since)", archive
    )


def _is_approved(workspace: Workspace, row: VersionRow, by: str, approval: str | None, *, now: pd.Timestamp) -> bool:
    """Whether a person has approved it, now or before; their word is kept in its envelope, the first one for good."""
    if approval is not None:
        record: dict[str, JsonValue] = {"answer": "approved", "by": by, "reason": approval, "at": iso(now)}
        workspace.store.add_to_envelope(
            workspace.model, row.version, kind=APPROVAL, name=ANSWER, at=iso(now), record=record
        )
    answer = answer_of(workspace, row.version)
    return answer is not None and answer.answer == "approved"


def _result(state: str, version: int | None, reason: str, archive: VersionArchive) -> ImportedVersion:
    return ImportedVersion(state, version, reason, archive.origin, archive.environment)
