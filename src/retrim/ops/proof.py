"""Proofs of versions: rebuilt from nothing but their commit, raw data and champion, with a signed receipt each."""

import logging
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import pandas as pd

import retrim
from retrim.adapters import pipeline
from retrim.adapters.signing import signer_of
from retrim.adapters.store import Row, iso
from retrim.core.bundle import load_predictor
from retrim.core.canonical import to_json
from retrim.core.own_code import trust_all
from retrim.core.proof import Agreement, agreement, from_top, pick, receipt_fields
from retrim.errors import BadInputError, BusyError, RefusedError, RetrimError
from retrim.files import file_digest, folder_digest, read_folder, write_file
from retrim.machine import platform_tag
from retrim.ops.alerts import alert
from retrim.ops.champion import stored
from retrim.ops.house import House
from retrim.ops.origin import origin_of
from retrim.ops.receipts import PROOF, whose_key
from retrim.ops.reproduce import Rebuilding, Rebuilt, Say, of_this_python, rebuilding, version_row
from retrim.paths import Paths

LOGGER = logging.getLogger("retrim.proof")
PERSON = "asked for by a person"


@dataclass(frozen=True)
class Proof:
    """A version that was proved, or not, and the receipt that says so.

    Args:
        rebuilt: What the rebuild gave.
        receipt: The receipt, sealed and signed.
        file: Where it lies.
    """

    rebuilt: Rebuilt
    receipt: dict[str, Any]
    file: Path

    def as_record(self) -> dict[str, Any]:
        predictions = self.receipt["predictions"]
        return {
            **self.rebuilt.as_record(),
            "receipt": str(self.file),
            "largest_difference": predictions["largest_difference"],
        }


def prove(house: House, version: int, *, reason: str, now: pd.Timestamp, gently: bool, say: Say) -> Proof:
    """Rebuilds a version with nothing taken on trust and keeps a signed receipt of what came out.

    The receipt goes to `var/receipts/`, then into the version's envelope, then MLflow is told.

    Args:
        house: The house.
        version: Number of the version.
        reason: Who or what asked for it; a scheduled proof names its moment.
        now: Noted in the receipt.
        gently: Whether everything else on this machine goes first.
        say: Called with each line that DVC prints.

    Raises:
        BadInputError: There is no such version, or this is another Python.
        RefusedError: The recorded commit is gone, or another process rebuilds this version just now.
    """
    with rebuilding(house, version, prove=True, gently=gently, say=say) as done:
        fields = _fields(house, done, reason=reason, now=now)
        rebuilt = done.rebuilt
    receipt = house.keys.seal(fields)
    content = to_json(receipt)
    name = sha256(f"{version}\0{reason}\0{iso(now)}".encode()).hexdigest()[:12]
    file = house.workspace.receipts / f"{house.model}-v{version}-{name}.json"
    write_file(file, content)
    house.store.add_to_envelope(house.model, version, kind=PROOF, name=name, at=iso(now), record=receipt)
    _tell_mlflow(house, version, receipt)
    return Proof(rebuilt, receipt, file)


def prove_chain(
    house: House, version: int, *, skip_proved: bool, now: pd.Timestamp, say: Say
) -> tuple[Proof, tuple[Proof, ...]]:
    """Proves a version and before it every champion that it and they were judged against, version 1 first.

    Args:
        house: The house.
        version: The last one.
        skip_proved: Whether ancestors that have a receipt of ours that says *identical* are left out.
        now: Noted in the receipts.
        say: Called with each line that DVC prints.

    Returns:
        The version's own proof, and those of its ancestors, oldest first.

    Raises:
        As `prove`.
    """
    proved = {row.version for row in house.store.envelopes(house.model, kind=PROOF) if _holds(house, row)}
    todo = [number for number in ancestors(house, version) if not (skip_proved and number in proved)]
    before = []
    for number in [each for each in todo if origin_of(version_row(house, each))]:
        say(f"version {number} was imported: its bundle is held to the signed hash, and it is proved where it was made")
        todo.remove(number)
    for number in todo:
        say(f"proving version {number}, an ancestor of version {version}")
        before.append(prove(house, number, reason=f"ancestor of version {version}", now=now, gently=False, say=say))
    return prove(house, version, reason=PERSON, now=now, gently=False, say=say), tuple(before)


def ancestors(house: House, version: int) -> list[int]:
    """The champions behind a version: the one it was judged against, that one's, and so on; oldest first."""
    found: set[int] = set()
    ahead = _parents(version_row(house, version))
    while ahead:
        number = ahead.pop()
        if number not in found:
            found.add(number)
            ahead += _parents(version_row(house, number))
    return sorted(found)


