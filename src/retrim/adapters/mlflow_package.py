"""A model as MLflow keeps it: a bundle with its signature, example and requirements, and the code that predicts."""

import ast
import re
from collections.abc import Collection, Mapping
from importlib.metadata import packages_distributions
from importlib.metadata import version as installed
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import pandas as pd

from retrim.adapters.exhibits import Exhibits
from retrim.features.view import FeatureView
from retrim.files import read_folder, write_folder
from retrim.stats.codec import digest_of
from retrim.table.derived_columns import CalendarFeatures
from retrim.table.reading import CalendarPart
from retrim.training.bundle import SETTINGS
from retrim.training.estimators import CODE_FILE

if TYPE_CHECKING:
    from mlflow.models import ModelSignature

CODE = Path(__file__).with_name("mlflow_model.py")
NEEDED = ("lightgbm", "mlflow", "numpy", "pandas", "pyarrow", "pydantic", "scikit-learn", "scipy", "threadpoolctl")
"""What predicting imports. Fitting alone imports optuna, and holidays: the bundle keeps those it saw."""
ARTIFACT = "artifacts/bundle"
OWN = "retrim"
OWN_IMPORT = re.compile(rf"(?m)^(\s*(?:from|import) ){OWN}(?=[.\s])")


def scoring_code() -> tuple[str, dict[str, bytes]]:
    """Our modules that predicting takes, as a package of another name: no retrim that is installed is in its way.

    The name ends in a digest of the code, so that models made by several versions of retrim load in one process.

    Returns:
        Name of the package, and files by path: `mlflow_model.py`, which MLflow runs, and those of the package.
    """
    entry = f"{OWN}.adapters.{CODE.stem}"
    sources: dict[str, Path] = {}
    ahead = {entry}
    while ahead:
        module = ahead.pop()
        path = _source_of(module)
        if path is not None and module not in sources:
            sources[module] = path
            ahead |= {name for name in _imports(path) if name.startswith(f"{OWN}.")}
    texts = {module: path.read_text(encoding="utf-8") for module, path in sorted(sources.items())}
    package = f"{OWN}_model_{digest_of(texts)[:12]}"
    renamed = {module: OWN_IMPORT.sub(rf"\1{package}", text).encode() for module, text in texts.items()}
    files = {CODE.name: renamed.pop(entry)}
    for module, content in renamed.items():
        folders = [package, *module.split(".")[1:]]
        for depth in range(1, len(folders)):
            files.setdefault("/".join([*folders[:depth], "__init__.py"]), b"")
        whole = sources[module].name == "__init__.py"
        files["/".join([*folders, "__init__.py"]) if whole else "/".join(folders) + ".py"] = content
    return package, files


def _source_of(module: str) -> Path | None:
    """The file of a module of ours; None: a name in one."""
    path = CODE.parents[1].joinpath(*module.split(".")[1:])
    return next((file for file in (path.with_suffix(".py"), path / "__init__.py") if file.is_file()), None)


def _imports(path: Path) -> set[str]:
    """Modules that a file imports, within functions too, and names in them; not those for type checkers alone."""
    names: set[str] = set()
    ahead: list[ast.AST] = [ast.parse(path.read_bytes())]
    while ahead:
        node = ahead.pop()
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            continue
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
        ahead += ast.iter_child_nodes(node)
    return names


