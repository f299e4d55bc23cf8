"""A registered model loads from its own folder alone, where there is no retrim, and predicts the same to the bit."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from urllib.error import URLError
from urllib.request import Request, urlopen

import pandas as pd
import pytest
from mlflow.models import Model

from retrim.adapters.exhibits import Exhibits
from retrim.adapters.mlflow_package import needed_by_own, scoring_code
from retrim.adapters.mlflow_registry import ModelRegistry
from retrim.adapters.prefect_server import free_port
from retrim.files import read_folder
from retrim.training.bundle import load_predictor
from retrim.training.estimators import CODE_FILE
from tests.adapters.test_registry import LINEAGE, make_bundle, make_rows, publish
from tests.builders.world import REPOSITORY

pytestmark = pytest.mark.slow
DEADLINE_SECONDS = 300
ALONE = """
import json, sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("retrim", "optuna", "prefect", "dvc", "great_expectations"):
            raise ModuleNotFoundError(name)

sys.meta_path.insert(0, Absent())
import mlflow, pandas
answers = []
for table in json.loads(sys.argv[2]):
    rows = pandas.DataFrame(table)
    if "at" in rows:
        rows["at"] = pandas.to_datetime(rows["at"])
    predicted = mlflow.pyfunc.load_model(sys.argv[1]).predict(rows)
    answers.append([float(each).hex() for each in predicted])
print(json.dumps(answers))
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The published model, copied to where it was never made."""
    root = tmp_path_factory.mktemp("alone")
    registry = ModelRegistry(f"sqlite:///{root}/var/mlflow.db", str(root / "var" / "mlflow"), "m")
    bundle = make_bundle(root / "bundle", "regression", seed=0)
    parent = registry.open_run("run-1", "m as of 2024-02-01", {})
    publish(registry, parent, bundle, "bundle-1")
    (made,) = (root / "var" / "mlflow").rglob("MLmodel")
    shutil.copytree(made.parent, root / "elsewhere" / "model")
    shutil.rmtree(root / "var")
    return root / "elsewhere" / "model"


def predicted_alone(folder: Path, *tables: pd.DataFrame) -> list[list[str]]:
    """What the folder predicts of each table, to the bit, where retrim and its other tools cannot be imported."""
    content = json.dumps([rows.to_dict("list") for rows in tables])
    done = subprocess.run(
        [sys.executable, "-I", "-B", "-c", ALONE, str(folder), content], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return list(json.loads(done.stdout.splitlines()[-1]))


def answers(address: str) -> bool:
    try:
        with urlopen(address, timeout=5) as answer:
            return bool(answer.status == 200)
    except (URLError, OSError):
        return False


def predicted_here(folder: Path, rows: pd.DataFrame) -> list[str]:
    predictor = load_predictor(read_folder(folder.parent.parent / "bundle"))
    return [float(each).hex() for each in predictor.predict(rows)]


def test_predicts_where_retrim_is_not_installed_also_of_integers_and_missing_ones(folder: Path) -> None:
    rows = make_rows("regression").iloc[200:][["x", "n", "place"]]
    integers = rows.astype({"n": "int64"})
    tables = [rows, integers, integers.assign(n=rows["n"].astype("float64").mask(rows["n"] > 7))]

    assert predicted_alone(folder, *tables) == [predicted_here(folder, table) for table in tables]


def publish_with_calendar(folder: Path) -> tuple[Path, Path, pd.DataFrame]:
    """The published model of a bundle whose `n` is the hour of `at` in Berlin, its bundle, and rows with events."""
    registry = ModelRegistry(f"sqlite:///{folder}/var/mlflow.db", str(folder / "var" / "mlflow"), "m")
    bundle = make_bundle(folder / "bundle", "regression", seed=0)
    settings = {
        "data": {"columns": {"at": {"role": "time"}, "n": {"role": "feature"}}},
        "reading": {"calendar": {"n": "hour", "not_a_feature": "month"}, "zone": "Europe/Berlin"},
    }
    (bundle / "settings.json").write_text(json.dumps(Exhibits(bundle).read("settings.json") | settings))
    given = make_rows("regression").iloc[200:]
    times = pd.date_range("2026-03-28 21:00", periods=len(given), freq="h", tz="UTC")  # over a change of clocks
    given = given.assign(_event=times)
    parent = registry.open_run("run-1", "m as of 2024-02-01", {})
    registry.publish(parent, bundle, bundle_id="bundle-1", lineage=LINEAGE, params={}, example=given.head(3))
    (made,) = (folder / "var" / "mlflow").rglob("MLmodel")
    return made.parent, bundle, given


def test_makes_parts_of_the_calendar_of_the_events_time(tmp_path: Path) -> None:
    model, bundle, rows = publish_with_calendar(tmp_path)
    given = rows[["x", "place"]].assign(at=rows["_event"].dt.tz_convert(None).astype("str"))
    hours = rows["_event"].dt.tz_convert("Europe/Berlin").dt.hour.to_numpy(dtype="float64")
    own = load_predictor(read_folder(bundle)).predict(rows[["x", "n", "place"]].assign(n=hours))

    assert Model.load(str(model)).metadata["columns"] == {"x": "number", "place": "category", "at": "time"}
    assert predicted_alone(model, given) == [[float(each).hex() for each in own]]


@contextmanager
def serving(command: list[str], port: int, variables: Mapping[str, str]) -> Iterator["subprocess.Popen[bytes]"]:
    """A server of the model, once it answers."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])  # uvicorn is started by name
    with subprocess.Popen(command, env={**os.environ, **variables, "PATH": path}, start_new_session=True) as process:
        try:
            deadline = time.monotonic() + DEADLINE_SECONDS
            while process.poll() is None and not answers(f"http://127.0.0.1:{port}/ping"):
                assert time.monotonic() < deadline
                time.sleep(0.2)
            yield process
        finally:
            os.killpg(process.pid, signal.SIGTERM)


