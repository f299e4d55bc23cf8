"""Who may ask the server: with a token of the right scope, or where there is none, this machine alone."""

import datetime as dt
import http.client
import signal
import socket
import ssl
import subprocess
import sys
import time
from http import HTTPStatus
from pathlib import Path

import pandas as pd
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from retrim.adapters.mlflow_server import HOST
from retrim.errors import BadInputError, UnknownNameError
from retrim.lineage.tokens import Doorkeeper, add_token, last_uses, read_tokens, remove_token
from retrim.serving import routes
from tests.builders.desk import Desk
from tests.builders.http_client import ROW, log_of, running, serving_of
from tests.builders.receivers import free_port
from tests.builders.typed import Sit

pytestmark = pytest.mark.slow

NOW = pd.Timestamp("2024-01-12", tz="UTC")


def bearer(token: str) -> str:
    return f"Bearer {token}"


def test_an_exchanged_token_is_the_only_one_that_opens_while_the_server_runs(desk: Desk) -> None:
    old = add_token(desk.workspace, "a", ["predict"], now=NOW)
    with running(serving_of(desk)) as client:
        new = add_token(desk.workspace, "a again", ["predict"], now=NOW)
        both = [client.json("/predict", ROW, authorization=bearer(each))[0] for each in (old, new)]
        remove_token(desk.workspace, "a")
        after = [client.json("/predict", ROW, authorization=bearer(each))[0] for each in (old, new)]

    assert (both, after) == ([HTTPStatus.OK, HTTPStatus.OK], [HTTPStatus.UNAUTHORIZED, HTTPStatus.OK])


def test_a_server_whose_last_token_is_removed_answers_nobody(desk: Desk) -> None:
    token = add_token(desk.workspace, "a", ["predict"], now=NOW)
    with running(serving_of(desk)) as client:
        remove_token(desk.workspace, "a")
        codes = [client.json("/predict", ROW, **given)[0] for given in ({}, {"authorization": bearer(token)})]
        health = client.json("/health")[0]
    with running(serving_of(desk)) as client:
        codes.append(client.json("/predict", ROW)[0])

    assert (codes, health) == ([HTTPStatus.UNAUTHORIZED] * 3, HTTPStatus.OK)


def test_a_person_opens_a_server_that_has_no_token_left(desk: Desk, sit: Sit) -> None:
    session = sit(desk)
    add_token(desk.workspace, "a", ["predict"], now=NOW)
    with running(serving_of(desk)) as client:
        refused = session.says("token --open", code=2)
        removed = session.says("token a --remove", code=0)
        closed = client.json("/predict", ROW)[0]
        session.says("token --open", code=0)
        opened = client.json("/predict", ROW)[0]

    assert "retrim token NAME --remove" in refused
    assert "retrim token --open" in removed
    assert (closed, opened) == (HTTPStatus.UNAUTHORIZED, HTTPStatus.OK)


def test_a_request_through_a_proxy_needs_a_token(desk: Desk) -> None:
    proxies = [{name: "a"} for name in ("forwarded", "x_forwarded_for", "X_Forwarded_Proto", "x_real_ip", "via")]
    with running(serving_of(desk)) as client:
        refused = [client.json("/predict", rows, **proxy) for proxy in proxies for rows in (ROW, [ROW])]
        token = add_token(desk.workspace, "a", ["predict"], now=NOW)
        allowed = {client.json("/predict", ROW, authorization=bearer(token), **proxy)[0] for proxy in proxies}

    assert {code for code, _ in refused} == {HTTPStatus.FORBIDDEN}
    assert all("retrim token NAME --scope" in str(answer) for _, answer in refused)
    assert allowed == {HTTPStatus.OK}