def _parents(row: Row) -> list[int]:
    champion = None if origin_of(row) else row.lineage["champion"]  # an imported one has its ancestors elsewhere
    return [] if champion is None else [int(champion)]


def prove_scheduled(house: House, *, now: pd.Timestamp, say: Say) -> Proof | None:
    """Proves the version that chance picks for a scheduled moment, once a moment; tells when it differs.

    Args:
        house: The house.
        now: The scheduled moment, which is also the seed.
        say: Called with each line that DVC prints.

    Returns:
        None where that is switched off, there is no version of this Python yet, or the moment has had its proof.

    Raises:
        BusyError: A retraining is going on; ask again later.
    """
    made = [row for row in house.store.versions(house.model) if origin_of(row) is None]
    versions = [row.version for row in made if of_this_python(row)]
    reason = f"scheduled for {iso(now)}"
    done = any(row.record["reason"] == reason for row in house.store.envelopes(house.model, kind=PROOF))
    if not house.params.proof.scheduled or not versions or done:
        return None
    going = house.store.runs(house.model, state="running")
    if going:
        raise BusyError(f"run {going[0].id} is going on (process {going[0].pid}); a proof waits for it")
    version = pick(versions, model=house.model, moment=iso(now))
    proof = prove(house, version, reason=reason, now=now, gently=True, say=say)
    if not proof.rebuilt.identical:
        first = proof.rebuilt.differences[0].splitlines()[0]
        alert(house, "rebuild differs", f"version {version} cannot be made again as it was: {first}", now=now)
    return proof


def _holds(house: House, row: Row) -> bool:
    """Whether a kept receipt is what was signed here, and says *identical* of this platform and this bundle."""
    known = house.store.version(house.model, row.version)
    try:
        whose_key(house, signer_of(row.record), key=None)
    except (BadInputError, RefusedError):
        return False
    record = row.record
    same = known is not None and record["bundle"]["recorded"] == known.bundle
    return same and bool(record["identical"]) and record["platform"]["here"] == platform_tag()


def _fields(house: House, done: Rebuilding, *, reason: str, now: pd.Timestamp) -> dict[str, Any]:
    row, room, lineage = done.row, Paths(done.room), done.row.lineage
    assert done.python is not None
    whole = bool(done.rebuilt.executed) and room.candidate.is_dir()
    return receipt_fields(
        what={
            "model": house.model,
            "version": row.version,
            "run": row.run,
            "commit": lineage["commit"],
            "tag": row.tag,
            "retrim": retrim.__version__,
        },
        platform={"recorded": lineage["platform"], "here": platform_tag()},
        environment={
            "lock_recorded": lineage["requirements_lock"],
            "lock_built": file_digest(done.room / "requirements.lock"),
            "packages": len(done.packages),
            "packages_sha256": sha256("\n".join(done.packages).encode()).hexdigest(),
        },
        inputs={
            "raw": lineage["raw_digest"],
            "champion": lineage["champion_digest"],
            "champion_version": lineage["champion"],
        },
        outputs=pipeline.outputs(done.room),
        bundle={"recorded": row.bundle, "rebuilt": folder_digest(room.candidate) if whole else None},
        executed=done.rebuilt.executed,
        differences=from_top(done.rebuilt.differences, root=str(house.workspace.root)),
        predictions=_compare(house, row, room),
        reason=reason,
        proved_at=iso(now),
    )


def _compare(house: House, row: Row, room: Paths) -> Agreement:
    """Rebuilt and recorded model on the judged rows of the rebuild."""
    try:
        view = pd.read_parquet(room.view, columns=["_key", "_part"])
        keys = view.loc[view["_part"] == "judge", "_key"]
        judged = pd.read_parquet(room.table).set_index("_key").loc[keys].reset_index()
        files = read_folder(room.candidate)
        trust_all(files)  # the room's own code has run already, in its stages
        rebuilt = load_predictor(files).predict(judged)
    except (OSError, KeyError, ValueError) as error:
        return Agreement(0, None, f"nothing was rebuilt that predicts ({type(error).__name__})")
    try:
        recorded = stored(house, row.version).predictor.predict(judged)
    except RetrimError as error:
        return Agreement(len(judged), None, f"the recorded model cannot be loaded: {error}")
    return agreement(rebuilt, recorded)


def _tell_mlflow(house: House, version: int, receipt: dict[str, Any]) -> None:
    """Tags the version in MLflow; the receipt holds all the same if MLflow cannot be reached."""
    name = "last_proved" if receipt["identical"] else "last_differed"
    try:
        house.registry.tag_version(version, name, receipt["proved_at"])
    except RetrimError as error:
        LOGGER.warning("version %s is not tagged %s: %s", version, name, error)