def save_model(
    folder: Path,
    predicting: Path,
    view: FeatureView,
    example: pd.DataFrame,
    computed_before: Collection[str] = (),
    calendar: CalendarFeatures | None = None,
) -> None:
    """Writes a model to `folder`, with the code that predicts: it loads where retrim is not installed."""
    import mlflow
    from mlflow.models import Model

    columns = _needed(view, calendar)
    rows = (example if calendar is None else example.assign(**{calendar.time: example["_event"]}))[list(columns)]
    times = [name for name, kind in columns.items() if kind == "time"]
    rows = rows.assign(**{name: rows[name].dt.tz_convert(None) for name in times})  # MLflow takes no others
    needed = sorted({*NEEDED, *needed_by_own(predicting)})
    package, code = scoring_code()
    with TemporaryDirectory(prefix="retrim-code-", dir=folder.parent) as temporary:
        entry = code.pop(CODE.name)
        write_folder(Path(temporary) / "code", code)
        mlflow.pyfunc.save_model(
            path=str(folder),
            python_model=str(CODE),  # run when it is saved, where its package is not there under its own name
            code_paths=[f"{temporary}/code/{package}"],
            signature=_signature(view, columns),
            input_example=rows,
            pip_requirements=[f"{name}=={installed(name)}" for name in needed],
            metadata={"columns": columns, "computed_before": [name for name in columns if name in computed_before]},
        )
    (folder / CODE.name).write_bytes(entry)
    record = Model.load(str(folder))
    python = record.flavors["python_function"]
    python["model_code_path"] = CODE.name  # MLflow loads by this name from the folder; where we had it concerns nobody
    # MLflow would copy them by way of the system's temporary folder, where a kill leaves them.
    record.model_size_bytes = (record.model_size_bytes or 0) + sum(map(len, read_folder(predicting).values()))
    (folder / "artifacts").mkdir()
    predicting.rename(folder / ARTIFACT)
    python["artifacts"] = {"bundle": {"path": ARTIFACT, "uri": ARTIFACT}}
    record.save(str(folder / "MLmodel"))


def needed_by_own(predicting: Path) -> set[str]:
    """Distributions that the file of a custom model imports."""
    modules = {name.split(".")[0] for code in predicting.rglob(CODE_FILE) for name in _imports(code)}
    if not modules:  # no custom model: every distribution here need not be read
        return set()
    by_module = packages_distributions()
    return {name for module in modules for name in by_module.get(module, ())}


def _signature(view: FeatureView, columns: Mapping[str, str]) -> "ModelSignature":
    """Features in, predictions out; a time is in UTC.

    Any feature may be missing. MLflow's long takes no missing value and its double no int64, so an integer column is of
    any type here; `metadata` of the model says what each column is.
    """
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, DataType, Schema, TensorSpec
    from mlflow.types.schema import AnyType

    kinds: dict[str, DataType | AnyType] = {
        "number": DataType.double,
        "integer": AnyType(),  # type: ignore[no-untyped-call]
        "category": DataType.string,
        "time": DataType.datetime,
    }
    given: list[ColSpec | TensorSpec] = [ColSpec(kinds[kind], name) for name, kind in columns.items()]
    if view.task == "multiclass":
        given_back: list[ColSpec | TensorSpec] = [ColSpec(DataType.double, name) for name in view.classes]
        return ModelSignature(Schema(given), Schema(given_back))
    return ModelSignature(Schema(given), Schema([ColSpec(DataType.double)]))


def _needed(view: FeatureView, calendar: CalendarFeatures | None) -> dict[str, str]:
    """Names and types of the columns that rows must have; the event's time is one where something is made of it."""
    if calendar is None:
        return dict(view.needs)
    given: dict[str, str] = {name: kind for name, kind in view.needs.items() if name not in calendar.parts}
    return {**given, calendar.time: "time"}


def calendar_of(shown: Exhibits, example: pd.DataFrame) -> CalendarFeatures | None:
    """The features of a bundle that landing makes of the event's time; None: none."""
    settings = shown.optional(SETTINGS) or {}
    if "reading" not in settings or "_event" not in example:
        return None
    reading = settings["reading"]
    time = next(name for name, column in settings["data"]["columns"].items() if column["role"] == "time")
    calendar: dict[str, CalendarPart] = reading["calendar"]
    parts = {name: part for name, part in calendar.items() if name in shown.view.needs}
    return CalendarFeatures(time, reading["zone"], parts) if parts else None
