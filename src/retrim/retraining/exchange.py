"""A version in one file, for another workspace: bundle, verdict, lineage, lock, envelope and attestation, signed.

The gate of an imported version: on landed rows that it has not seen, against the champion here.

A version from another workspace: its file is checked, it is judged here, registered, and goes live if it passes.
"""

import json
import platform
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import TypeVar

import numpy as np
import pandas as pd
from pydantic import JsonValue

import retrim
from retrim.adapters import git
from retrim.adapters.database import iso
from retrim.adapters.mlflow_tracking import Exhibits
from retrim.adapters.signing import Attestation, is_plain, pack, read_attestation, unpack
from retrim.checking.previous_champions import forbidden_in, group_checks
from retrim.decision.probation import REBUILD, RebuildStatement
from retrim.decision.release_checks import hold_to
from retrim.decision.stored_rows import Lineage, Origin, OriginProof, VersionRow
from retrim.drift.slices import SliceParams
from retrim.errors import BadInputError, RefusedError, RetrimError
from retrim.files import (
    file_digest,
    folder_digest,
    make_private_folder,
    platform_tag,
    read_folder,
    write_file,
    write_folder,
)
from retrim.gate.losses import EarlierVerdict, uses
from retrim.gate.models import judge_models
from retrim.gate.verdict import HoldoutJudgement, StatedInterval, VerdictRecord, score
from retrim.landing.as_of_view import known_table
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
    PROOF,
    Stored,
    find_live_version,
    origin_of,
    parse_record,
    rebuild_said,
    require_grain,
    require_kind,
    stored_bundle,
    whose_key,
)
from retrim.release.versions import load_champion as live_version
from retrim.retraining.reproduce import version_row
from retrim.settings import section_in
from retrim.stats.codec import from_record, to_json, to_record
from retrim.stats.metrics import measure, row_losses
from retrim.stats.windows import past_of
from retrim.table.data import mature, with_past
from retrim.table.lags import HistoryParams
from retrim.training.baseline import BASELINES
from retrim.training.bundle import HISTORY, VERDICT, Predictor, format_of, load_predictor

T = TypeVar("T")
EXPORT = "urn:retrim:export:v1"
"""The type of an attestation that says which files an export holds, and of what version."""
MANIFEST, PROVED, BUNDLE, MADE_FROM = "attestation.json", "rebuild.json", "bundle/", "made-from/"
FROM_COMMIT = ("requirements.lock", "dvc.lock", "dvc.yaml", "params.yaml", "data/settings.json", "data/pins.json")


@dataclass(frozen=True)
class ExportedVersion:
    """An exported version.

    Args:
        version: Number of the version.
        file: The file that was written.
        sha256: SHA-256 of the file. The same version in the same state gives the same file.
        bytes: Size of the file, in bytes.
        proved: Whether the file contains the attestation of a rebuild that was *identical*.
    """

    version: int
    file: Path
    sha256: str
    bytes: int
    proved: bool