def told_by_server(port: int, rows: pd.DataFrame) -> list[str]:
    content = json.dumps({"dataframe_split": rows.to_dict("split")}).encode()
    asked = Request(f"http://127.0.0.1:{port}/invocations", content, {"Content-Type": "application/json"})
    with urlopen(asked, timeout=60) as answer:
        return [float(each).hex() for each in json.load(answer)["predictions"]]


@pytest.mark.server
def test_is_served_by_mlflow(folder: Path) -> None:
    rows, port = make_rows("regression").iloc[200:205][["x", "n", "place"]], free_port()
    command = [sys.executable, "-m", "mlflow", "models", "serve", "-m", str(folder), "-p", str(port)]
    with serving([*command, "--env-manager", "local", "-h", "127.0.0.1"], port, {}):
        told = told_by_server(port, rows)

    assert told == predicted_here(folder, rows)


@pytest.mark.server
def test_the_first_process_of_an_image_serves_it_and_hears_that_it_has_to_stop(folder: Path) -> None:
    recipe = (REPOSITORY / "deploy" / "Containerfile").read_text(encoding="utf-8").partition("AS version\n")[2]
    entry = re.search(r"ENTRYPOINT (.*)", recipe)
    assert entry is not None
    command = [{"/model": str(folder), "0.0.0.0": "127.0.0.1"}.get(word, word) for word in json.loads(entry[1])]  # noqa: S104
    variables = re.findall(r"(?m)^ENV (\w+)=/model$", recipe)
    rows, port = make_rows("regression").iloc[200:205][["x", "n", "place"]], free_port()
    with serving([*command, "--port", str(port)], port, dict.fromkeys(variables, str(folder))) as process:
        told = told_by_server(port, rows)
        caught = re.search(r"SigCgt:\s*(\w+)", Path(f"/proc/{process.pid}/status").read_text(encoding="ascii"))

    assert told == predicted_here(folder, rows)
    # The kernel drops a signal to the first process of a container that has no handler for it.
    assert caught is not None
    assert int(caught[1], 16) >> (signal.SIGTERM - 1) & 1


def test_says_what_its_columns_are_and_which_are_computed_before(folder: Path) -> None:
    record = Model.load(str(folder))

    assert record.metadata == {
        "columns": {"x": "number", "n": "integer", "place": "category"},
        "computed_before": [],
    }


def test_asks_for_no_tool_that_predicting_does_not_need(folder: Path) -> None:
    named = {line.split("==")[0] for line in (folder / "requirements.txt").read_text(encoding="utf-8").splitlines()}

    assert {"lightgbm", "mlflow", "numpy", "pandas"} <= named
    assert not named & {"retrim", "optuna", "prefect", "dvc", "great-expectations", "alembic", "sqlalchemy"}


def test_holds_no_module_that_reads_a_workspace() -> None:
    _, files = scoring_code()
    folders = {Path(name).parts[1] for name in files if name.count("/") > 1}

    assert folders == {"features", "stats", "table", "training"}


def test_asks_for_what_the_file_of_a_custom_model_imports(tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / CODE_FILE).write_text("import json\nimport sklearn.linear_model\nfrom skops import io\n")

    assert needed_by_own(tmp_path) == {"scikit-learn", "skops"}
