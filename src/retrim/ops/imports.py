"""A version from another workspace: its file is checked, it is judged here, registered, and goes live if it passes."""

import platform
import tempfile
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import pandas as pd

from retrim.adapters.archive import is_plain, unpack
from retrim.adapters.exhibits import Exhibits
from retrim.adapters.signing import PublicKey, signer_of
from retrim.adapters.store import Row, iso
from retrim.core.release_checks import hold_to
from retrim.errors import BadInputError, RefusedError
from retrim.files import file_digest, folder_digest, write_folder
from retrim.machine import platform_tag
from retrim.ops.approval import ANSWER, APPROVAL, answer_of
from retrim.ops.card import keep_card
from retrim.ops.champion import champion as live_version
from retrim.ops.export import BUNDLE, FORMAT, KIND, MADE_FROM, MANIFEST, RECEIPT
from retrim.ops.grain import require_grain
from retrim.ops.house import House
from retrim.ops.judge_import import Judgement, judge_import
from retrim.ops.live import live
from retrim.ops.origin import MLFLOW_RUN, ORIGIN
from retrim.ops.person import require_who_and_why
from retrim.ops.receipts import parse_record, whose_key
from retrim.ops.release import make_live
from retrim.ops.release_checks import ask_fresh
from retrim.ops.signs import held
from retrim.ops.strange_code import refuse_strange_code

IMPORTED = "imported"  # kind of row of a release envelope


@dataclass(frozen=True)
class Imported:
    """What came of an import.

    Args:
        state: promoted, refused, waiting for a person, or deferred.
        version: Its number here; None where it is deferred: then nothing of it is kept.
        reason: In a sentence.
        origin: Where it is from.
        environment: How this machine differs from the one it was made on, a line each.
        proof: What its receipt says.
    """

    state: str
    version: int | None
    reason: str
    origin: dict[str, Any]
    environment: tuple[str, ...]
    proof: str

    def as_record(self) -> dict[str, Any]:
        return {
            "state": self.state,
            "version": self.version,
            "reason": self.reason,
            "origin": self.origin,
            "environment": list(self.environment),
            "proof": self.proof,
        }


@dataclass(frozen=True)
class Parcel:
    """An export whose signature, hashes and form are right.

    Args:
        manifest: Signed.
        bundle: Files of the bundle, by relative name.
        origin: Where it is from.
        environment: How this machine differs from the one it was made on.
        proof: What its receipt says.
    """

    manifest: dict[str, Any]
    bundle: dict[str, bytes]
    origin: dict[str, Any]
    environment: tuple[str, ...]
    proof: str


def import_version(house: House, file: Path, *, by: str, approval: str | None, now: pd.Timestamp) -> Imported:
    """Checks an export, judges it on the rows here, registers it, and makes it live if it passed.

    Asked again, with the same file, it gives the same answer or finishes what a kill left.

    Args:
        house: The house.
        file: The export.
        by: Who imports it.
        approval: Why they approve it; None where they do not: then it waits where `release.approval` asks a person.
        now: Rows count that had landed and were mature by then.

    Raises:
        BadInputError: The file is no export, is too large, or of a newer format or another model; or nobody is named.
        RefusedError: It was altered, its key is not trusted here, it does not answer its reference rows, its table is
            another one, it holds code that is not in this workspace, or a run or another import is going on.
    """
    require_who_and_why(by=by, reason=approval)
    who = (by, approval)
    parcel = open_parcel(house, file)
    refuse_strange_code(house, parcel.bundle)
    with held(house, "import"), tempfile.TemporaryDirectory(prefix="retrim-import-") as made:
        known = _known(house, parcel.manifest["bundle"])
        if known is not None:
            return _finish(house, known, parcel, who=who, now=now)
        folder = Path(made) / "bundle"
        write_folder(folder, parcel.bundle)
        if folder_digest(folder) != parcel.manifest["bundle"]:
            raise RefusedError("the bundle is not the one that its manifest names; ask for the file again")
        _answers(house, folder, parcel.manifest["bundle"])
        champion = live_version(house)
        against = None if champion is None else champion.version
        judged = judge_import(house, parcel.bundle, champion, now=now)
        if judged.verdict is None:
            return _result("deferred", None, judged.deferred, parcel)
        row = _register(house, folder, parcel, judged, against=against, now=now)
    return _finish(house, row, parcel, who=who, now=now)


