"""A version in one file, for another workspace: bundle, verdict, lineage, lock, envelope and receipt, signed."""

from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import retrim
from retrim.adapters import git
from retrim.adapters.archive import pack
from retrim.core.bundle_format import format_of
from retrim.core.canonical import to_json
from retrim.errors import RefusedError
from retrim.files import read_folder, write_file
from retrim.ops.champion import stored_bundle
from retrim.ops.house import House
from retrim.ops.origin import ORIGIN
from retrim.ops.receipts import PROOF
from retrim.ops.reproduce import version_row

KIND, FORMAT = "retrim export", 1
MANIFEST, RECEIPT, BUNDLE, MADE_FROM = "manifest.json", "receipt.json", "bundle/", "made-from/"
FROM_COMMIT = ("requirements.lock", "dvc.lock", "dvc.yaml", "params.yaml", "data/pins.json")


@dataclass(frozen=True)
class Exported:
    """A version in a file.

    Args:
        version: Its number.
        file: Where it was written.
        sha256: Of the file: the same version in the same state is the same file.
        bytes: Of the file.
        proved: Whether a receipt goes along that says *identical*.
    """

    version: int
    file: Path
    sha256: str
    bytes: int
    proved: bool

    def as_record(self) -> dict[str, Any]:
        return {
            "version": self.version,
            "file": str(self.file),
            "sha256": self.sha256,
            "bytes": self.bytes,
            "proved": self.proved,
        }


def export(house: House, version: int, *, to: Path | None) -> Exported:
    """Writes a version into one signed file.

    Args:
        house: The house.
        version: Number of the version.
        to: The file; by default `var/exports/<model>-v<N>.tar`.

    Raises:
        BadInputError: There is no such version.
        RefusedError: Its stored bundle is not the recorded one, its commit is gone, or it was imported itself.
    """
    row = version_row(house, version)
    lineage = row.lineage
    if ORIGIN in lineage:
        made = lineage[ORIGIN]
        raise RefusedError(
            f"version {version} was imported; export it where it was made, as version {made['version']} "
            f"(key {made['signer'][:16]})"
        )
    commit = str(lineage["commit"])
    if not git.has_commit(house.workspace.root, commit):
        raise RefusedError(f"commit {commit[:12]} of version {version} is not in this repository; fetch {row.tag}")
    bundle = read_folder(stored_bundle(house, version))
    files = {f"{BUNDLE}{name}": content for name, content in bundle.items()}
    files |= {f"{MADE_FROM}{name}": git.file_at(house.workspace.root, commit, name) for name in FROM_COMMIT}
    envelope = [
        {"kind": each.kind, "id": each.id, "at": each.at, "record": each.record}
        for each in house.store.envelope(house.model, version)
    ]
    proofs = [each["record"] for each in envelope if each["kind"] == PROOF]
    if proofs:
        files[RECEIPT] = to_json(proofs[-1])
    fields = {
        "kind": KIND,
        "format": FORMAT,
        "retrim": retrim.__version__,
        "model": house.model,
        "version": version,
        "run": row.run,
        "tag": row.tag,
        "as_of": row.as_of,
        "made": row.made,
        "bundle": row.bundle,
        "bundle_format": format_of(bundle),
        "model_sha256": row.model_sha256,
        "lineage": lineage,
        "verdict": row.verdict,
        "envelope": envelope,
        "files": {name: {"sha256": sha256(files[name]).hexdigest(), "bytes": len(files[name])} for name in files},
    }
    content = pack({**files, MANIFEST: to_json(house.keys.seal(fields))})
    file = to or house.workspace.var / "exports" / f"{house.model}-v{version}.tar"
    write_file(file, content)
    proved = bool(proofs) and bool(proofs[-1]["identical"])
    return Exported(version, file, sha256(content).hexdigest(), len(content), proved)
