"""The wheel of a retrim: the same bytes, whether it is packed from a checkout or from where it is installed.

A workspace without a src/ keeps this wheel in data/code/ under DVC. Its requirements.lock names it with its hash.
"""

import base64
import io
import re
import tomllib
import zipfile
from collections.abc import Mapping
from configparser import ConfigParser
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from pathlib import Path

from packaging.metadata import Metadata
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

import retrim
from retrim.errors import RefusedError
from retrim.files import code_files, write_folder
from retrim.stats.codec import digest_of

CODE = "data/code"
NOTE = f"{CODE}.dvc"
LOCK, GRAPH, LICENSE = "requirements.lock", "dvc.yaml", "LICENSE"
OWN_LINE = re.compile(rf"(?m)^\./{CODE}/(retrim-([^/\s]+)-py3-none-any\.whl) --hash=sha256:([0-9a-f]{{64}})\n")
PACKAGES = ("retrim", "retrim_flows")
FIRST_TIME = (1980, 1, 1, 0, 0, 0)
"""The earliest time that a zip file can state."""
MODE = 0o100644 << 16


@dataclass(frozen=True)
class About:
    """What a wheel says of itself; requirements and console scripts are sorted."""

    version: str
    summary: str
    python: str
    needs: tuple[str, ...]
    scripts: tuple[str, ...]


@dataclass(frozen=True)
class Wheel:
    """A packed wheel.

    Args:
        lock: Hashed lines of what it stands on.
        graph: The dvc.yaml of its workspaces.
        digest: SHA-256 of the code, as the pins of a run have it.
    """

    version: str
    content: bytes
    lock: str
    graph: bytes
    digest: str

    @property
    def name(self) -> str:
        return f"retrim-{self.version}-py3-none-any.whl"

    @property
    def hash(self) -> str:
        return sha256(self.content).hexdigest()

    @property
    def workspace_lock(self) -> str:
        """The requirements.lock of a workspace whose code is this wheel."""
        return f"./{CODE}/{self.name} --hash=sha256:{self.hash}\n{self.lock}"


@dataclass(frozen=True)
class NamedWheel:
    """The wheel that a workspace's lock names."""

    name: str
    version: str
    hash: str


def named_wheel(lock: str) -> NamedWheel | None:
    """The wheel of our own code that a requirements.lock names; None where the code lies in src/."""
    line = OWN_LINE.search(lock)
    return None if line is None else NamedWheel(line[1], line[2], line[3])


def dependencies_in(lock: str) -> str:
    """A requirements.lock without the wheel of our own code."""
    return OWN_LINE.sub("", lock)


def running_wheel() -> Wheel:
    return _packed(Path(retrim.__file__).resolve().parent)


@lru_cache(maxsize=1)
def _packed(package: Path) -> Wheel:
    return pack_wheel(package)


def is_checkout(package: Path) -> bool:
    """Whether a package lies in the src/ of a checkout, and not where packages are installed."""
    return package.parent.name == "src" and (package.parents[1] / "pyproject.toml").is_file()


def pack_wheel(package: Path) -> Wheel:
    """The wheel of a package.

    Raises:
        RefusedError: A part of it is not there; names it.
    """
    root = package.parents[1] if is_checkout(package) else package.parent
    try:
        if is_checkout(package):
            about, beside, flows = _about_checkout(root), root, root / "flows" / PACKAGES[1]
            license_file = root / LICENSE
        else:
            info = _info_of(root)
            about, beside, flows = _about_installed(info), info / "extra_metadata", root / PACKAGES[1]
            license_file = info / "licenses" / LICENSE
        lock = (beside / LOCK).read_text(encoding="utf-8")
        graph, licensed = (beside / GRAPH).read_bytes(), license_file.read_bytes()
    except FileNotFoundError as error:
        raise RefusedError(
            f"retrim in {root} is incomplete: {error.filename} is missing; reinstall retrim from its wheel"
        ) from error
    code = {name: path.read_bytes() for name, path in code_files(package).items()}
    files = {f"{PACKAGES[0]}/{name}": content for name, content in code.items()}
    files |= {f"{PACKAGES[1]}/{name}": path.read_bytes() for name, path in code_files(flows).items()}
    lock = dependencies_in(lock)
    extra = {f"extra_metadata/{LOCK}": lock.encode(), f"extra_metadata/{GRAPH}": graph, f"licenses/{LICENSE}": licensed}
    content = zip_wheel(files, about, extra)
    digest = digest_of({name: sha256(part).hexdigest() for name, part in code.items()})
    return Wheel(about.version, content, lock, graph, digest)