def export(workspace: Workspace, version: int, *, to: Path | None) -> ExportedVersion:
    """Writes a version into one signed file.

    Args:
        workspace: The workspace.
        version: Number of the version.
        to: The file; by default `var/exports/<model>-v<N>.tar`.

    Raises:
        BadInputError: There is no such version.
        RefusedError: Its stored bundle is not the recorded one, its commit is gone, or it was imported itself.
    """
    row = version_row(workspace, version)
    if (made := origin_of(row)) is not None:
        raise RefusedError(
            f"version {version} was imported; export it from the workspace that made it, where it is version "
            f"{made.version} (key {made.signer[:16]})"
        )
    commit = str(row.made_from.commit)
    if not git.has_commit(workspace.paths.root, commit):
        raise RefusedError(
            f"commit {commit[:12]} of version {version} is not in this repository; fetch the tag {row.tag} from the "
            "repository that has it"
        )
    bundle = read_folder(stored_bundle(workspace, version))
    files = {f"{BUNDLE}{name}": content for name, content in bundle.items()}
    files |= {f"{MADE_FROM}{name}": git.file_at(workspace.paths.root, commit, name) for name in FROM_COMMIT}
    envelope = workspace.store.envelope(workspace.model, version)
    proofs = [each for each in envelope if each.kind == PROOF]
    if proofs:
        files[PROVED] = to_json(proofs[-1].record)
    fields = {
        "retrim": retrim.__version__,
        "model": workspace.model,
        "version": version,
        "run": row.run,
        "tag": row.tag,
        "as_of": row.as_of,
        "made": row.made,
        "bundle": row.bundle,
        "bundle_format": format_of(bundle),
        "model_sha256": row.model_sha256,
        "lineage": row.lineage,
        "verdict": row.verdict,
        "envelope": [{"kind": e.kind, "id": e.id, "at": e.at, "record": e.record} for e in envelope],
    }
    content = pack({**files, MANIFEST: to_json(workspace.keys.attest(EXPORT, _digests(files), fields))})
    file = to or workspace.paths.var / "exports" / f"{workspace.model}-v{version}.tar"
    write_file(file, content)
    proved = bool(proofs) and rebuild_said(proofs[-1]).identical
    return ExportedVersion(version, file, sha256(content).hexdigest(), len(content), proved)


def _digests(files: Mapping[str, bytes]) -> dict[str, str]:
    return {name: sha256(content).hexdigest() for name, content in files.items()}


@dataclass(frozen=True)
class Judgement:
    """What the gate said, or why it could not say anything yet.

    Args:
        verdict: The record of the verdict; None where it is deferred.
        deferred: What is missing; "" where nothing is.
        example: A few of the judged rows.
    """

    verdict: dict[str, JsonValue] | None
    deferred: str
    example: pd.DataFrame


def judge_import(
    workspace: Workspace, files: Mapping[str, bytes], champion: Stored | None, *, now: pd.Timestamp
) -> Judgement:
    """Judges the winner of a bundle that was made elsewhere.

    Judged are the newest mature rows after all that it was fitted, tuned, stopped or judged on, and after all that
    the champion was fitted, tuned or stopped on.

    Args:
        workspace: The workspace.
        files: Of the bundle.
        champion: The live version; None before the first.
        now: Rows count that had landed and were mature by then.

    Raises:
        RefusedError: The table here is not the one that the model is for.
    """
    params, imported = workspace.params, load_predictor(files)
    ripe = _ripe(workspace, files, now)
    if ripe is None:
        return Judgement(None, "no rows have landed here; land some with `retrim ingest FILE`", pd.DataFrame())
    _fits(workspace, imported, ripe)
    seen = (ripe["_event"] <= imported.judged_until).to_numpy()
    if champion is not None:
        seen |= (ripe["_event"] <= champion.predictor.used_until).to_numpy()
    places = np.flatnonzero(~seen)[-params.split.judge_rows :]
    start = int(places[0]) if len(places) else len(ripe)
    rows = ripe.iloc[places].reset_index(drop=True)
    example = rows[[*imported.view.needs, "_event"]].tail(5)
    past = ripe.iloc[past_of(ripe["_event"], ripe["_due"], start)] if len(rows) else ripe.iloc[:0]
    if len(rows) < params.gate.min_rows:
        why = f"only {len(rows)} mature rows here are new to both models, but {params.gate.min_rows} are needed"
        return Judgement(None, f"{why}; import again when more rows are mature", example)
    if not len(past):
        return Judgement(None, "no row precedes the holdout rows, so the naive baselines cannot be computed", example)
    judged = _judged(workspace, imported, files, champion, rows, past)
    verdict = judge_models(
        judged,
        params.gate,
        SliceParams(),
        draws=params.judge.draws,
        block_rows=params.judge.block_rows,
        uses=uses(_used(workspace), rows["_event"]),
    ).with_checks(group_checks(workspace, imported, rows))
    actual, predicted = imported.view.actual(rows), imported.predict(rows)
    record = to_record(verdict) | {
        "judged_from": rows["_event"].iloc[0].isoformat(),
        "judged_until": rows["_event"].iloc[-1].isoformat(),
        "detectable": None,
        "notes": [],
        "metrics": {verdict.winner: measure(params.judge.metrics, actual, predicted, task=imported.view.task)},
    }
    return Judgement(record, "", example)