def test_a_token_allows_its_scopes_and_none_is_refused_once_there_is_one(desk: Desk) -> None:
    with running(serving_of(desk)) as client:
        before = client.json("/predict", ROW)[0]
        token = add_token(desk.workspace, "a", ["predict"], now=NOW)
        reader = add_token(desk.workspace, "b", ["read"], now=NOW)
        codes = [client.json("/predict", ROW, authorization=given)[0] for given in ("", bearer("x"), bearer(reader))]
        many = client.json("/predict", [ROW] * 2)[0]
        good = client.json("/predict", ROW, authorization=bearer(token))[0]
        described = [client.json("/openapi.json", authorization=bearer(each))[0] for each in (reader, token)]
        labels = [client.json("/labels", [{}], authorization=bearer(each))[0] for each in (reader, token)]
        why = [client.json("/explain", ROW, authorization=bearer(each))[0] for each in (reader, token)]
        figures = [client.ask("GET", "/metrics", authorization=bearer(each))[0] for each in (reader, token)]
        remove_token(desk.workspace, "a")
        after = client.json("/predict", ROW, authorization=bearer(token))[0]

    assert (before, good) == (HTTPStatus.OK, HTTPStatus.OK)
    assert [*codes, many, after] == [401, 401, 403, 401, 401]
    assert described == figures == [200, 403]
    assert (labels, why) == ([403, 403], [403, 200])
    kept = desk.workspace.paths.tokens.read_text(encoding="utf-8")
    assert token not in kept
    assert reader not in kept
    assert desk.workspace.paths.tokens.stat().st_mode & 0o077 == 0


def test_a_prediction_names_the_token_that_asked_and_the_token_its_last_use(desk: Desk) -> None:
    log = log_of(desk)
    names = ["a client", "nobody yet"]
    token, _ = (add_token(desk.workspace, name, ["predict"], now=NOW) for name in names)
    with running(serving_of(desk, keep=log.add)) as client:
        client.json("/predict", ROW, authorization=bearer(token))
        client.json("/predict", [ROW] * 2, authorization=bearer(token))
    log.close()

    stored = desk.workspace.predictions.of_role("request").since(None, most=9)
    assert set(stored["token"]) == {"a client"}
    assert list(last_uses(desk.workspace.paths.tokens)) == ["a client"]


def test_what_the_server_offers_is_listed_offline_to_anybody(desk: Desk) -> None:
    add_token(desk.workspace, "a client", ["predict"], now=NOW)
    with running(serving_of(desk)) as client:
        listed = client.json("/")[1]["paths"]
        status, page = client.ask("GET", "/docs")

    assert {"/predict", "/explain", "/labels", "/metrics"} <= set(listed)
    assert status == HTTPStatus.OK
    assert all(f" {path}<" in page.decode() for path in listed)
    assert b"://" not in page


def test_where_others_can_connect_nobody_is_answered_without_a_token(desk: Desk) -> None:
    serving = serving_of(desk)
    serving.is_local = False
    with running(serving) as client:
        assert client.json("/predict", ROW)[0] == HTTPStatus.UNAUTHORIZED
        assert client.json("/health")[0] == HTTPStatus.OK


def test_the_body_of_who_may_not_ask_is_not_waited_for(desk: Desk) -> None:
    serving = serving_of(desk)
    serving.is_local = False
    head = b"POST /predict HTTP/1.1\r\nhost: localhost\r\ncontent-length: 2\r\n\r\n"
    with running(serving) as client, socket.create_connection((HOST, client.port), timeout=routes.SECONDS / 2) as asks:
        asks.sendall(head)

        assert asks.recv(1 << 12).startswith(b"HTTP/1.1 401 ")


def test_a_file_of_tokens_that_cannot_be_read_lets_nobody_in(desk: Desk) -> None:
    with running(serving_of(desk)) as client:
        desk.workspace.paths.tokens.parent.mkdir(parents=True, exist_ok=True)
        for content in ("[", "{", "3", '["a"]', '[{"name": "a"}]', '[{"name": "a", "scopes": 3}]'):
            desk.workspace.paths.tokens.write_text(content, encoding="utf-8")

            assert client.json("/predict", ROW)[0] == HTTPStatus.SERVICE_UNAVAILABLE, content