def open_parcel(house: House, file: Path) -> Parcel:
    """Reads an export and checks its signature, all hashes, its receipt, and whether this house may take it.

    Raises:
        As `import_version`.
    """
    files = unpack(file, most_mb=house.params.proof.most_mb)
    if MANIFEST not in files:
        raise BadInputError(f"{file.name} has no {MANIFEST}; name a file that `retrim export` wrote")
    manifest = parse_record(files[MANIFEST], MANIFEST)
    signer = signer_of(manifest)
    whose_key(house, signer, key=None)
    if manifest.get("kind") != KIND:
        raise BadInputError(f"{file.name} is signed and no export: it is a {manifest.get('kind')!r}")
    try:
        return _parcel(house, file, files, manifest, signer)
    except (KeyError, TypeError, AttributeError) as error:
        raise BadInputError(
            f"{file.name} is signed and lacks what an export says ({error}); ask who signed it"
        ) from error


def _parcel(house: House, file: Path, files: dict[str, bytes], manifest: dict[str, Any], signer: PublicKey) -> Parcel:
    if manifest["format"] > FORMAT:
        raise BadInputError(
            f"{file.name} has format {manifest['format']}; this retrim reads up to {FORMAT}: use a newer one"
        )
    if manifest["model"] != house.model:
        raise BadInputError(f"{file.name} is of model {manifest['model']!r}; this workspace has {house.model!r}")
    require_grain(house, manifest["lineage"], file.name)
    found = {name: {"sha256": sha256(files[name]).hexdigest(), "bytes": len(files[name])} for name in files}
    del found[MANIFEST]
    if found != manifest["files"]:
        named = manifest["files"]
        wrong = [name for name in sorted({*found, *named}) if found.get(name) != named.get(name)]
        raise RefusedError(f"not what was signed: {', '.join(wrong[:5])}; ask for the file again where it was made")
    bundle = {name.removeprefix(BUNDLE): content for name, content in files.items() if name.startswith(BUNDLE)}
    assert all(is_plain(name) for name in bundle)
    receipt = None if RECEIPT not in files else parse_record(files[RECEIPT], RECEIPT)
    proof = _proof(receipt, manifest, signer.fingerprint)
    origin = {
        **{name: manifest[name] for name in ("model", "version", "tag", "run")},
        "commit": manifest["lineage"]["commit"],
        "champion": manifest["lineage"]["champion"],
        "signer": signer.fingerprint,
        "receipt": None if receipt is None else {name: receipt[name] for name in ("identical", "proved_at")},
    }
    return Parcel(manifest, bundle, origin, _environment(house, manifest, files), proof)


def _proof(receipt: dict[str, Any] | None, manifest: dict[str, Any], signer: str) -> str:
    """What a receipt says; one of another key or another bundle says nothing here.

    Raises:
        RefusedError: It is not what was signed, or of another key or bundle than the export.
    """
    if receipt is None:
        return "no receipt came with it"
    if signer_of(receipt).fingerprint != signer or receipt["bundle"]["recorded"] != manifest["bundle"]:
        raise RefusedError("its receipt is of another key or another bundle; ask for the file again where it was made")
    found = "identical" if receipt["identical"] else f"different: {receipt['first_difference']}"
    return f"rebuilt where it was made on {receipt['proved_at']}: {found}"


def _environment(house: House, manifest: dict[str, Any], files: dict[str, bytes]) -> tuple[str, ...]:
    lineage, here = manifest["lineage"], platform_tag()
    found = []
    if lineage["platform"] != here:
        found.append(f"made on {lineage['platform']}, this is {here}: the same bytes are not promised")
    if lineage["python"] != platform.python_version():
        found.append(f"made with Python {lineage['python']}, this is {platform.python_version()}")
    lock = sha256(files.get(f"{MADE_FROM}requirements.lock", b"")).hexdigest()
    if lock != file_digest(house.workspace.lock):
        found.append(f"made with requirements.lock {lock[:12]}, this workspace has another")
    return tuple(found)


