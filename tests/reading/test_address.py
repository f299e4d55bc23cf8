"""Tables at addresses: what is read, what is shown, and what an address that cannot be read says."""

import base64
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from retrim.errors import BadInputError
from retrim.onboarding.init import model_name
from retrim.reading import address as module
from retrim.reading.address import address_of
from retrim.reading.raw import open_raw
from tests.builders.raw_tables import csv, table

SECRET = "swordfish"  # noqa: S105  of nobody
CONTENT = csv(table(30))


class TestWhatIsShown:
    @pytest.mark.parametrize(
        ("where", "shown"),
        [
            ("s3://bucket/a@b.csv", "s3://bucket/a@b.csv"),
            (f"https://me:{SECRET}@host:8443/x.csv?X-Amz-Signature={SECRET}", "https://host:8443/x.csv"),
            (f"https://{SECRET}@host/x.csv", "https://host/x.csv"),
            (f"postgresql+asyncpg://me:{SECRET}/#@host/shop?sslpassword={SECRET}", "postgresql+asyncpg://host/shop"),
            (f"simplecache::https://me:{SECRET}@host/x.csv", "simplecache::https://host/x.csv"),
            ("http://[fe80::ab]:80/x", "http://[fe80::ab]:80/x"),
            ("sqlite:///shop.db", "sqlite:///shop.db"),
            ("memory:///a.csv", "memory:///a.csv"),
            ("zip://a.csv::https://host/a@b.zip", "zip://a.csv::https://host/a@b.zip"),
            (f"https://host/x.csv#token={SECRET}", "https://host/x.csv"),
            (f"postgresql://bob:pa?{SECRET}@host/shop", "postgresql://host/shop"),
            (f"postgresql://bob:sec::{SECRET}@host/shop", "postgresql://host/shop"),
            (f"ftp://bob:p@{SECRET}@host/x.csv", "ftp://host/x.csv"),
            (f"postgresql://bob:12/{SECRET}@host/shop", "postgresql://***"),
            (f"postgresql://bob:p@ss/{SECRET}@host/shop", "postgresql://***"),
            (f"https://bob:p@{SECRET}?x@host/x", "https://***"),
            (f"https://{SECRET}?x@host/x", "https://***"),
            (f"https://bob:{SECRET}::ab://{SECRET}@host/x", "https://***"),
            (f"my data://me:{SECRET}@host/x", "my data://host/x"),
        ],
    )
    def test_has_neither_user_nor_password_nor_query(self, where: str, shown: str) -> None:
        assert address_of(where).shown == shown

    def test_hides_the_secret_in_what_others_say_in_each_spelling(self) -> None:
        address = address_of("https://me:sword%2Ffish@host/x?token=abc%2B1234567")
        said = address.clean("404 for https://me:sword/fish@host/x with abc+1234567 or sword%2Ffish")

        assert said == "404 for https://me:***@host/x with *** or ***"

    @pytest.mark.parametrize(
        "where",
        ["ftp://bob:{0}/more@host/x", "postgresql://bob:12/{0}@host/x", "ftp://bob:p@{0}?x@host/x", "ftp://host/x#{0}"],
    )
    def test_hides_a_piece_of_the_secret_too(self, where: str) -> None:
        long = SECRET * 2  # a fragment without a name is secret where it is long

        assert long not in address_of(where.format(long)).clean(f"no host {long!r} answers")

    @pytest.mark.parametrize(
        ("where", "name"),
        [
            (f"https://host/Hourly Traffic.csv.gz?sig={SECRET}", "hourly_traffic"),
            (f"https://me:{SECRET}@host/", "host"),
            ("postgresql://host/shop", "shop"),
            ("s3://bucket/trips/", "trips"),
        ],
    )
    def test_names_a_model(self, where: str, name: str) -> None:
        assert model_name(where) == name


@pytest.fixture
def memory() -> Iterator[Any]:
    import fsspec

    system = fsspec.filesystem("memory")
    for name in ("trips/a.csv", "trips/b.csv", "trips/_done", "trips/.part", "other/c.csv"):
        system.pipe(f"/{name}", CONTENT)
    yield system
    system.rm("/", recursive=True)


