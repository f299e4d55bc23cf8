"""systemd units of an installation: one for each part, and a target that holds them together."""

import os
import re
from collections.abc import Mapping, Sequence
from hashlib import sha256
from pathlib import Path

from retrim.files import write_private
from retrim.operations.parts import Installation, Part

ENVIRONMENT = "environment"
KEPT = (
    *("RETRIM_", "AWS_", "GOOGLE_", "AZURE_", "MLFLOW_", "PREFECT_API_AUTH", "PREFECT_API_DATABASE"),
    *("PGHOST", "PGPORT", "PGDATABASE", "PGUSER", "PGPASS", "PGSERVICE", "PGOPTIONS", "PGCONNECT_TIMEOUT"),
    *("PGSSL", "PGREQUIRE", "PGCHANNELBINDING", "PGTARGETSESSIONATTRS", "PGGSS", "PGKRB"),
    *("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "all_proxy", "no_proxy"),
    *("SSL_CERT_", "REQUESTS_CA_"),
)
"""How variables begin that say where things are, and who may: a unit does not inherit them."""
STOP_SECONDS = 30


def units_folder(environment: Mapping[str, str]) -> Path:
    """Where systemd looks for the units of a user."""
    given = environment.get("XDG_CONFIG_HOME")
    return (Path(given) if given else Path.home() / ".config") / "systemd" / "user"


def unit_name(installation: Installation) -> str:
    """What the units of an installation are called."""
    folder = Path(installation.folder)
    word = re.sub("[^a-z0-9]+", "-", folder.name.lower()).strip("-") or "models"
    return f"retrim-{word}-{sha256(str(folder).encode()).hexdigest()[:6]}"


def write_units(
    installation: Installation, parts: Sequence[Part], folder: Path, environment: Mapping[str, str]
) -> list[Path]:
    """Writes the units, and the variables of this environment that they need, which may hold secrets; gives them."""
    kept = {name: value for name, value in environment.items() if name.startswith(KEPT) and value}
    kept |= {"PATH": environment.get("PATH", os.defpath)}
    lines = [f"{name}={_quoted(value)}\n" for name, value in sorted(kept.items()) if "\n" not in value]
    write_private(installation.up / ENVIRONMENT, "".join(lines).encode())
    folder.mkdir(parents=True, exist_ok=True)
    name = unit_name(installation)
    texts = {f"{name}-{part.name}.service": _service(installation, part, name) for part in parts}
    texts[f"{name}.target"] = _target(installation, name, sorted(texts))
    for file, text in texts.items():
        (folder / file).write_text(text, encoding="utf-8")
    return [folder / file for file in texts]


def _service(installation: Installation, part: Part, name: str) -> str:
    command = " ".join(_argument(word) for word in part.line)
    return f"""[Unit]
Description=retrim: {part.name} of {_escaped(installation.folder)}
PartOf={name}.target
StartLimitIntervalSec=0

[Service]
ExecStart={command}
WorkingDirectory={_escaped(part.folder)}
EnvironmentFile=-{_escaped(str(installation.up / ENVIRONMENT))}
UMask=0077
Restart=always
RestartSec=5
TimeoutStopSec={STOP_SECONDS}
SuccessExitStatus=0 1 3

[Install]
WantedBy={name}.target
"""


def _target(installation: Installation, name: str, services: Sequence[str]) -> str:
    return f"""[Unit]
Description=retrim: all of {_escaped(installation.folder)}
Wants={" ".join(services)}

[Install]
WantedBy=default.target
"""


def _escaped(text: str) -> str:
    return text.replace("%", "%%")


def _argument(word: str) -> str:
    """A word of a command as systemd reads it."""
    return _quoted(_escaped(word).replace("$", "$$"))


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