def zip_wheel(packages: Mapping[str, bytes], about: About, extra: Mapping[str, bytes]) -> bytes:
    """A wheel: stored uncompressed, sorted, without times, so that equal parts give equal bytes."""
    info = f"retrim-{about.version}.dist-info"
    metadata = [
        "Metadata-Version: 2.4",
        "Name: retrim",
        f"Version: {about.version}",
        f"Summary: {about.summary}",
        "License-Expression: Apache-2.0",
        f"License-File: {LICENSE}",
        f"Requires-Python: {about.python}",
        *(f"Requires-Dist: {need}" for need in about.needs),
    ]
    wheel = ["Wheel-Version: 1.0", "Generator: retrim", "Root-Is-Purelib: true", "Tag: py3-none-any"]
    texts = {"METADATA": metadata, "WHEEL": wheel, "entry_points.txt": ["[console_scripts]", *about.scripts]}
    files = {
        **packages,
        **{f"{info}/{name}": content for name, content in extra.items()},
        **{f"{info}/{name}": "".join(f"{line}\n" for line in lines).encode() for name, lines in texts.items()},
    }
    record = "".join(f"{name},{_hash_of(files[name])},{len(files[name])}\n" for name in sorted(files))
    files[f"{info}/RECORD"] = f"{record}{info}/RECORD,,\n".encode()
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:
        for name in sorted(files):
            entry = zipfile.ZipInfo(name, FIRST_TIME)
            entry.create_system, entry.external_attr = 3, MODE
            archive.writestr(entry, files[name])
    return out.getvalue()


def _hash_of(content: bytes) -> str:
    return "sha256=" + base64.urlsafe_b64encode(sha256(content).digest()).rstrip(b"=").decode()


def unpack_wheel(path: Path, folder: Path) -> None:
    """Unpacks a wheel into a folder, whole: what lay there is replaced."""
    with zipfile.ZipFile(path) as archive:
        write_folder(folder, {name: archive.read(name) for name in archive.namelist()})


def _info_of(site: Path) -> Path:
    folders = sorted(site.glob("retrim-*.dist-info"))
    if len(folders) != 1:
        names = ", ".join(path.name for path in folders) or "none"
        raise RefusedError(
            f"{site} must contain exactly one retrim-*.dist-info folder, but contains {names}; reinstall retrim from "
            "its wheel"
        )
    return folders[0]


def _about_checkout(root: Path) -> About:
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    names = ("version", "description", "requires-python", "dependencies", "scripts")
    return _about(*(project[name] for name in names))


def _about_installed(info: Path) -> About:
    metadata = Metadata.from_email((info / "METADATA").read_bytes(), validate=False)
    scripts = ConfigParser(delimiters=("=",))
    scripts.read_string((info / "entry_points.txt").read_text(encoding="utf-8"))
    needs = [str(need) for need in metadata.requires_dist or []]
    python = str(metadata.requires_python or "")
    return _about(str(metadata.version), metadata.summary or "", python, needs, dict(scripts["console_scripts"]))


def _about(version: str, summary: str, python: str, needs: list[str], scripts: Mapping[str, str]) -> About:
    requirements = [Requirement(need) for need in needs]
    for need in requirements:
        need.name = canonicalize_name(need.name)  # as build tools write it
    always = [need for need in requirements if need.marker is None or "extra" not in str(need.marker)]
    return About(
        version,
        summary,
        str(SpecifierSet(python)),
        tuple(sorted(str(need) for need in always)),
        tuple(sorted(f"{name} = {where}" for name, where in scripts.items())),
    )