def _ripe(workspace: Workspace, files: Mapping[str, bytes], now: pd.Timestamp) -> pd.DataFrame | None:
    """Mature rows, with the features from the past that the bundle was made with; None where no rows have landed."""
    if not any(batch.kind == "rows" for batch in workspace.landing.batches(now)):
        return None
    table = known_table(workspace, as_of=now)
    if HISTORY in files:
        table = with_past(table, workspace.params.data, HistoryParams.model_validate_json(files[HISTORY]))
    return mature(table).reset_index(drop=True)


def _fits(workspace: Workspace, imported: Predictor, ripe: pd.DataFrame) -> None:
    """Refuses a model of another target or task, or that needs columns which are not here or are forbidden."""
    data, view = workspace.params.data, imported.view
    missing = sorted(set(imported.columns) - set(ripe.columns))
    if view.target != data.target or view.task != data.task or missing:
        lacks = f", and the table here lacks columns that the model needs: {', '.join(missing)}" if missing else ""
        raise RefusedError(
            f"the imported model does not fit this workspace: it predicts {view.target!r} ({view.task}), but this "
            f"workspace predicts {data.target!r} ({data.task}){lacks}; import a model that was trained on a table "
            "with the same columns"
        )
    forbidden = forbidden_in(workspace, list(view.features))
    if forbidden:
        raise RefusedError(
            f"the imported model uses {', '.join(forbidden)}, which data.columns forbids here; import a model "
            "that does not use them"
        )


def _judged(
    workspace: Workspace,
    imported: Predictor,
    files: Mapping[str, bytes],
    champion: Stored | None,
    rows: pd.DataFrame,
    past: pd.DataFrame,
) -> HoldoutJudgement:
    gate, loss, view = workspace.params.gate, workspace.params.judge.loss, imported.view
    season, actual = pd.Timedelta(gate.season), view.actual(rows)
    cut = {"season": season, "cells": gate.season_cells, "entity": workspace.params.data.series}
    floors = {name: BASELINES[name](view, past, rows, **cut) for name in gate.baselines}
    own = None
    if champion is not None:
        its = champion.predictor
        own = score(its.view, rows, its.predict(rows), loss=loss, stated=StatedInterval.in_bundle(champion.files))
    winner = _verdict(files).winner
    return HoldoutJudgement(
        rows=rows,
        features=view.features,
        task=view.task,
        challengers={
            winner: score(view, rows, imported.predict(rows), loss=loss, stated=StatedInterval.in_bundle(files))
        },
        champion=own,
        floors={name: row_losses(loss, actual, predicted) for name, predicted in floors.items()},
    )


def _verdict(files: Mapping[str, bytes]) -> VerdictRecord:
    return from_record(VerdictRecord, json.loads(files[VERDICT]))


def _used(workspace: Workspace) -> list[EarlierVerdict]:
    """Earlier verdicts here: the rows that each was given on."""
    return [
        EarlierVerdict(row.version, pd.Timestamp(row.judged.judged_from), pd.Timestamp(row.judged.judged_until))
        for row in workspace.store.versions(workspace.model)
        if row.judged.judged_from and row.judged.judged_until and row.judged.agreement is None  # that chose nothing
    ]


IMPORTED = "imported"  # kind of row of a release envelope


@dataclass(frozen=True)
class ImportedVersion:
    """The result of an import.

    Args:
        state: promoted, refused, waiting for a person, or deferred.
        version: Number of the version here; None if it was deferred, in which case nothing is stored.
        reason: The reason, in one sentence.
        origin: Where the version was made.
        environment: How this machine differs from the one that made the version, one line per difference.
        proof: What the attestation of the version's rebuild says.
    """

    state: str
    version: int | None
    reason: str
    origin: Origin
    environment: tuple[str, ...]
    proof: str


