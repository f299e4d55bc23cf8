"""Signatures by a person's own SSH key, made and verified by `ssh-keygen`, as git signs commits with it.

Source:
    ssh-keygen(1), options -Y sign, find-principals and verify, and its section ALLOWED SIGNERS.
"""

import subprocess
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from retrim.errors import BadInputError, RefusedError

NAMESPACE = "retrim"
"""What a signature is for: one that was made for git or mail is none here."""
SECONDS = 120
"""Time to type a passphrase or to touch a security key."""


def sign(content: bytes, key: Path) -> str:
    """The signature of these bytes by a private key, or by the agent or device that holds it.

    Raises:
        BadInputError: The key does not exist, or it cannot sign.
    """
    if not key.is_file():
        raise BadInputError(f"--key {key}: no such file; pass your SSH key, such as ~/.ssh/id_ed25519")
    done = _run(["-Y", "sign", "-q", "-f", str(key), "-n", NAMESPACE], content)
    if done.returncode:
        why = done.stderr.decode(errors="replace").strip()
        raise BadInputError(f"--key {key} cannot sign: {why}; pass your private SSH key, or load it into ssh-agent")
    return done.stdout.decode()


def signer_of(content: bytes, signature: str, allowed: bytes) -> str:
    """The name under which the list of allowed signers has the key that signed these bytes.

    Args:
        allowed: Lines `NAME ssh-ed25519 KEY`.

    Raises:
        RefusedError: The key is not in the list, or signed something else.
    """
    with TemporaryDirectory(prefix="retrim-signature-") as folder:
        signers, signed = Path(folder, "allowed"), Path(folder, "signature")
        signers.write_bytes(allowed)
        signed.write_text(signature, encoding="utf-8")
        of_these = ["-f", str(signers), "-s", str(signed)]
        found = _run(["-Y", "find-principals", *of_these])
        names = found.stdout.decode(errors="replace").splitlines()
        if not found.returncode and names:
            held = _run(["-Y", "verify", "-I", names[0], "-n", NAMESPACE, *of_these], content)
            if not held.returncode:
                return names[0]
    raise RefusedError("the signature is not one of these words by a key in the list; sign with a key that is in it")


def _run(words: Sequence[str], content: bytes = b"") -> "subprocess.CompletedProcess[bytes]":
    try:
        return subprocess.run(["ssh-keygen", *words], input=content, capture_output=True, timeout=SECONDS, check=False)
    except FileNotFoundError as error:
        raise BadInputError("ssh-keygen was not found; install it (Debian: apt-get install openssh-client)") from error
    except subprocess.TimeoutExpired as error:
        raise BadInputError(f"ssh-keygen did not answer within {SECONDS} s; load the key into ssh-agent") from error
