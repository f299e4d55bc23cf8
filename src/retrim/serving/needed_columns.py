"""Which columns a version takes of a row."""

from collections.abc import Mapping
from dataclasses import dataclass

from retrim.errors import BadInputError
from retrim.lineage.workspace import Workspace
from retrim.release.versions import Stored, load_champion, load_stored_version
from retrim.serving.rules import suite_of_rows
from retrim.table.data import ColumnType
from retrim.table.fault import Suite
from retrim.table.lags import HistoryParams, past_takes
from retrim.table.reading import CalendarPart


@dataclass(frozen=True)
class NeededColumns:
    """What a version takes of a row.

    Args:
        required: Columns that must be there.
        carried: Columns that are written beside the prediction where they are there: the key, and the event's time.
        past: Features from the past: taken as they are where they are there, else made.
        calendar: Features that are a part of the event's time, where they are not there.
        filled: Columns that may not be blank.
        kept: Columns that a person wants beside the prediction, as they stand in IN.
        warned: Columns whose cells are missing where they cannot be read.
    """

    required: Mapping[str, ColumnType]
    carried: Mapping[str, ColumnType]
    past: tuple[str, ...]
    calendar: Mapping[str, CalendarPart]
    time: str
    filled: frozenset[str]
    suite: Suite
    kept: tuple[str, ...] = ()
    warned: frozenset[str] = frozenset()

    @property
    def columns(self) -> set[str]:
        """All that may be read of a file."""
        return {*self.required, *self.carried, *self.past, *self.calendar, *self.kept}


def version_to_ask(workspace: Workspace, version: int | None) -> Stored:
    """A version by its number; None: the live one.

    Raises:
        BadInputError: There is none.
        RefusedError: Its stored bundle was altered.
    """
    stored = load_champion(workspace) if version is None else load_stored_version(workspace, version)
    if stored is None:
        raise BadInputError(
            f"no version of {workspace.model} is live; choose one with --version N, or train one: retrim retrain"
        )
    return stored


def history_of(workspace: Workspace, version: int) -> HistoryParams:
    """The features from the past that a version was made with."""
    row = workspace.store.version(workspace.model, version)
    noted = None if row is None else row.made_from.history
    return HistoryParams.model_validate(noted) if noted else HistoryParams()


def needed_columns(
    workspace: Workspace, stored: Stored, there: set[str], kept: tuple[str, ...] = ()
) -> tuple[NeededColumns, HistoryParams | None]:
    """Columns that a version takes, and its features from the past where IN does not have them."""
    data, reading = workspace.params.data, workspace.params.reading
    history = history_of(workspace, stored.version)
    needed = stored.predictor.view.needs
    from_past = [name for name in history.columns if name in needed]
    to_make = [name for name in from_past if name not in there]
    types = {name: column.type for name, column in data.columns.items()}
    required: dict[str, ColumnType] = {name: kind for name, kind in needed.items() if name not in from_past}
    for name in stored.predictor.columns:
        if name not in from_past:
            required.setdefault(name, types.get(name, "category"))
    calendar = {name: part for name, part in reading.calendar.items() if name in required}
    if to_make:
        late = {name for name, column in data.columns.items() if column.role in ("target", "forbidden")}
        for name in (data.time, *sorted(past_takes(history) - late)):
            required.setdefault(name, types.get(name, "category" if name in history.entity else "number"))
    carried = {name: types[name] for name in (*data.key, data.time) if name in types}
    filled = frozenset({data.time} if calendar or to_make else ())
    suite = suite_of_rows(workspace.paths.root / data.suite, required).without(data.warned)
    taken = () if to_make else tuple(from_past)
    needs = NeededColumns(required, carried, taken, calendar, data.time, filled, suite, kept, data.warned)
    return needs, history if to_make else None