@dataclass(frozen=True)
class ExportManifest:
    """What is read of the manifest of an export: the version, and hashes and lineage as where it was made."""

    model: str
    version: int
    run: str
    tag: str
    as_of: str
    bundle: str
    model_sha256: str
    lineage: Lineage


@dataclass(frozen=True)
class VersionArchive:
    """An export whose signature, hashes and form are right.

    Args:
        said: What its manifest says.
        manifest: The same as it was signed.
        bundle: Files of the bundle, by relative name.
        origin: Where it is from.
        environment: How this machine differs from the one it was made on.
        proof: What the attestation of its rebuild says.
    """

    said: ExportManifest
    manifest: dict[str, JsonValue]
    bundle: dict[str, bytes]
    origin: Origin
    environment: tuple[str, ...]
    proof: str


def import_version(
    workspace: Workspace, file: Path, *, by: str, approval: str | None, now: pd.Timestamp
) -> ImportedVersion:
    """Checks an export, judges it on the rows here, registers it, and makes it live if it passed.

    Asked again, with the same file, it gives the same answer or finishes what a kill left.

    Args:
        workspace: The workspace.
        file: The export.
        by: Who imports it.
        approval: Why they approve it; None where they do not: then it waits where `release.approval` asks a person.
        now: Rows count that had landed and were mature by then.

    Raises:
        BadInputError: The file is no export, is too large, or of a newer format or another model; or nobody is named.
        RefusedError: It was altered, its key is not trusted here, it does not answer its reference rows, its table is
            another one, it holds code that is not in this workspace, or a run or another import is in progress.
    """
    require_who_and_why(by=by, reason=approval)
    who = (by, approval)
    parcel = open_parcel(workspace, file)
    refuse_strange_code(workspace, parcel.bundle)
    make_private_folder(workspace.paths.tmp)
    with (
        held_locks(workspace, "import"),
        tempfile.TemporaryDirectory(prefix="import-", dir=workspace.paths.tmp) as made,
    ):
        known = _known(workspace, parcel.said.bundle)
        if known is not None:
            return _finish(workspace, known, parcel, who=who, now=now)
        folder = Path(made) / "bundle"
        write_folder(folder, parcel.bundle)
        if folder_digest(folder) != parcel.said.bundle:
            raise RefusedError(
                f"the hash of the bundle in {file.name} differs from the one in its manifest; get the file again "
                "from the workspace that made it"
            )
        _answers(workspace, folder, parcel.said.bundle)
        champion = live_version(workspace)
        against = None if champion is None else champion.version
        judged = judge_import(workspace, parcel.bundle, champion, now=now)
        if judged.verdict is None:
            return _result("deferred", None, judged.deferred, parcel)
        row = _register(workspace, folder, parcel, judged, against=against, now=now)
    return _finish(workspace, row, parcel, who=who, now=now)


def open_parcel(workspace: Workspace, file: Path) -> VersionArchive:
    """Reads an export and checks its signature, hashes and proof, and whether this workspace may take it.

    Raises:
        As `import_version`.
    """
    files = unpack(file, most_mb=workspace.params.proof.most_mb)
    if MANIFEST not in files:
        raise BadInputError(f"{file.name} has no {MANIFEST}; choose a file that `retrim versions export` wrote")
    attestation = read_attestation(parse_record(files[MANIFEST], MANIFEST))
    whose_key(workspace, attestation.signer, key=None)
    require_kind(attestation, EXPORT, file.name)
    said = _signed(ExportManifest, attestation, file.name)
    return _parcel(workspace, file, files, attestation, said)


def _signed(kind: type[T], attestation: Attestation, name: str) -> T:
    """What a signed file says.

    Raises:
        BadInputError: It lacks some of it.
    """
    try:
        return from_record(kind, attestation.fields)
    except RetrimError as error:
        raise BadInputError(
            f"{name} is signed but is not a complete export ({error}); ask its signer for a new export"
        ) from error