def _answers(house: House, folder: Path, digest: str) -> None:
    """Loads the bundle in a fresh process, asks its reference rows, and looks at its size.

    Raises:
        RefusedError: It does not load, or answers otherwise than where it was made.
    """
    params = house.params.release
    size = sum((folder / name).stat().st_size for name in Exhibits(folder).predicting)
    checks = hold_to(ask_fresh(folder, digest, seconds=params.load_seconds), size, params, again=False)
    if not checks.passed:
        raise RefusedError(f"it cannot go live here: {checks.reason}")


def _known(house: House, bundle: str) -> Row | None:
    return next((row for row in house.store.versions(house.model) if row.bundle == bundle), None)


def _register(
    house: House, folder: Path, parcel: Parcel, judged: Judgement, *, against: int | None, now: pd.Timestamp
) -> Row:
    """Publishes the bundle to MLflow and records the version; after a kill it goes on to the same number."""
    manifest, verdict = parcel.manifest, judged.verdict
    assert verdict is not None
    run = f"import-{house.model}-{manifest['bundle'][:16]}"
    name = f"{house.model} version {parcel.origin['version']} of {parcel.origin['signer'][:12]}"
    parent = house.registry.open_run(run, name, {"retrim.mode": "import"})
    mine = {"run": run, "champion": against, ORIGIN: parcel.origin, MLFLOW_RUN: parent}
    lineage = {**manifest["lineage"], **mine}
    version = house.registry.publish(
        parent,
        folder,
        bundle_id=manifest["bundle"],
        lineage=lineage,
        params={"mode": "import", "as_of": manifest["as_of"]},
        example=judged.example,
    )
    house.registry.finish(parent, "FINISHED")
    record = {"origin": parcel.origin, "manifest": manifest, "environment": list(parcel.environment)}
    house.store.add_to_envelope(house.model, version, kind=IMPORTED, name="origin", at=iso(now), record=record)
    house.store.add_version(
        {
            "model": house.model,
            "version": version,
            "run": run,
            "tag": f"{parcel.origin['tag']} of {parcel.origin['signer'][:12]}",
            "as_of": manifest["as_of"],
            "bundle": manifest["bundle"],
            "model_sha256": manifest["model_sha256"],
            "made": iso(now),
            "lineage": lineage,
            "verdict": verdict,
        }
    )
    row = house.store.version(house.model, version)
    assert row is not None
    keep_card(house, version, now=now)
    return row


def _finish(house: House, row: Row, parcel: Parcel, *, who: tuple[str, str | None], now: pd.Timestamp) -> Imported:
    """Acts on the verdict: the version goes live, or does not and the reason is given."""
    if not row.verdict["promote"]:
        return _result("refused", row.version, row.verdict["reason"], parcel)
    if not any(each.version == row.version for each in house.store.releases(house.model)):
        if ORIGIN not in row.lineage:
            raise RefusedError(f"this bundle is version {row.version} here already, which was made here")
        if house.params.release.approval.asks(row.lineage["champion"]) and not _approved(house, row, *who, now=now):
            said = f"{row.verdict['reason']}; release.approval asks a person: import it again with --reason"
            return _result("waiting", row.version, said, parcel)
        said = "" if who[1] is None else f"{who[1]}; "
        reason = f"{said}imported from {parcel.origin['signer'][:12]}: {row.verdict['reason']}"
        against = row.lineage["champion"]
        make_live(house, row.version, action="import", expected=against, by=who[0], reason=reason, now=now)
    now_live = live(house)
    stays = "" if now_live is not None and now_live.version == row.version else " (something else is live since)"
    return _result("promoted", row.version, row.verdict["reason"] + stays, parcel)


def _approved(house: House, row: Row, by: str, approval: str | None, *, now: pd.Timestamp) -> bool:
    """Whether a person has approved it, now or before; their word is kept in its envelope, the first one for good."""
    if approval is not None:
        record = {"answer": "approved", "by": by, "reason": approval, "at": iso(now)}
        house.store.add_to_envelope(house.model, row.version, kind=APPROVAL, name=ANSWER, at=iso(now), record=record)
    answer = answer_of(house, row.version)
    return answer is not None and answer.answer == "approved"


def _result(state: str, version: int | None, reason: str, parcel: Parcel) -> Imported:
    return Imported(state, version, reason, parcel.origin, parcel.environment, parcel.proof)


__all__ = ["Imported", "import_version", "open_parcel"]
