"""The key of a workspace and what is signed with it."""

import base64
import json
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from retrim.adapters.git import looks_secret
from retrim.adapters.signing import Keys, PublicKey, signer_of
from retrim.errors import BadInputError, RefusedError, RetrimError
from retrim.stats.canonical import SEALS, seals_of, to_json

FIELDS = {"kind": "a receipt", "version": 3, "outputs": [{"path": "a", "recorded": "x"}], "at": "2024-01-01"}


@pytest.fixture
def keys(tmp_path: Path) -> Keys:
    return Keys(tmp_path / "keys")


@pytest.fixture
def signed(keys: Keys) -> dict[str, Any]:
    return keys.seal(FIELDS)


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

        with pytest.raises(RefusedError, match="others can read the private key"):
            keys.seal(FIELDS)

    def test_that_is_torn_is_not_quoted(self, keys: Keys) -> None:
        _ = keys.public
        text = keys.file.read_text(encoding="ascii")
        keys.file.write_text(text[:80], encoding="ascii")

        with pytest.raises(RetrimError, match=r"cannot be read; restore it") as error:
            keys.seal(FIELDS)
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
        with pytest.raises(BadInputError, match="is not a public key"):
            PublicKey.read(text)


class TestASignedRecord:
    def test_names_its_signer_also_after_a_file(self, keys: Keys, signed: dict[str, Any]) -> None:
        assert signer_of(json.loads(to_json(signed))) == keys.public

    @pytest.mark.parametrize("field", [*FIELDS, "key"])
    def test_that_was_changed_names_the_field(self, signed: dict[str, Any], field: str) -> None:
        with pytest.raises(RefusedError, match=rf"not what was signed: {field};"):
            signer_of({**signed, field: {**signed["key"], "x": 1} if field == "key" else "other"})

    def test_with_seals_written_anew_is_not_signed(self, signed: dict[str, Any]) -> None:
        forged = {**signed, "version": 4}
        forged[SEALS] = seals_of(forged)

        with pytest.raises(RefusedError, match="the signature is not one of the key it names"):
            signer_of(forged)

    def test_signed_anew_by_another_has_another_signer(self, tmp_path: Path, signed: dict[str, Any]) -> None:
        other = Keys(tmp_path / "other")
        forged = other.seal({name: signed[name] for name in FIELDS} | {"version": 4})

        assert signer_of(forged) == other.public != PublicKey.read(signed["key"]["public"])

    def test_with_a_strangers_key_put_in_is_not_theirs(self, tmp_path: Path, signed: dict[str, Any]) -> None:
        stranger = Keys(tmp_path / "other").public
        forged = {**signed, "key": {"public": str(stranger), "fingerprint": stranger.fingerprint}}
        forged[SEALS] = seals_of(forged)

        with pytest.raises(RefusedError, match="the signature is not one of the key it names"):
            signer_of(forged)

    @pytest.mark.parametrize("place", range(0, 64, 7))
    def test_with_one_altered_bit_in_its_signature_is_not_signed(self, signed: dict[str, Any], place: int) -> None:
        raw = bytearray(base64.b64decode(signed["signature"]))
        raw[place] ^= 1

        with pytest.raises(RefusedError, match="the signature is not one"):
            signer_of({**signed, "signature": base64.b64encode(raw).decode()})

    @pytest.mark.parametrize("gone", ["key", "seals", "signature"])
    def test_without_a_part_is_none(self, signed: dict[str, Any], gone: str) -> None:
        with pytest.raises(BadInputError, match="this is not a signed record"):
            signer_of({name: value for name, value in signed.items() if name != gone})

    @pytest.mark.parametrize("junk", [{"key": 1}, {"key": {}, "seals": [], "signature": 1}, {"x": "\ud800"}])
    def test_of_junk_is_none(self, signed: dict[str, Any], junk: dict[str, Any]) -> None:
        with pytest.raises(BadInputError, match="this is not a signed record"):
            signer_of({**signed, **junk})