def _parcel(
    workspace: Workspace, file: Path, files: dict[str, bytes], attestation: Attestation, said: ExportManifest
) -> VersionArchive:
    if said.model != workspace.model:
        raise BadInputError(
            f"{file.name} is an export of model {said.model!r}, but this workspace has model {workspace.model!r}; "
            f"import it in a workspace of {said.model!r}"
        )
    require_grain(workspace, section_in(attestation.fields, "lineage"), file.name)
    found, named = _digests({name: files[name] for name in files if name != MANIFEST}), attestation.subject
    if found != named:
        wrong = [name for name in sorted({*found, *named}) if found.get(name) != named.get(name)]
        raise RefusedError(
            f"files in {file.name} differ from the files that were signed: {', '.join(wrong[:5])}; get the export "
            "again from the workspace that made it"
        )
    bundle = {name.removeprefix(BUNDLE): content for name, content in files.items() if name.startswith(BUNDLE)}
    assert all(is_plain(name) for name in bundle)
    rebuild = None if PROVED not in files else read_attestation(parse_record(files[PROVED], PROVED))
    proof = _proof(rebuild, attestation, said)
    proved = None if rebuild is None else _signed(OriginProof, rebuild, PROVED)
    origin = Origin(
        model=said.model,
        version=said.version,
        tag=said.tag,
        run=said.run,
        commit=str(said.lineage.commit),
        champion=said.lineage.champion,
        signer=attestation.signer.fingerprint,
        proof=proved,
    )
    return VersionArchive(said, attestation.fields, bundle, origin, _environment(workspace, said.lineage, files), proof)


def _proof(rebuild: Attestation | None, export: Attestation, exported: ExportManifest) -> str:
    """What the attestation of a rebuild says; one of another key or another bundle says nothing here.

    Raises:
        RefusedError: It is of another kind, key or bundle than the export.
    """
    if rebuild is None:
        return "the export has no attestation of a rebuild"
    require_kind(rebuild, REBUILD, PROVED)
    said = _signed(RebuildStatement, rebuild, PROVED)
    if rebuild.signer != export.signer or said.bundle.recorded != exported.bundle:
        raise RefusedError(
            f"{PROVED} in the export is signed by a different key from the export, or describes a different bundle; "
            "get the export again from the workspace that made it"
        )
    found = "identical" if said.identical else f"different: {said.first_difference}"
    return f"rebuilt on {said.proved_at} in the workspace that made it: {found}"


def _environment(workspace: Workspace, lineage: Lineage, files: dict[str, bytes]) -> tuple[str, ...]:
    here = platform_tag()
    found = []
    if lineage.platform != here:
        found.append(f"made on {lineage.platform}, but this is {here}: the bytes may differ")
    if lineage.python != platform.python_version():
        found.append(f"made with Python {lineage.python}, but this is Python {platform.python_version()}")
    lock = sha256(files.get(f"{MADE_FROM}requirements.lock", b"")).hexdigest()
    if lock != file_digest(workspace.paths.lock):
        found.append(f"made with requirements.lock {lock[:12]}, but this workspace has a different one")
    return tuple(found)


def _answers(workspace: Workspace, folder: Path, digest: str) -> None:
    """Loads the bundle in a fresh process, asks its reference rows, and looks at its size.

    Raises:
        RefusedError: It does not load, or answers otherwise than where it was made.
    """
    params = workspace.params.release
    size = sum((folder / name).stat().st_size for name in Exhibits(folder).predicting)
    checks = hold_to(ask_fresh(folder, digest, seconds=params.load_seconds), size, params, again=False)
    if not checks.passed:
        raise RefusedError(
            f"the imported model cannot go live here: {checks.reason}; nothing was imported. Export it again from "
            "the workspace that made it, or raise the limits under release in params.yaml"
        )


def _known(workspace: Workspace, bundle: str) -> VersionRow | None:
    return next((row for row in workspace.store.versions(workspace.model) if row.bundle == bundle), None)


