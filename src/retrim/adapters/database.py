"""A database behind an address: opened, and what goes wrong with it told in our words, never with its password."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress

import sqlalchemy as sa

from retrim.datasets.address import address_of
from retrim.errors import BadInputError, RetrimError

WRITE = "write such as sqlite:////folder/retrim.db or postgresql+psycopg://user@host/name"


def _shown(url: sa.URL) -> str:
    """An address without password and query; of one whose password may be taken for its host, the protocol alone."""
    if url.host and "@" in f"{url.host}{url.database}":
        return f"{url.drivername}://***"
    return url.set(query={}).render_as_string(hide_password=True)


class Database:
    """The database at an address, with these tables; they are made at first use.

    Raises:
        BadInputError: The address is none.
        RetrimError: It cannot be opened.
    """

    def __init__(self, url: str, tables: sa.MetaData) -> None:
        self._address = address_of(url)
        try:
            parsed = sa.engine.make_url(url)
        except (sa.exc.ArgumentError, ValueError) as error:  # neither is shown: it may hold the password
            raise BadInputError(f"RETRIM_STORE_URL is no address of a database; {WRITE}") from error
        self.shown = _shown(parsed)
        self.place = parsed.set(password=None).render_as_string(hide_password=False)
        try:
            self._engine = sa.create_engine(url, connect_args={"timeout": 30} if url.startswith("sqlite") else {})
        except (sa.exc.ArgumentError, ImportError) as error:
            said = self._address.clean(error)
            raise BadInputError(
                f"the store at {self.shown} cannot be opened: {said}; install its driver, or {WRITE}"
            ) from error
        with self.wrapped("opened"):
            for _ in tables.tables:
                # Another process may make the same tables just now: each try finds at least one more of them made.
                with suppress(sa.exc.SQLAlchemyError):
                    tables.create_all(self._engine)
                    break
            else:
                tables.create_all(self._engine)

    @contextmanager
    def wrapped(self, what: str) -> Iterator[None]:
        """Turns the database's errors into ours; a key that is there already stays what it is, for the caller to judge.

        Raises:
            RetrimError: It failed.
        """
        try:
            yield
        except sa.exc.IntegrityError:
            raise
        except sa.exc.SQLAlchemyError as error:
            said = self._address.clean(str(getattr(error, "orig", None) or error).strip().splitlines()[0])
            raise RetrimError(
                f"the store at {self.shown} cannot be {what}: {said}; look at the database, its disk and its "
                "permissions, or set RETRIM_STORE_URL"
            ) from error

    @contextmanager
    def begin(self) -> Iterator[sa.Connection]:
        """A transaction: all of it, or nothing."""
        with self.wrapped("written"), self._engine.begin() as connection:
            yield connection

    @contextmanager
    def connect(self) -> Iterator[sa.Connection]:
        """A connection to read with."""
        with self.wrapped("read"), self._engine.connect() as connection:
            yield connection
