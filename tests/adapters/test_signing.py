"""The key of a workspace and what is signed with it."""

import base64
import re
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from retrim.adapters.git import looks_secret
from retrim.adapters.signing import Keys, PublicKey, read_public_key, signature_fault
from retrim.errors import BadInputError, RefusedError, RetrimError

LETTER, ALTERED = b"a letter", "does not match its signature"


@pytest.fixture
def keys(tmp_path: Path) -> Keys:
    return Keys(tmp_path / "keys")


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
            keys.sign(LETTER)

    def test_that_is_torn_is_not_quoted(self, keys: Keys) -> None:
        _ = keys.public
        text = keys.file.read_text(encoding="ascii")
        keys.file.write_text(text[:80], encoding="ascii")

        with pytest.raises(RetrimError, match=re.escape(str(keys.file))) as error:
            keys.sign(LETTER)
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
        with pytest.raises(BadInputError, match=rf"^{re.escape(repr(text))} .*`retrim versions export --key`"):
            PublicKey.read(text)

    def test_that_cannot_be_read_from_a_file_is_refused_by_the_files_name(self, tmp_path: Path) -> None:
        (tmp_path / "binary.pub").write_bytes(b"\xff\xfe")

        for name in ("binary.pub", "missing.pub"):
            with pytest.raises(BadInputError, match=rf"{name} .*`retrim versions export --key`"):
                read_public_key(tmp_path / name)


class TestASignature:
    def test_holds_for_what_was_signed_by_a_known_key_alone(self, keys: Keys, tmp_path: Path) -> None:
        signature, stranger = keys.sign(LETTER), Keys(tmp_path / "other").public

        assert signature_fault(str(keys.public), LETTER, signature, known=[keys.public]) is None
        assert "not a trusted key" in str(signature_fault(str(keys.public), LETTER, signature, known=[stranger]))
        assert signature_fault(str(stranger), LETTER, signature, known=[stranger]) == ALTERED
        assert signature_fault(str(keys.public), LETTER + b"!", signature, known=[keys.public]) == ALTERED

    @pytest.mark.parametrize("place", range(0, 64, 7))
    def test_with_one_altered_bit_does_not_hold(self, keys: Keys, place: int) -> None:
        raw = bytearray(base64.b64decode(keys.sign(LETTER)))
        raw[place] ^= 1
        signature = base64.b64encode(raw).decode()

        assert signature_fault(str(keys.public), LETTER, signature, known=[keys.public]) == ALTERED
