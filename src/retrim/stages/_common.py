"""What every stage does around its `run`: prove where it is, read its sections and inputs, write whole folders."""

import inspect
import json
import os
import platform
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

import pandas as pd
from pydantic import JsonValue, TypeAdapter, ValidationError

import retrim
from retrim.card.diff import changes, flat
from retrim.decision.pins import PinnedFile, Pins
from retrim.errors import BadInputError, RetrimError
from retrim.features.view import WHOLE_CELLS, FeatureView
from retrim.files import Paths, code_digest, count_cores, file_digest, folder_digest
from retrim.parquet import read_parquet
from retrim.reading.frames import read_frame, read_mapped, shape_of
from retrim.settings import effective, model_in, read_code, resolved, stated_digest
from retrim.stats.codec import from_record
from retrim.stats.plugins import explain
from retrim.training.bundle import VERDICT, FitRecord, JudgedRecord, SplitRecord
from retrim.training.estimators import CODE_FILE, is_own, parts_of, trust
from retrim.training.groups import GROUP, GroupParams, Mitigation, with_groups
from retrim.training.recipe import FEWEST_RECENT, FoundRecord, WindowLengths
from retrim.yaml_files import read_yaml

TRIALS_VARIABLE = "RETRIM_TRIALS"
INPUTS = "data/raw.dvc data/champion.dvc data/previous.dvc"
SETTINGS = "data/settings.json"
PIN_AGAIN = (
    f"at a tag, restore both files with `git checkout -- params.yaml {SETTINGS}`; to try other settings, "
    "run: `retrim settings --pin`"
)


def main(run: Callable[..., None]) -> None:
    """Runs one stage in the working folder and ends the process with its exit code."""
    try:
        paths = Paths(Path.cwd())
        check_pins(paths)
        check_settings(paths)
        run(**_arguments(run, paths))
    except RetrimError as error:
        sys.stderr.write(f"error: {error}\n")
        sys.exit(error.exit_code)
    except Exception:  # noqa: BLE001  Python would end with 1, which says that the answer is no
        traceback.print_exc()
        sys.exit(RetrimError.exit_code)


def _arguments(run: Callable[..., None], paths: Paths) -> dict[str, Any]:
    document = resolved(paths.root, read_settings(paths))
    given: dict[str, Any] = {}
    for name, parameter in inspect.signature(run).parameters.items():
        if name == "paths":
            given[name] = paths
        elif name == "cores":
            given[name] = count_cores()
        elif name == "trials":
            given[name] = Path(os.environ.get(TRIALS_VARIABLE) or paths.root / "var" / "trials")
        else:
            given[name] = _setting(parameter.annotation, name.replace("__", "."), document)
    return given


def _setting(kind: Any, key: str, document: Mapping[str, JsonValue]) -> Any:
    """A section of the pinned settings, or one value in it, such as `drift.joint`, as what `run` takes it for."""
    value: Any = document
    for name in key.split("."):
        if not isinstance(value, Mapping) or name not in value:
            what = f"{key!r}" if "." in key else f"section {key!r}"
            raise BadInputError(f"{SETTINGS}: {what} is missing; {PIN_AGAIN}")
        value = value[name]
    try:
        return TypeAdapter(kind).validate_python(value)
    except ValidationError as error:
        raise BadInputError(f"{SETTINGS}: {key}.{explain(error)}; {PIN_AGAIN}") from error


def read_pins(paths: Paths) -> Pins:
    """What the machine set for this run directory."""
    try:
        return from_record(Pins, json.loads(paths.pins.read_bytes()))
    except FileNotFoundError as error:
        raise BadInputError(
            f"{paths.pins} is missing: this is not a run directory; create one with `retrim retrain --by-hand "
            "--as-of DATE`"
        ) from error


def read_window_lengths(paths: Paths, rows: pd.DataFrame, *, sliding_rows: int) -> WindowLengths:
    """How many of the training rows each window holds; the recent one where the run is pinned to a change."""
    return WindowLengths(sliding_rows).since(read_pins(paths).changed, rows["_event"], least=FEWEST_RECENT)


def read_settings(paths: Paths) -> dict[str, JsonValue]:
    """Every setting that is pinned for this run directory.

    Raises:
        BadInputError: The file is missing, or no JSON.
    """
    try:
        return TypeAdapter(dict[str, JsonValue]).validate_json(paths.settings.read_bytes())
    except (FileNotFoundError, ValidationError) as error:
        raise BadInputError(f"{SETTINGS} is missing, or does not contain all settings as JSON; {PIN_AGAIN}") from error


