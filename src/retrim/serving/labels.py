"""Labels that a request brings land as a file of labels does."""

from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

from retrim.landing.inbox import take_in
from retrim.landing.ingest import Landed
from retrim.lineage.workspace import Workspace


def land_labels(open_here: Callable[[], Workspace], body: bytes) -> Landed:
    """Lands labels, or quarantines them; the same again changes nothing.

    Args:
        open_here: Opens the workspace, as its settings are now.
        body: Lines of JSON: key, answer, and the time of the label where the table has one.

    Raises:
        BadInputError: They are no labels of this table.
        BusyError: Something else lands.
    """
    with TemporaryDirectory(prefix="retrim-labels-") as folder:
        path = Path(folder) / "labels.jsonl"
        path.write_bytes(body)
        return next(iter(take_in(open_here(), path, now=None, labels=True, correction=False, large=None)))
