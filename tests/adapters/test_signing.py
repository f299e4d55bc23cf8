"""The key of a workspace and what is signed with it."""

import base64
import json
import re
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from retrim.adapters.git import looks_secret
from retrim.adapters.signing import Keys, PublicKey, attested, read_attestation
from retrim.errors import BadInputError, RefusedError, RetrimError
from retrim.stats.codec import to_json

KIND, SUBJECT = "urn:example:letter:v1", {"letter": "0" * 64}
FIELDS = {"kind": "a letter", "version": 3, "outputs": [{"path": "a", "recorded": "x"}], "at": "2024-01-01"}


@pytest.fixture
def keys(tmp_path: Path) -> Keys:
    return Keys(tmp_path / "keys")


@pytest.fixture
def signed(keys: Keys) -> dict[str, Any]:
    return keys.attest(KIND, SUBJECT, FIELDS)


class TestAKey:
    def test_is_made_once(self, keys: Keys) -> None:
        assert keys.public == Keys(keys.folder).public

    def test_is_its_owners_alone(self, keys: Keys) -> None:
        _ = keys.public

        assert stat.S_IMODE(keys.file.stat().st_mode) == 0o600
        assert [path.name for path in keys.folder.iterdir() if path.suffix != ".pub"] == ["signing.key"]

    def test_that_others_can_read_is_not_used(self, keys: Keys) -> None:
        _ = keys.public
        keys.file.chmod(0o640)

        with pytest.raises(RefusedError, match="`chmod 600`"):
            keys.attest(KIND, SUBJECT, FIELDS)

    def test_that_is_torn_is_not_quoted(self, keys: Keys) -> None:
        _ = keys.public
        text = keys.file.read_text(encoding="ascii")
        keys.file.write_text(text[:80], encoding="ascii")

        with pytest.raises(RetrimError, match=re.escape(str(keys.file))) as error:
            keys.attest(KIND, SUBJECT, FIELDS)
        assert isinstance(error.value.__cause__, ValueError)  # it could not be parsed
        assert text.splitlines()[1][:20] not in str(error.value)

    def test_is_taken_for_a_secret_where_a_snapshot_looks(self, keys: Keys, tmp_path: Path) -> None:
        _ = keys.public
        renamed = tmp_path / "notes"
        renamed.write_bytes(keys.file.read_bytes())

        assert (looks_secret(keys.file), looks_secret(renamed)) == (True, True)

    def test_made_by_several_at_once_is_one(self, tmp_path: Path) -> None:
        code = "import sys; from pathlib import Path; from retrim.adapters.signing import Keys\n"
        code += "print(Keys(Path(sys.argv[1])).public)"
        started = [
            subprocess.Popen([sys.executable, "-c", code, str(tmp_path / "keys")], stdout=subprocess.PIPE, text=True)
            for _ in range(4)
        ]

        assert len({process.communicate()[0] for process in started}) == 1

    def test_reads_as_it_is_written(self, keys: Keys) -> None:
        assert PublicKey.read(f" {keys.public}\n") == keys.public

    @pytest.mark.parametrize("text", ["", "ed25519:", "ed25519:AAAA", "rsa:" + "A" * 43 + "=", "ed25519:" + "?" * 44])
    def test_that_is_none_is_refused(self, text: str) -> None:
        with pytest.raises(BadInputError, match=rf"^{re.escape(repr(text))} .*`retrim versions key`"):
            PublicKey.read(text)


class TestAnAttestation:
    def test_says_what_was_signed_and_by_whom_also_after_a_file(self, keys: Keys, signed: dict[str, Any]) -> None:
        found = read_attestation(json.loads(to_json(signed)))

        assert (found.kind, found.subject, found.signer) == (KIND, SUBJECT, keys.public)
        assert found.fields == {**FIELDS, "signer": str(keys.public)} == attested(signed)

    def test_is_the_same_if_made_again(self, keys: Keys, signed: dict[str, Any]) -> None:
        assert keys.attest(KIND, SUBJECT, FIELDS) == signed

    def test_is_a_statement_in_an_envelope_as_others_read_it(self, keys: Keys, signed: dict[str, Any]) -> None:
        payload = base64.b64decode(signed["payload"])
        kind = b"application/vnd.in-toto+json"
        raw = base64.b64decode(signed["signatures"][0]["sig"])

        assert json.loads(payload)["_type"] == "https://in-toto.io/Statement/v1"
        assert signed["payloadType"].encode() == kind
        assert keys.public.signed(b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload), raw)

    def test_signed_anew_by_another_has_another_signer(self, tmp_path: Path, keys: Keys) -> None:
        other = Keys(tmp_path / "other")

        assert read_attestation(other.attest(KIND, SUBJECT, FIELDS)).signer == other.public != keys.public

    def test_with_a_strangers_key_put_in_is_not_theirs(
        self, tmp_path: Path, keys: Keys, signed: dict[str, Any]
    ) -> None:
        stranger = Keys(tmp_path / "other").public
        said = base64.b64decode(signed["payload"]).replace(str(keys.public).encode(), str(stranger).encode())
        (signature,) = signed["signatures"]
        forged = {**signed, "payload": base64.b64encode(said).decode()}

        for keyid in (keys.public.fingerprint, stranger.fingerprint):
            with pytest.raises(RefusedError, match=stranger.fingerprint[:16]):
                read_attestation({**forged, "signatures": [{**signature, "keyid": keyid}]})

    @pytest.mark.parametrize("place", range(0, 64, 7))
    def test_with_one_altered_bit_in_its_signature_is_not_signed(
        self, keys: Keys, signed: dict[str, Any], place: int
    ) -> None:
        (signature,) = signed["signatures"]
        raw = bytearray(base64.b64decode(signature["sig"]))
        raw[place] ^= 1

        with pytest.raises(RefusedError, match=keys.public.fingerprint[:16]):
            read_attestation({**signed, "signatures": [{**signature, "sig": base64.b64encode(raw).decode()}]})

    @pytest.mark.parametrize("gone", ["payload", "payloadType", "signatures"])
    def test_without_a_part_is_none(self, signed: dict[str, Any], gone: str) -> None:
        with pytest.raises(BadInputError, match="var/attestations/"):
            read_attestation({name: value for name, value in signed.items() if name != gone})

    @pytest.mark.parametrize(
        "junk", [{"payload": 1}, {"payloadType": "x"}, {"signatures": {}}, {"signatures": [1]}, {"more": "\ud800"}]
    )
    def test_of_junk_is_none(self, signed: dict[str, Any], junk: dict[str, Any]) -> None:
        with pytest.raises(BadInputError, match=r"attestation: .*var/attestations"):
            read_attestation({**signed, **junk})

    def test_that_nobody_signed_is_not_signed(self, keys: Keys, signed: dict[str, Any]) -> None:
        with pytest.raises(RefusedError, match=keys.public.fingerprint[:16]):
            read_attestation({**signed, "signatures": []})