@pytest.mark.usefixtures("memory")
class TestAnAddress:
    @pytest.mark.parametrize(
        ("where", "rows"), [("memory://trips/a.csv", 30), ("memory://trips", 60), ("memory://*/*.csv", 90)]
    )
    def test_is_a_file_a_folder_or_a_pattern(self, where: str, rows: int) -> None:
        assert open_raw(where).rows == rows

    def test_of_a_folder_on_this_machine_reads_as_its_path_does(self, tmp_path: Path) -> None:
        for name in ("a.csv", "b.csv"):
            (tmp_path / name).write_bytes(CONTENT)

        assert open_raw(f"file://{tmp_path}").columns.equals(open_raw(str(tmp_path)).columns)

    @pytest.mark.parametrize("where", ["memory://nowhere.csv", "file:///nowhere/x.csv"])
    def test_where_nothing_is_says_so(self, where: str) -> None:
        with pytest.raises(BadInputError, match=f"^{re.escape(where)} .*; specify "):
            open_raw(where)

    def test_that_fits_no_file_says_so(self) -> None:
        with pytest.raises(BadInputError, match=r"^memory://trips/\*\.parquet .*\bpattern$"):
            open_raw("memory://trips/*.parquet")

    def test_of_a_protocol_nobody_knows_names_those_that_are(self) -> None:
        with pytest.raises(BadInputError, match=r"'gopher' .*s3://"):
            open_raw("gopher://host/x.csv")

    @pytest.mark.parametrize(("protocol", "package"), [("s3", "s3fs"), ("gs", "gcsfs"), ("az", "adlfs")])
    def test_of_a_protocol_without_its_package_names_the_package(
        self, protocol: str, package: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        import sys

        monkeypatch.setitem(sys.modules, package, None)  # as if it were not installed

        with pytest.raises(BadInputError, match=f"Python package '{package}'"):
            open_raw(f"{protocol}://bucket/x.csv")


class Shelf(BaseHTTPRequestHandler):
    """Serves one file to those who know the password, and some to all."""

    content = CONTENT

    def do_GET(self) -> None:
        if self.path.startswith("/closing") and self.command == "GET":  # it answers HEAD
            self.send_error(403)
            return
        if self.path.startswith(("/changing", "/closing", "/tagged")):
            self.send_response(200)
            if self.path.startswith("/tagged"):
                self.send_header("ETag", '"7"')
            self.send_header("Content-Length", str(len(CONTENT)))
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(self.content)
            return
        known = self.headers.get("Authorization") == f"Basic {base64.b64encode(f'me:{SECRET}'.encode()).decode()}"
        there = self.path.startswith("/trips.csv")
        self.send_response(200 if known and there else 403 if there else 404)
        self.send_header("Content-Length", str(len(CONTENT) if known and there else 0))
        self.end_headers()
        if known and there and self.command == "GET":
            self.wfile.write(CONTENT)

    do_HEAD = do_GET  # noqa: N815  as the library calls it

    def log_message(self, *given: Any) -> None:
        """Says nothing."""


@pytest.fixture(scope="module")
def web() -> Iterator[str]:
    pytest.importorskip("aiohttp", reason="fsspec reads http by aiohttp, which is not installed")
    server = HTTPServer(("127.0.0.1", 0), Shelf)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield f"127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


class TestTheWeb:
    def test_is_read_with_a_password_in_the_address(self, web: str) -> None:
        assert open_raw(f"http://me:{SECRET}@{web}/trips.csv").rows == 30

    @pytest.mark.parametrize(
        "where", ["http://me:{0}@{1}/nothing.csv?token={0}", "http://you:{0}@{1}/trips.csv?sig={0}"]
    )
    def test_what_it_refuses_is_said_without_the_password(self, web: str, where: str) -> None:
        with pytest.raises(BadInputError) as caught:
            open_raw(where.format(SECRET, web))

        assert SECRET not in str(caught.value)
        assert web in str(caught.value)
        assert caught.value.__cause__ is None

    def test_refused_only_when_it_is_read_it_is_said_without_the_secret(self, web: str) -> None:
        with pytest.raises(BadInputError, match=web) as caught:
            [file.opened().read() for file in module.remote_files(f"http://{web}/closing.csv?sig={SECRET}")]

        assert SECRET not in str(caught.value)
        assert caught.value.__cause__ is None

    def test_other_content_of_the_same_size_is_another_state(self, web: str, monkeypatch: pytest.MonkeyPatch) -> None:
        def state() -> str:
            return module.remote_files(f"http://{web}/changing.csv")[0].state

        before = state()
        assert state() == before
        monkeypatch.setattr(Shelf, "content", CONTENT[::-1])
        assert state() != before

    def test_a_signature_that_changes_leaves_the_state(self, web: str) -> None:
        states = {module.remote_files(f"http://{web}/tagged.csv?sig={word}")[0].state for word in ("a", "b")}

        assert len(states) == 1


def test_nobody_answers_is_said_without_the_password() -> None:
    pytest.importorskip("aiohttp", reason="fsspec reads http by aiohttp, which is not installed")
    with pytest.raises(BadInputError) as caught:
        open_raw(f"http://me:{SECRET}@127.0.0.1:9/x.csv")

    assert SECRET not in str(caught.value)


def test_a_protocol_whose_package_lacks_one_of_its_own_names_that(monkeypatch: pytest.MonkeyPatch) -> None:
    import fsspec.core

    def absent(_where: str) -> Any:
        raise ImportError("no module named aiohttp", name="aiohttp")

    monkeypatch.setattr(fsspec.core, "url_to_fs", absent)

    with pytest.raises(BadInputError, match="needs the Python package 'aiohttp'"):
        module.fetch("https://host/x.csv")
