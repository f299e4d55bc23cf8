"""One PostgreSQL server and one S3 server for all tests of this folder."""

from collections.abc import Iterator

import pytest

from tests.builders.stores import S3, PostgreSQL, postgresql, s3


@pytest.fixture(scope="session")
def database_server() -> Iterator[PostgreSQL]:
    with postgresql() as running:
        yield running


@pytest.fixture(scope="session")
def bucket_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3]:
    folder = tmp_path_factory.mktemp("s3") / "buckets"
    with s3(folder, buckets=("models", "predictions", "cache", "batches", "backups", "landing")) as running:
        yield running
