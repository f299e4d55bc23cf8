"""Every secret that retrim makes can be exchanged: the old one no longer works, the new one does.

The release log with an exchanged key: tests/release/test_release_log.py. Tokens: tests/serving/test_tokens.py. The
login of Prefect's server: tests/adapters/test_prefect_server.py.
"""

import base64
from http import HTTPStatus
from pathlib import Path

import pytest
from starlette.responses import PlainTextResponse
from starlette.testclient import TestClient

from retrim.adapters.mlflow_server import PasswordGate
from retrim.adapters.signing import Keys
from retrim.environment import Env
from retrim.errors import BadInputError
from retrim.files import keep_password

ORIGIN = "http://testserver"


def test_a_new_signing_key_signs_and_what_the_old_one_signed_still_counts(tmp_path: Path) -> None:
    keys = Keys(tmp_path)
    old, signed = keys.public, base64.b64decode(keys.sign(b"before"))
    keys.file.unlink()
    new, signed_anew = keys.public, base64.b64decode(keys.sign(b"after"))

    assert new != old
    assert (new.signed(b"after", signed_anew), old.signed(b"after", signed_anew)) == (True, False)
    assert old in keys.known()
    assert old.signed(b"before", signed)


def test_a_new_password_of_the_page_opens_it_and_the_old_one_does_not(tmp_path: Path) -> None:
    file = tmp_path / "password"
    old = keep_password(file)
    file.unlink()
    new = keep_password(file)
    pages = TestClient(PasswordGate(PlainTextResponse("in"), keep_password(file), origins=[ORIGIN]), base_url=ORIGIN)

    assert [pages.get("/", auth=("retrim", each)).status_code for each in (old, new)] == [
        HTTPStatus.UNAUTHORIZED,
        HTTPStatus.OK,
    ]


@pytest.mark.parametrize(
    ("name", "value"),
    [("store_url", "postgresql+psycopg://a:b@c/d"), ("mlflow_url", "http://mlflow:5000"), ("backup", "s3://b/c")],
)
def test_an_address_is_read_from_the_file_that_a_variable_names(
    name: str, value: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "value").write_text(f"{value}\n", encoding="utf-8")
    monkeypatch.delenv(f"RETRIM_{name.upper()}", raising=False)
    monkeypatch.setenv(f"RETRIM_{name.upper()}_FILE", str(tmp_path / "value"))
    assert getattr(Env(), name) == value


def test_a_secret_in_a_file_is_hidden_like_one_in_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "ping").write_text("https://ping.example/word\n", encoding="utf-8")
    monkeypatch.setenv("RETRIM_PING_FILE", str(tmp_path / "ping"))
    assert "word" not in repr(Env())


def test_a_value_wins_over_its_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RETRIM_STORE_URL", "sqlite:///a.db")
    monkeypatch.setenv("RETRIM_STORE_URL_FILE", str(tmp_path / "none"))
    assert Env().store_url == "sqlite:///a.db"


@pytest.mark.parametrize("content", [None, b"", b"\xff\xfe"])
def test_a_file_that_says_nothing_is_named(
    content: bytes | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if content is not None:
        (tmp_path / "value").write_bytes(content)
    monkeypatch.delenv("RETRIM_STORE_URL", raising=False)
    monkeypatch.setenv("RETRIM_STORE_URL_FILE", str(tmp_path / "value"))
    with pytest.raises(BadInputError, match="RETRIM_STORE_URL_FILE is set to"):
        Env()
