"""A file that lies elsewhere, at hand for as long as it lands."""

import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow.parquet as pq

from retrim.adapters.sql_table import is_database, read_query, refuse_query
from retrim.datasets.address import address_of, fetch, is_address
from retrim.datasets.writable import writable
from retrim.errors import BadInputError
from retrim.files import make_private_folder
from retrim.paths import Workspace


@contextmanager
def at_hand(workspace: Workspace, where: str, *, query: str | None, table: str | None) -> Iterator[Path]:
    """The file at a path or an address as a file of this machine; rows of a database as Parquet, in their order.

    Args:
        workspace: Under whose `var/` it lies meanwhile.
        where: A path, an fsspec address of one file, or a database.
        query: For a database: a statement that gives the rows. Only with ORDER BY has it the same bytes each time.
        table: For a database: the table's name.

    Raises:
        BadInputError: It cannot be read, or is more than one file.
    """
    if not is_address(where):
        refuse_query(query, table)
        yield Path(where)
        return
    address = address_of(where)
    make_private_folder(workspace.var)
    with tempfile.TemporaryDirectory(prefix="fetched-", dir=workspace.var) as folder:
        file = Path(folder) / (re.sub(r"[^\w.-]+", "_", address.name).strip(".")[-100:] or "table")
        if is_database(where):
            file = file.with_suffix(".parquet")
            pq.write_table(writable(read_query(where, query=query, table=table)), file)
        else:
            refuse_query(query, table)
            files = fetch(where)
            if len(files) > 1:
                raise BadInputError(f"{address.shown} is {len(files)} files; land them one by one, each is a batch")
            file.write_bytes(files[0][1])
        yield file