def _register(
    workspace: Workspace,
    folder: Path,
    parcel: VersionArchive,
    judged: Judgement,
    *,
    against: int | None,
    now: pd.Timestamp,
) -> VersionRow:
    """Publishes the bundle to MLflow and records the version; after a kill it goes on to the same number."""
    said, verdict, origin = parcel.said, judged.verdict, to_record(parcel.origin)
    assert verdict is not None
    run = f"import-{workspace.model}-{said.bundle[:16]}"
    name = f"{workspace.model} version {parcel.origin.version} of {parcel.origin.signer[:12]}"
    parent = workspace.registry.open_run(run, name, {"retrim.mode": "import"})
    mine = {"run": run, "champion": against, ORIGIN: origin, MLFLOW_RUN: parent}
    lineage = {**section_in(parcel.manifest, "lineage"), **mine}
    version = workspace.registry.publish(
        parent,
        folder,
        bundle_id=said.bundle,
        lineage=lineage,
        params={"mode": "import", "as_of": said.as_of},
        example=judged.example,
    )
    workspace.registry.finish(parent, "FINISHED")
    record: dict[str, JsonValue] = {"origin": origin, "manifest": parcel.manifest, "environment": [*parcel.environment]}
    workspace.store.add_to_envelope(workspace.model, version, kind=IMPORTED, name="origin", at=iso(now), record=record)
    workspace.store.add_version(
        VersionRow(
            workspace.model,
            version,
            run=run,
            tag=f"{parcel.origin.tag} of {parcel.origin.signer[:12]}",
            as_of=said.as_of,
            bundle=said.bundle,
            model_sha256=said.model_sha256,
            made=iso(now),
            lineage=lineage,
            verdict=verdict,
        )
    )
    row = workspace.store.version(workspace.model, version)
    assert row is not None
    show_outcome(workspace, version)
    keep_card(workspace, version, now=now)
    return row


def _finish(
    workspace: Workspace, row: VersionRow, parcel: VersionArchive, *, who: tuple[str, str | None], now: pd.Timestamp
) -> ImportedVersion:
    """Acts on the verdict: the version goes live, or does not and the reason is given."""
    if not row.judged.promote:
        return _result("refused", row.version, row.judged.reason, parcel)
    if not any(each.version == row.version for each in workspace.store.releases(workspace.model)):
        if origin_of(row) is None:
            raise RefusedError(
                f"the bundle is identical to version {row.version}, which this workspace made; nothing was imported"
            )
        if workspace.params.release.approval.asks(row.made_from.champion) and not _approved(
            workspace, row, *who, now=now
        ):
            said = (
                f"{row.judged.reason}; release.approval requires a person to approve it: import it again with --reason"
            )
            return _result("waiting", row.version, said, parcel)
        said = "" if who[1] is None else f"{who[1]}; "
        reason = f"{said}imported from {parcel.origin.signer[:12]}: {row.judged.reason}"
        against = row.made_from.champion
        make_live(workspace, row.version, action="import", expected=against, by=who[0], reason=reason, now=now)
    now_live = find_live_version(workspace)
    stays = (
        "" if now_live is not None and now_live.version == row.version else " (a different version has gone live since)"
    )
    return _result("promoted", row.version, row.judged.reason + stays, parcel)


def _approved(workspace: Workspace, row: VersionRow, by: str, approval: str | None, *, now: pd.Timestamp) -> bool:
    """Whether a person has approved it, now or before; their word is kept in its envelope, the first one for good."""
    if approval is not None:
        record: dict[str, JsonValue] = {"answer": "approved", "by": by, "reason": approval, "at": iso(now)}
        workspace.store.add_to_envelope(
            workspace.model, row.version, kind=APPROVAL, name=ANSWER, at=iso(now), record=record
        )
    answer = answer_of(workspace, row.version)
    return answer is not None and answer.answer == "approved"


def _result(state: str, version: int | None, reason: str, parcel: VersionArchive) -> ImportedVersion:
    return ImportedVersion(state, version, reason, parcel.origin, parcel.environment, parcel.proof)