def check_settings(paths: Paths) -> None:
    """Refuses a params.yaml that was edited, and means other settings than the pinned ones.

    One that is as it was pinned is not asked what it means: another default of newer code changes no old version.

    Raises:
        BadInputError: It does; names the settings.
    """
    document, pins = read_yaml(paths.root / "params.yaml"), read_pins(paths)
    if (pins.params_digest, pins.settings_digest) == (stated_digest(document), file_digest(paths.settings)):
        return
    meant = effective(paths.root, document, "params.yaml")
    differing = changes(flat(read_settings(paths)), flat(meant))
    for key, (pinned, wanted) in differing.items():
        more = f" ({len(differing) - 1} more differ)" if len(differing) > 1 else ""
        raise BadInputError(
            f"params.yaml sets {key} = {wanted!r}, but {pinned!r} is pinned in {SETTINGS}{more}; {PIN_AGAIN}"
        )


def check_pins(paths: Paths) -> None:
    """Refuses code, Python, raw data or champions other than the pinned ones.

    Raises:
        BadInputError: Something is not what was pinned; the message says what, and the cure.
    """
    pins = read_pins(paths)
    package = Path(retrim.__file__).resolve().parent
    if code_digest(package) != pins.code_digest:
        raise BadInputError(
            f"the code in {package} differs from the code pinned in data/pins.json. At a tag, restore it with `git "
            "checkout -- src`, and run the stage through `dvc repro`; without src/, run `dvc repro` in the "
            "environment of the version: `retrim versions reproduce N --environment`. If you created this run "
            "directory by hand, create a new one"
        )
    if platform.python_version() != pins.python:
        raise BadInputError(
            f"this is Python {platform.python_version()}, but the run is pinned to Python {pins.python}; use Python "
            f"{pins.python}"
        )
    laid = {paths.raw: pins.raw_digest, paths.champion: pins.champion_digest, paths.previous: pins.previous_digest}
    for folder, digest in laid.items():
        if not folder.is_dir() or folder_digest(folder) != digest:
            raise BadInputError(
                f"data/{folder.name} differs from the one pinned in data/pins.json. At a tag, restore it with `git "
                f"checkout -- {INPUTS}`, then `dvc checkout` (in a clone, `dvc pull {INPUTS}`), and then run `dvc "
                "repro` again. If you created this run directory by hand, create a new one"
            )
    _check_own_code(paths, pins.own)


def _check_own_code(paths: Paths, pinned: PinnedFile | None) -> None:
    """Lets the code run that the champions here are made of, and refuses another file of one's own than the pinned.

    DVC does not know of that file: the pins do, so that another one makes every stage stale.
    """
    for folder in (paths.champion, paths.previous):  # their hashes are pinned
        for file in folder.rglob(CODE_FILE):
            trust(file.read_bytes())
    model = model_in(read_settings(paths))
    if not is_own(model):
        return
    path, _ = parts_of(model)
    if pinned != PinnedFile(path, sha256(read_code(paths.root, path)).hexdigest()):
        raise BadInputError(
            f"{path} differs from the file pinned in data/pins.json. At a tag, restore it with `git checkout -- "
            f"{path}`. If you created this run directory by hand, create a new one, or write the SHA-256 of the file "
            "under own in data/pins.json"
        )


def read_json(path: Path) -> Any:
    return json.loads(path.read_bytes())


def read_split(features: Path) -> SplitRecord:
    """Where the rows of a run were cut, from its folder of features."""
    return from_record(SplitRecord, read_json(features / "split.json"))


def read_judged(bundle: Path) -> JudgedRecord:
    """What the verdict of a bundle says to those who predict."""
    return from_record(JudgedRecord, read_json(bundle / VERDICT))


def read_fit(bundle: Path) -> FitRecord:
    """What the winner of a bundle was fitted with."""
    return from_record(FitRecord, read_json(bundle / "models" / read_judged(bundle).winner / "fit.json"))


def read_feature_view(paths: Paths) -> FeatureView:
    return from_record(FeatureView, read_json(paths.features / "view.json"))


def read_tuned(paths: Paths) -> FoundRecord:
    return from_record(FoundRecord, read_json(paths.tuning / "hyperparameters.json"))


def read_view(paths: Paths) -> pd.DataFrame:
    """The rows of the view in total order; categories of features are codes, where no step takes their text.

    The numbers of very many rows stay in a file that the system reads as they are asked for.
    """
    view = read_feature_view(paths)
    coded = [] if view.steps else [name for name, kind in view.features.items() if kind == "category"]
    rows, columns = shape_of(paths.view)
    return (read_mapped if rows * columns > WHOLE_CELLS else read_frame)(paths.view, coded=coded)


def grouped(
    rows: pd.DataFrame, paths: Paths, groups: Sequence[GroupParams], mitigate: Mitigation | None
) -> pd.DataFrame:
    """Rows of the view with the group of each in the column `GROUP`; as they are where nothing is mitigated."""
    if mitigate is None:
        return rows
    columns = ["_key", *(group.column for group in groups)]
    whole = read_parquet(paths.table, columns=columns).set_index("_key").loc[rows["_key"]].reset_index()
    return rows.assign(**{GROUP: with_groups(whole, groups)[GROUP].to_numpy()})