def test_tokens_that_cannot_be_read_are_not_to_be_removed(desk: Desk) -> None:
    desk.workspace.paths.tokens.mkdir(parents=True)  # what root cannot read either

    with pytest.raises(BadInputError, match="cannot be read") as said:
        read_tokens(desk.workspace.paths.tokens)
    assert "remove" not in str(said.value)


def test_a_name_is_there_once_and_scopes_are_those_that_there_are(desk: Desk) -> None:
    add_token(desk.workspace, "a", ["predict"], now=NOW)
    for name, scopes in (("a", ["read"]), ("b", []), ("", ["read"]), (" b", ["read"])):
        with pytest.raises(BadInputError):
            add_token(desk.workspace, name, scopes, now=NOW)
    with pytest.raises(UnknownNameError):
        add_token(desk.workspace, "b", ["all"], now=NOW)
    with pytest.raises(UnknownNameError):
        remove_token(desk.workspace, "b")
    assert [each.name for each in Doorkeeper(desk.workspace.paths.tokens).tokens().values()] == ["a"]


def test_others_can_connect_once_there_is_a_token(desk: Desk, sit: Sit, monkeypatch: pytest.MonkeyPatch) -> None:
    def stopped(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(routes, "run_server", stopped)
    session = sit(desk)
    session.says("serve --host 0.0.0.0 --port 0", code=2)
    token = session.says("token all --scope predict --scope read", code=0)
    said = session.says("serve --host 0.0.0.0 --port 0", code=0)
    assert "http://0.0.0.0:" in said
    assert "tokens are sent unencrypted" in said
    session.says("token all --scope read", code=2)
    listed = session.says("token", code=0)
    assert "all predict, read" in listed
    assert token not in listed
    session.says("token all --remove", code=0)
    session.says("token all --scope read", code=0)

    assert session.says("serve --cert a.pem", code=2).count("--key") == 1


def test_it_speaks_tls_with_the_files_of_a_certificate(desk: Desk, tmp_path: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    plain = serialization.NoEncryption()
    (tmp_path / "cert.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (tmp_path / "key.pem").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
    )
    port = free_port()
    code = (
        "import sys; from pathlib import Path; from types import SimpleNamespace as S;"
        "from retrim.adapters.mlflow_server import bind; from retrim.serving.routes import make_app, run_server;"
        "from retrim.serving.server import Serving; from retrim.serving.metrics import Metrics;"
        "from retrim.lineage.tokens import Doorkeeper;"
        "one = Serving(S(version=1), Doorkeeper(Path('none')), print, print, Metrics(), load=print, jobs=None);"
        "run_server(make_app({'m': one}), bind(int(sys.argv[1])),"
        "cert=Path(sys.argv[2]), key=Path(sys.argv[3]))"
    )
    files = [str(tmp_path / "cert.pem"), str(tmp_path / "key.pem")]
    process = subprocess.Popen([sys.executable, "-c", code, str(port), *files])
    try:
        trusting = ssl.create_default_context(cafile=files[0])
        answer, until = 0, time.monotonic() + 120
        while not answer and time.monotonic() < until:
            connection = http.client.HTTPSConnection("localhost", port, timeout=10, context=trusting)
            try:
                connection.request("GET", "/health")
                answer = connection.getresponse().status
            except ConnectionRefusedError:
                assert process.poll() is None
                time.sleep(0.1)
            finally:
                connection.close()
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=30)

    assert answer == HTTPStatus.OK
    with pytest.raises(BadInputError, match=r"TLS .*--cert and its private key with --key"):
        routes.run_server(
            routes.make_app({"m": serving_of(desk)}),
            socket.socket(),
            cert=tmp_path / "key.pem",
            key=tmp_path / "no.pem",
        )
