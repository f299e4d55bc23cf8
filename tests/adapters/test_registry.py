"""MLflow, met for real: one SQLite store for the whole module, because its first use takes seconds."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from html.parser import HTMLParser
from itertools import product
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from markdown_it import MarkdownIt

from retrim.adapters.exhibits import Exhibits
from retrim.adapters.mlflow_registry import ModelRegistry
from retrim.decision.release_checks import ReleaseChecks
from retrim.errors import BadInputError, RetrimError, UnknownNameError
from retrim.features.view import FeatureView
from retrim.files import read_folder, write_folder
from retrim.gate.verdict import VerdictRecord
from retrim.stats.codec import from_record, to_json, to_parquet, to_record
from retrim.table.data import DataParams
from retrim.training.recipe import Recipe, fit_recipe
from retrim.training.tuning import Trial

pytestmark = pytest.mark.slow
LINEAGE = {"snapshot": "a" * 40, "raw_digest": "b" * 64, "dvc_lock": "c" * 64, "row_order": "d" * 64, "seed": 7}
TEXT = {".json", ".txt", ".yaml", ".py", ""}
HOSTILE = [
    "<img src=x onerror=alert(1)>",
    "[see](javascript:alert(1))",
    "](javascript:alert(1))",
    "![p](http://a.example/p.png)",
    "http://a.example",
    "a|b|c",
    "`code` ``` ~~~",
    "line\n\n# heading\n- item\n<script>alert(1)</script>",
    "**bold** _em_ \\* &lt;b&gt;",
    "[x]: http://a.example",
]
PICKLE_START = (b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")
TRIALS = [Trial(n, {"num_leaves": 7 + n}, (3.0 - n, 5.0), (20, 30)) for n in range(3)]


def column(kind: str, role: str = "feature") -> dict[str, str]:
    return {"type": kind, "role": role}


def make_rows(task: str) -> pd.DataFrame:
    draw = np.random.default_rng(5)
    x, n = draw.normal(size=240), draw.integers(0, 9, 240)
    place = pd.Series(draw.choice(["north", "south"], 240), dtype="str")
    y = 3 * x + n + 5 * (place == "south")
    classes = pd.cut(y, 3, labels=["a", "b", "c"]).astype("str")
    return pd.DataFrame({"x": x, "n": n.astype(float), "place": place, "y": classes if task == "multiclass" else y})


def make_bundle(folder: Path, task: str, *, seed: int, promote: bool = True) -> Path:
    """A small bundle as the stages write one; `seed` tells one from another."""
    columns = {
        "at": column("time", "time"),
        "x": column("number"),
        "n": column("integer"),
        "place": column("category"),
        "y": column("category" if task == "multiclass" else "number", "target"),
    }
    told = {"model": "m", "columns": columns, "key": ["at"], "task": task, "positive": None, "labels": "with_rows"}
    told |= {"label_horizon": "1h", "batch_every": "1d", "times_ahead": "1h", "suite": "none.json"}
    told["rows"] = {"where": []}
    told["history"] = {"entity": [], "ahead": None, "known_ahead": [], "features": []}
    rows = make_rows(task)
    view = FeatureView.learn(rows, DataParams.model_validate(told))
    loss = "log_loss" if task == "multiclass" else "mae"
    recipe = Recipe("gbm", loss, {"num_leaves": 7, "lambda_l2": 0.1 + seed}, 12, seed)
    model = fit_recipe(recipe, view, rows.iloc[:200], threads=1)
    judged = rows.iloc[200:]
    predicted = model.predict(view.matrix(judged))
    said = {"all": predicted} if predicted.ndim == 1 else {f"all_{k}": predicted[:, k] for k in range(3)}
    start, end = "2024-01-01T00:00:00+00:00", "2024-02-01T00:00:00+00:00"
    split = {"rows": {"train": 200, "judge": 40}, "used_until": start, "judged_from": start, "judged_until": end}
    check = {"name": "baseline: last value", "passed": promote, "figure": 0.4, "threshold": 0.0, "text": "gain 40.0%"}
    verdict = {"winner": "all", "promote": promote, "reason": "gain 40.0%", "checks": [check], "rows": 40}
    verdict["losses"] = {"all": 1.5 + seed, "last_value": 2.5}
    verdict["metrics"] = {"all": {loss: 1.5, "r2": 0.9, "pinball@0.9": 0.3}}
    origins = [{"start": start, "end": end, "rows": 9, "losses": {"all": 2.0 - k}} for k in range(2)]
    fit = {"recipe": to_record(recipe), "rows": 200, "from": start, "until": end, "window": "all"}
    fit["gains"] = dict(zip(view.features, [float(gain) for gain in model.gains()], strict=True))
    tuned = {"hyperparameters": recipe.hyperparameters, "rounds": 12, "importance": {"num_leaves": 0.8, "x": 0.2}}
    records = {
        "format.json": {"kind": "retrim bundle", "format": 1},
        "features/view.json": view.as_record(),
        "features/split.json": split | {"row_order": "d" * 64},
        "tuning/hyperparameters.json": tuned,
        "tuning/trials.json": [to_record(trial) for trial in TRIALS],
        "models/all/fit.json": fit,
        "backtest/backtest.json": {"loss": loss, "origins": origins},
        "verdict/verdict.json": verdict,
        "verdict/slices.json": {"loss": loss, "slices": []},
        "validation/report.json": {"rows": 240},
        "settings.json": {
            "gate": {"min_gain": 0.01, "baselines": ["mean"], "half_life": None},
            "card": {"purpose": "we"},
        },
    }
    files = {name: to_json(record) for name, record in records.items()}
    files |= {f"models/all/{name}": content for name, content in model.files().items()}
    files["verdict/judged.parquet"] = to_parquet(
        pd.DataFrame({"_event": pd.date_range(start, end, periods=40), "actual": view.actual(judged), **said})
    )
    write_folder(folder, files)
    return folder


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """A store with one published version, made from an empty working folder."""
    root = tmp_path_factory.mktemp("registry")
    cwd = root / "cwd"
    cwd.mkdir()
    before = Path.cwd()
    os.chdir(cwd)
    try:
        registry = ModelRegistry(f"sqlite:///{root}/var/mlflow.db", str(root / "var" / "mlflow"), "m")
        bundle = make_bundle(root / "bundle", "regression", seed=0)
        parent = registry.open_run("run-1", "m as of 2024-02-01", {"retrim.mode": "search"})
        known = registry.log_trials(parent, TRIALS, None)
        version = publish(registry, parent, bundle, "bundle-1")
        registry.finish(parent, "FINISHED")
        registry.set_alias("champion", version)
        predicted = registry.load("champion").predict(features("regression"))
    finally:
        os.chdir(before)
    return SimpleNamespace(**{name: value for name, value in locals().items() if name != "tmp_path_factory"})


def features(task: str) -> pd.DataFrame:
    return make_rows(task).iloc[200:][["x", "n", "place"]]


def publish(registry: ModelRegistry, parent: str, bundle: Path, bundle_id: str, **params: str) -> int:
    return registry.publish(
        parent,
        bundle,
        bundle_id=bundle_id,
        lineage=LINEAGE,
        params={"mode": "search", **params},
        example=make_rows(Exhibits(bundle).read("features/view.json")["task"]).head(3),
    )


def run_of(made: SimpleNamespace, parent: str):
    return made.registry.client.get_run(parent)


def children(registry: ModelRegistry, parent: str) -> list[tuple[str, str]]:
    found = registry._search(f"tags.`mlflow.parentRunId` = '{parent}'")
    return sorted((run.data.tags["retrim.trial"], run.info.status) for run in found)


class TestAPublishedVersion:
    def test_predicts_what_its_bundle_predicts(self, made) -> None:
        from retrim.training.bundle import load_predictor

        own = load_predictor(read_folder(made.bundle)).predict(features("regression"))

        np.testing.assert_array_equal(made.predicted, own)

    def test_loads_in_another_process_by_its_models_address_without_unpickling(self, made) -> None:
        features("regression").to_csv(made.root / "rows.csv", index=False)
        code = (
            "import sys, mlflow, pandas\n"
            f"mlflow.set_tracking_uri({made.registry.tracking_url!r})\n"
            "for name in ('pickle', 'cloudpickle'):\n"
            "    module = __import__(name)\n"
            "    module.load = module.loads = None\n"
            "model = mlflow.pyfunc.load_model('models:/m@champion')\n"
            f"print(*map(repr, map(float, model.predict(pandas.read_csv({str(made.root / 'rows.csv')!r})))))\n"
        )
        environment = os.environ | {"MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
        environment["PYTHONPATH"] = str(Path(__file__).parents[2] / "src")
        environment["PYTHONDONTWRITEBYTECODE"] = "1"  # Python would put it beside the stored code
        run = subprocess.run(
            [sys.executable, "-c", code], cwd=made.cwd, env=environment, capture_output=True, text=True, check=False
        )

        assert [float(word) for word in run.stdout.split()] == pytest.approx(made.predicted), run.stderr

    def test_takes_missing_values(self, made) -> None:
        rows = features("regression")
        rows.loc[rows.index[0], ["x", "n", "place"]] = np.nan

        assert np.isfinite(made.registry.load(1).predict(rows)).all()

    def test_keeps_the_very_bytes_of_its_bundle(self, made) -> None:
        assert read_folder(made.registry.bundle_folder(made.version)) == read_folder(made.bundle)

    def test_finds_its_bundle_by_its_run_without_mlflow(self, made, monkeypatch) -> None:
        found = made.registry.bundle_folder(made.version)
        elsewhere = ModelRegistry(made.registry.tracking_url, str(made.root / "moved"), made.registry.model)
        with monkeypatch.context() as patch:
            patch.setattr(ModelRegistry, "run_of", None)

            assert made.registry.bundle_folder(made.version, run=made.parent) == found.resolve()

        assert elsewhere.bundle_folder(made.version, run=made.parent) == found
        assert made.registry.bundle_folder(made.version, run="unknown") == found

    def test_has_nothing_pickled_and_names_no_place_of_this_machine(self, made) -> None:
        files = [path for path in (made.root / "var" / "mlflow").rglob("*") if path.is_file()]
        odd = [path.name for path in files if path.suffix not in TEXT | {".png", ".parquet"}]
        pickled = [path.name for path in files if path.read_bytes().startswith(PICKLE_START)]
        binary = [path.name for path in files if path.suffix in TEXT and "\0" in path.read_text("utf-8")]
        places = (str(made.root).encode(), str(Path(__file__).parents[2]).encode())
        named = {path.name for path in files if any(place in path.read_bytes() for place in places)}

        assert len(files) > 15
        assert (odd, pickled, binary) == ([], [], [])
        assert named <= {"registered_model_meta"}

    def test_asks_for_nothing_that_is_not_locked(self, made) -> None:
        lock = (Path(__file__).parents[2] / "requirements.lock").read_text("utf-8").splitlines()
        locked = {line.split(" ")[0] for line in lock if "==" in line}
        model = made.root / f"var/mlflow/m/{made.parent}/artifacts/model"
        asked = (model / "requirements.txt").read_text("utf-8").split()

        assert set(asked) <= locked

    def test_is_tagged_with_bundle_run_and_verdict(self, made) -> None:
        version = made.registry.versions()[0]

        assert (version.number, version.tags, version.run) == (
            1,
            {"bundle": "bundle-1", "run": "run-1", "verdict": "passed the gate"},
            made.parent,
        )


PARAMS = {"num_leaves": "7", "mode": "search", "window": "all", "rows.judged": "40", "rounds": "12"}
STATED = {"gate.min_gain": "0.01", "gate.baselines": '["mean"]', "gate.half_life": "null", "card.purpose": "we"}
FIGURES = {
    "judging_loss": 1.5,
    "judging_loss/all": 1.5,
    "judging_loss/last_value": 2.5,
    "judged/r2": 0.9,
    "judged/pinball_0.9": 0.3,
    "gate/baseline_last_value": 0.4,
}
PICTURES = "calibration hyperparameter_importance importance loss_over_folds predicted_against_actual residuals"
FINISHED = [("0", "FINISHED"), ("1", "FINISHED"), ("2", "FINISHED")]


class TestTheRun:
    def test_has_hyperparameters_settings_and_the_figures_of_every_model(self, made) -> None:
        data = run_of(made, made.parent).data
        history = made.registry.client.get_metric_history(made.parent, "backtest_loss/all")

        assert {name: data.params[name] for name in PARAMS} == PARAMS
        assert {name: text for name, text in data.params.items() if name.startswith(("gate.", "card."))} == STATED
        assert {name: data.metrics[name] for name in FIGURES} == FIGURES
        assert [(point.step, point.value) for point in history] == [(0, 2.0), (1, 1.0)]

    def test_has_its_pictures_lineage_and_a_finished_child_a_trial(self, made) -> None:
        names = {item.path for item in made.registry.client.list_artifacts(made.parent, "pictures")}
        lineage = made.root / f"var/mlflow/m/{made.parent}/artifacts/lineage.json"
        tags = run_of(made, made.parent).data.tags

        assert names == {f"pictures/{stem}.png" for stem in PICTURES.split()}
        assert json.loads(lineage.read_bytes()) == LINEAGE
        assert [tags[f"lineage.{name}"] for name in ("snapshot", "dvc_lock", "seed")] == ["a" * 12, "c" * 12, "7"]
        assert made.known == {0, 1, 2}
        assert children(made.registry, made.parent) == FINISHED
        assert list(made.cwd.iterdir()) == []  # nothing is written into the working folder


def test_publishing_twice_registers_one_version_and_logs_each_figure_once(made) -> None:
    before = made.registry.client.get_metric_history(made.parent, "judging_loss")
    again = publish(made.registry, made.parent, made.bundle, "bundle-1")

    assert again == made.version
    assert len(made.registry.client.get_metric_history(made.parent, "judging_loss")) == len(before) == 1


KILLS = [  # just after the n-th call of each, and before the first of all
    ("create_run", -1),
    *(("log_batch", place) for place in (0, 3, 4)),  # a trial, parameters, metrics
    *(("set_tag", place) for place in (0, 1, 8, 9)),  # bundle, lineage, what the UI shows, the mark of the end
    *(("log_artifacts", place) for place in range(2)),  # model and pictures, bundle
    *((step, 0) for step in ("create_run", "set_terminated", "log_inputs")),
    *((step, 0) for step in ("create_registered_model", "create_model_version")),
]


class TestAPublishKilledHalfWay:
    @pytest.mark.parametrize(("step", "place"), KILLS)
    def test_goes_on_to_one_version(self, made, monkeypatch, step: str, place: int) -> None:
        name = f"killed-{step}-{place}"
        registry = ModelRegistry(made.registry.tracking_url, made.registry.artifacts, name)
        parent = registry.open_run(name, name, {})
        real, calls = getattr(registry.client, step), []

        def die(*arguments, **named):
            calls.append(step)
            made_by_mlflow = real(*arguments, **named) if place >= 0 else None
            if len(calls) > place:
                raise KeyboardInterrupt
            return made_by_mlflow

        with monkeypatch.context() as patch:
            patch.setattr(registry.client, step, die)
            with pytest.raises(KeyboardInterrupt):
                publish(registry, parent, made.bundle, name)
        again = registry.open_run(name, name, {})
        version = publish(registry, again, made.bundle, name)

        assert again == parent
        assert [each.number for each in registry.versions() if each.tags["bundle"] == name] == [version]
        assert children(registry, parent) == FINISHED
        assert len(registry.client.get_metric_history(parent, "backtest_loss/all")) == 2
        assert read_folder(registry.bundle_folder(version)) == read_folder(made.bundle)


def test_publishing_lays_no_file_in_the_temporary_folder_of_the_system(made, tmp_path, monkeypatch) -> None:
    remove = shutil.rmtree

    def remove_elsewhere(path, *given, **named) -> None:
        if not Path(path).is_relative_to(tmp_path):
            remove(path, *given, **named)

    parent = made.registry.open_run("run-no-tmp", "m", {})
    with monkeypatch.context() as patch:
        patch.setattr(tempfile, "tempdir", str(tmp_path))
        patch.setattr(shutil, "rmtree", remove_elsewhere)  # as if it had been killed
        version = publish(made.registry, parent, made.bundle, "no-tmp-1")

    assert read_folder(made.registry.bundle_folder(version)) == read_folder(made.bundle)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
    assert [path.name for path in made.bundle.parent.iterdir() if path.name.startswith("retrim-")] == []


def test_another_bundle_on_the_run_of_a_killed_attempt_takes_the_place_of_the_first(made) -> None:
    parent = made.registry.open_run("run-edited", "m", {})
    wider = make_bundle(made.root / "wider", "regression", seed=0)
    (wider / "models" / "all" / "extra.txt").write_text("of a window that was taken out", encoding="utf-8")
    publish(made.registry, parent, wider, "edited-1")
    other = make_bundle(made.root / "other", "regression", seed=3, promote=False)
    version = publish(made.registry, parent, other, "edited-2")
    data = run_of(made, parent).data
    (stored,) = (stored for stored in made.registry.versions() if stored.number == version)

    assert version == made.registry._published("edited-2")
    assert (data.params["lambda_l2"], data.params["lambda_l2.2"]) == ("0.1", "3.1")
    assert data.metrics["judging_loss"] == 4.5
    assert read_folder(made.registry.bundle_folder(version)) == read_folder(other)
    assert (stored.tags["verdict"], stored.aliases) == ("refused by the gate", ())


def test_trials_that_a_kill_left_half_written_or_with_other_figures_are_written_anew(made) -> None:
    parent = made.registry.open_run("run-torn", "m", {})
    tags = {"mlflow.parentRunId": parent, "retrim.trial": "1"}
    made.registry.client.create_run(made.registry.experiment, run_name="trial 001", tags=tags)
    other = [Trial(0, {"num_leaves": 99}, (1.0,), (5,)), Trial(2, {"learning rate %": 3}, (1.0,), (5,))]
    made.registry.log_trials(parent, other, {1})
    runs = made.registry._search(f"tags.`mlflow.parentRunId` = '{parent}'")
    assert {"learning_rate_": "3"} in [run.data.params for run in runs]  # of a custom model, which names it at will

    made.registry.log_trials(parent, TRIALS, None)

    runs = made.registry._search(f"tags.`mlflow.parentRunId` = '{parent}'")
    assert children(made.registry, parent) == FINISHED
    assert sorted(run.data.params["num_leaves"] for run in runs) == ["7", "8", "9"]


def test_a_multiclass_model_gives_a_column_a_class(made) -> None:
    registry = ModelRegistry(made.registry.tracking_url, made.registry.artifacts, "classes")
    bundle = make_bundle(made.root / "classes", "multiclass", seed=0)
    version = publish(registry, registry.open_run("run-classes", "classes", {}), bundle, "classes-1")

    assert list(registry.load(version).predict(features("multiclass")).columns) == ["a", "b", "c"]


def test_aliases_move_are_shown_with_their_version_and_are_dropped_once(made) -> None:
    other = publish(made.registry, made.parent, made.bundle, "moved-to")
    for version in (1, other, 1):
        made.registry.set_alias("challenger", version)
    assert made.registry.aliases()["challenger"] == 1
    assert "challenger" in made.registry.versions()[0].aliases

    for _ in range(2):
        made.registry.drop_alias("challenger")
    assert "challenger" not in made.registry.aliases()


def test_an_alias_or_version_that_is_not_there_is_named_with_those_that_are(made) -> None:
    with pytest.raises(BadInputError, match="version 999; name one of: 1"):
        made.registry.set_alias("champion", 999)
    with pytest.raises(UnknownNameError, match=r"'champoin'.*'champion'"):
        made.registry.load("champoin")


class TestWhatIsMissing:
    def test_a_model_without_versions_has_none(self, made) -> None:
        empty = ModelRegistry(made.registry.tracking_url, made.registry.artifacts, "nothing")

        assert (empty.versions(), empty.aliases()) == ([], {})

    def test_a_bundle_that_lost_a_file_is_no_bundle(self, made) -> None:
        bundle = make_bundle(made.root / "torn", "regression", seed=0)
        (bundle / "backtest" / "backtest.json").unlink()

        with pytest.raises(BadInputError, match=r"torn .*backtest/backtest\.json"):
            publish(made.registry, made.registry.open_run("run-lost", "m", {}), bundle, "lost")

    def test_a_stored_bundle_that_is_gone_is_said_to_be(self, made) -> None:
        registry = ModelRegistry(made.registry.tracking_url, made.registry.artifacts, "gone")
        version = publish(registry, registry.open_run("run-gone", "gone", {}), made.bundle, "gone-1")
        folder = registry.bundle_folder(version)
        folder.rename(folder.with_name("away"))

        with pytest.raises(RetrimError, match=r"version 1 is incomplete .*; restore"):
            registry.bundle_folder(version)

    def test_a_file_that_is_no_database_is_said_to_be_none(self, made) -> None:
        (made.root / "odd.db").write_text("no database" * 100)
        url = f"sqlite:///{made.root}/odd.db"

        with pytest.raises(RetrimError, match=r"odd\.db .*database"):
            ModelRegistry(url, made.registry.artifacts, "m").versions()

    def test_a_server_that_is_not_there_is_said_to_be_without_its_password(self, monkeypatch) -> None:
        monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
        with pytest.raises(RetrimError, match=r"127\.0\.0\.1:9") as raised:
            ModelRegistry("http://someone:secret@127.0.0.1:9", "var", "m").versions()

        assert "secret" not in str(raised.value)


def test_hostile_values_are_text_in_the_notes_of_run_and_version(made, tmp_path) -> None:
    bundle = make_bundle(tmp_path / "bundle", "regression", seed=3)
    file = bundle / "verdict" / "verdict.json"
    verdict = json.loads(file.read_bytes())
    failed = {**verdict["checks"][0], "passed": False}
    checks = [
        failed | {"name": f"check {n}", "text": f"slice place={value} is worse"} for n, value in enumerate(HOSTILE)
    ]
    verdict |= {"checks": checks, "notes": HOSTILE, "detectable": {"gain": 0.1, "text": " and ".join(HOSTILE)}}
    file.write_bytes(to_json(verdict))
    parent = made.registry.open_run("hostile", "hostile", {})
    number = publish(made.registry, parent, bundle, "hostile")
    plain = made.registry.client.get_model_version("m", str(number)).description
    made.registry.add_to_note(
        parent, number, from_record(VerdictRecord, verdict), from_record(ReleaseChecks, {"checks": checks})
    )
    notes = [
        plain,
        run_of(made, parent).data.tags["mlflow.note.content"],
        made.registry.client.get_model_version("m", str(number)).description,
    ]
    pages = [Page(note) for note in notes]

    assert set().union(*(page.tags for page in pages)) == {"p", "ul", "li", "strong", "code"}
    assert {page.codes for page in pages} == {1}  # `retrim versions card`, in the sentence about the model card
    plain_values = [" ".join(value.split()) for value in HOSTILE]
    for page, value in product(pages, plain_values):
        assert page.text.count(value) >= 3 * sum(value in other for other in plain_values), value


class Page(HTMLParser):
    """What a browser gets of a note: MLflow shows it as Markdown, with tables and links that are found."""

    def __init__(self, note: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.text, self.codes = "", 0
        self.feed(MarkdownIt("gfm-like", {"html": True, "linkify": False}).render(note))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert attrs == []
        self.tags.add(tag)
        self.codes += tag == "code"

    def handle_data(self, data: str) -> None:
        self.text += data
