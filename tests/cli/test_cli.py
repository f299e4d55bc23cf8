"""The command line without a server: help, exit codes, errors, JSON, and what is not imported."""

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import typer

import retrim
from retrim.cli.base import PANELS
from retrim.cli.main import app, main
from retrim.yaml_files import dump_yaml, load_yaml
from tests.builders.world import World, make_world

HEAVY = {"prefect", "mlflow", "great_expectations", "lightgbm", "pandas", "sklearn", "scipy", "matplotlib"}
TOOLS = {"prefect", "mlflow", "great_expectations"}
COMMAND = """
import atexit, json, sys
from retrim.cli.main import main
sys.argv = ["retrim", *json.loads(sys.argv[1])]
atexit.register(lambda: open(ENDED, "w").write(json.dumps(sorted(sys.modules))))
main()
"""
GROUPS = {"", "batch", "policy"}


def commands() -> dict[str, Any]:
    """Every command by its words, groups too; "" is `retrim` itself."""
    found: dict[str, Any] = {}

    def walk(command: Any, name: str) -> None:
        found[name] = command
        for own, below in getattr(command, "commands", {}).items():
            walk(below, f"{name} {own}".strip())

    walk(typer.main.get_command(app), "")
    return found


def loaded(folder: Path, *arguments: str) -> set[str]:
    """Modules that `retrim ...` had imported when it ended, in a process of its own."""
    ended = folder / "modules.json"
    code = COMMAND.replace("ENDED", repr(str(ended)))
    subprocess.run([sys.executable, "-c", code, json.dumps(arguments)], cwd=folder, capture_output=True, check=False)
    return set(json.loads(ended.read_text(encoding="utf-8")))


@dataclass(frozen=True)
class Ended:
    """How a command ended: its exit code and both streams."""

    code: int
    out: str
    err: str


Ask = Callable[..., Ended]


@pytest.fixture
def ask(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Ask:
    """Calls `retrim ...` in a folder; in this process, as it is anyway here and much quicker."""

    def call(folder: Path, *arguments: str) -> Ended:
        monkeypatch.chdir(folder)
        monkeypatch.setattr(sys, "argv", ["retrim", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        out, err = capsys.readouterr()
        return Ended(int(ended.value.code or 0), out, err)

    return call


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return make_world(tmp_path_factory.mktemp("cli"), server="http://127.0.0.1:9/api")


@pytest.fixture(scope="module")
def with_rows(tmp_path_factory: pytest.TempPathFactory) -> World:
    """Ten days have landed, and a batch was set aside."""
    world = make_world(tmp_path_factory.mktemp("rows"), server="http://127.0.0.1:9/api")
    world.land(world.day(10))
    (world.root / "broken.csv").write_text("at,level\n2024-02-01,1\n", encoding="utf-8")
    world.retrim("ingest", "broken.csv", code=(0, 2))  # which of them is a claim below
    return world


@pytest.fixture
def params(world: World, tmp_path: Path) -> dict[str, Any]:
    """Settings of a workspace that has nothing else, to be broken and written to params.yaml."""
    (tmp_path / "dvc.yaml").touch()
    return dict(load_yaml((world.root / "params.yaml").read_text(encoding="utf-8")))


# --- help -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", commands())
class TestEveryCommand:
    def test_says_in_a_line_what_it_does(self, name: str) -> None:
        first = (commands()[name].help or "").split("\n\n")[0].strip()

        assert first.endswith(".")
        assert len(first) <= 64  # a line of the table of commands, in a terminal of 80 columns

    def test_says_what_every_option_means(self, name: str) -> None:
        silent = [taken.name for taken in commands()[name].params if not getattr(taken, "help", None)]

        assert silent == []


@pytest.mark.parametrize("name", sorted(commands().keys() - GROUPS))
def test_every_command_shows_an_example_that_can_be_typed(name: str) -> None:
    shown = re.sub(r"\[/?(bold)?\]", "", commands()[name].epilog or "")
    call = shlex.split(re.sub(r".*?(retrim [^)]*).*", r"\1", shown.removeprefix("For example: ")))[1:]
    options = {option for taken in commands()[name].params for option in taken.opts}

    assert call[: len(name.split())] == name.split()
    assert {word for word in call if word.startswith("--")} <= options


def test_the_help_fits_a_screen(ask: Ask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    lines = ask(tmp_path, "--help").out.splitlines()

    assert (len(lines) <= 62, max(map(len, lines)) <= 80) == (True, True)


def test_the_help_lists_each_command_in_a_panel_and_no_other(ask: Ask, tmp_path: Path) -> None:
    named = sorted(name for names in PANELS.values() for name in names.split())

    assert named == sorted({name.split()[0] for name in commands() if name})
    assert "More" not in ask(tmp_path, "--help").out.split()


@pytest.mark.parametrize("name", ["", "check", "batch show"])
def test_the_help_loads_nothing_heavy(name: str, tmp_path: Path) -> None:
    assert HEAVY & loaded(tmp_path, *name.split(), "--help") == set()


@pytest.mark.parametrize("arguments", [(), ("batch",)])
def test_nothing_asked_is_the_help(arguments: tuple[str, ...], ask: Ask, tmp_path: Path) -> None:
    ended = ask(tmp_path, *arguments)

    assert (ended.code, ended.err, "--help" in ended.out) == (0, "", True)
    assert ended.out.count("Usage") == 1


def test_the_version_is_printed(ask: Ask, tmp_path: Path) -> None:
    assert ask(tmp_path, "--version").out == f"retrim {retrim.__version__}\n"


# --- reading commands -----------------------------------------------------------------------------

READING = ["status", "versions", "batch show --quarantined"]


@pytest.mark.parametrize("name", READING)
class TestEveryReadingCommand:
    def test_never_loads_the_tools(self, name: str, with_rows: World) -> None:
        assert TOOLS & loaded(with_rows.root, *name.split()) == set()

    def test_prints_json_and_nothing_else(self, name: str, ask: Ask, with_rows: World) -> None:
        ended = ask(with_rows.root, *name.split(), "--json")

        assert (ended.code, ended.err) == (0, "")
        assert json.loads(ended.out) is not None


def test_a_profile_tells_its_findings(ask: Ask, with_rows: World) -> None:
    ended = ask(with_rows.root, "profile", "--rows", "200")

    assert (ended.code, ended.err) == (0, "")
    assert "Findings (" in ended.out


def test_a_profile_of_a_file_needs_no_workspace(ask: Ask, tmp_path: Path) -> None:
    lines = ["at,level,outcome", *(f"2024-01-{1 + n // 24:02}T{n % 24:02}:00,{n % 7},{n}" for n in range(200))]
    (tmp_path / "raw.csv").write_text("\n".join(lines), encoding="utf-8")
    ended = ask(tmp_path, "profile", "--data", "raw.csv", "--target", "outcome", "--to", "rows.parquet")

    assert (ended.code, (tmp_path / "rows.parquet").is_file()) == (0, True)


def test_landing_never_loads_prefect_or_mlflow(with_rows: World) -> None:
    assert {"prefect", "mlflow"} & loaded(with_rows.root, "ingest", "broken.csv") == set()


def test_the_status_has_the_documented_keys(ask: Ask, with_rows: World) -> None:
    record = json.loads(ask(with_rows.root, "status", "--json").out)

    assert {"champion", "accumulated_gain", "retraining_cost", "last_decision"} <= record.keys()


def test_a_batch_set_aside_ends_with_2_and_names_the_cure(ask: Ask, with_rows: World) -> None:
    ended = ask(with_rows.root, "ingest", "broken.csv")

    assert ended.code == 2
    assert "retrim batch show" in ended.err
    assert len(ended.err.splitlines()) == 3  # a fault is a line, however long


def test_a_fault_of_a_whole_file_is_shown_without_an_empty_table(ask: Ask, with_rows: World) -> None:
    (with_rows.root / "no_table.csv").write_text("a,b\n1,2\n", encoding="utf-8")
    batch = json.loads(ask(with_rows.root, "ingest", "no_table.csv", "--json").out)["batch"]
    shown = ask(with_rows.root, "batch", "show", batch).out

    assert "row  key  value" not in shown
    assert "missing: level" in shown


def test_the_status_names_what_lies_in_quarantine(ask: Ask, with_rows: World) -> None:
    batch = json.loads(ask(with_rows.root, "ingest", "broken.csv", "--json").out)["batch"]
    record = json.loads(ask(with_rows.root, "status", "--json").out)

    assert batch in [each["batch"] for each in record["quarantined"]]
    assert "retrim batch show --quarantined" in " ".join(ask(with_rows.root, "status").out.split())


def test_scoring_without_a_version_is_no_and_says_what_to_do(ask: Ask, with_rows: World) -> None:
    ended = ask(with_rows.root, "predict")

    assert (ended.code, ended.err) == (1, "")
    assert ended.out.startswith("no version is live, so nothing was predicted; train version 1: retrim retrain")


def test_a_table_of_predictions_that_is_away_changes_no_exit_code(
    ask: Ask, with_rows: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RETRIM_PREDICTIONS_TABLE", f"sqlite:///{tmp_path / 'away' / 'warehouse.db'}")
    ended = ask(with_rows.root, "predict", "--json")

    assert (ended.code, json.loads(ended.out)["version"]) == (1, None)
    assert "retrim_predictions" in ended.err


def test_the_status_of_an_empty_workspace_names_the_next_steps(ask: Ask, world: World) -> None:
    said = ask(world.root, "status").out

    assert said.index("retrim ingest FILE") < said.index("retrim retrain")


def test_a_batch_set_aside_is_a_record_too(ask: Ask, with_rows: World) -> None:
    ended = ask(with_rows.root, "ingest", "broken.csv", "--json")

    assert (ended.code, json.loads(ended.out)["outcome"]) == (2, "quarantined")


# --- errors ---------------------------------------------------------------------------------------

WRONG = {
    "polish": "error: unknown command 'polish'; known: ",
    "staus": "Did you mean 'status'?",
    "report": "error: unknown command 'report'; use `retrim status --html FILE`",
    "predictions": "error: unknown command 'predictions'; use `retrim predict --show`",
    "explain 7": "error: unknown command 'explain'; use `retrim versions explain`",
    "withdraw 7": "error: unknown command 'withdraw'; use `retrim batch withdraw`",
    "batch shw": "error: unknown command 'shw'; known: release, show, withdraw. Did you mean 'show'?",
    "status --polish": "error: no such option: --polish; see `retrim status --help`",
    "versions reproduce": "error: missing argument 'N'; see `retrim versions reproduce --help`",
    "versions reproduce x": "error: 'x' is not a version number, such as 7; list the versions with `retrim versions`",
    "versions reproduce 7": "error: generated has no version 7; list them with `retrim versions`",
    "versions rollback": "error: missing option '--reason'; see `retrim versions rollback --help`",
    "versions rollback --reason late": "error: generated has no live version; train version 1 with `retrim retrain`",
    "check --now soon": "error: 'soon' is not a time; write 2012-05-01 or 2012-05-01T12:00, in UTC",
    "retrain --as-of nan": "error: 'nan' is not a time; write ",
    "retrain --mode fast": "error: unknown mode 'fast'; known: baseline, refit, search.",
    "retrain --by-hand --as-of 2020-01-01": (
        "error: no rows had landed by 2020-01-01T00:00:00+00:00; land some with `retrim ingest"
    ),
    "why 2020-01-01": "error: no decision has been made yet; run `retrim check` or `retrim retrain`",
    "ingest gone.csv": "error: gone.csv does not exist; specify a CSV",
    "ingest expectations": "error: expectations is a folder; specify a single CSV",
    "profile": "error: no rows had landed by ",
    "profile --target y": "error: --target describes a raw file; pass that file with --data FILE. ",
    "profile --data gone.csv": "error: --data needs the column to predict; add --target COL",
    "profile --data gone.csv --target y": "error: gone.csv does not exist; specify a file",
    "profile --data gone.csv --target y --as-of 2024-01-01": "error: --as-of is for landed rows, but --data",
    "batch show abc": "error: no landed batch has an id that begins with 'abc'; list landed batches with "
    "`retrim batch show`, and those in quarantine with `retrim batch show --quarantined`",
}


@pytest.mark.parametrize("call", WRONG)
def test_wrong_use_ends_with_2_and_says_what_to_do(call: str, ask: Ask, world: World) -> None:
    ended = ask(world.root, *call.split())

    assert (ended.code, ended.out) == (2, "")
    assert WRONG[call] in ended.err
    assert len(ended.err.splitlines()) == 1


def test_no_workspace_is_wrong_use(ask: Ask, tmp_path: Path) -> None:
    ended = ask(tmp_path, "status")

    assert ended.code == 2
    assert ended.err.startswith(f"error: {tmp_path} is not in a retrim workspace")


BROKEN = {
    "gate.min_gain": (lambda params: params["gate"].update(min_gain="much"), "gate.min_gain"),
    "another suite": (
        lambda params: params["data"].update(suite="/etc/mine.json"),
        "data.suite is fixed at 'expectations/generated.json' (it is derived from other settings",
    ),
    "a span that is none, with what follows from it": (
        lambda params: params["data"].update(batch_every="soon", batch_grace="1D"),
        "data.batch_every: 'soon' is not a span of time",
    ),
    "weights by group, by the setting that follows": (
        lambda params: params.update(fairness={"mitigate": "reweight"}),
        "fairness.mitigate is fixed at None (it is derived from other settings: reweight if train.balance is groups",
    ),
    "a name with a space": (
        lambda params: params["data"].update(model="my bikes", suite="expectations/my bikes.json"),
        "data.model: use only lower-case letters a to z, digits, '_' and '-', and begin with a letter (got 'my bikes')",
    ),
    "a class that YAML takes for a truth value": (
        lambda params: params["data"].update(task="binary", positive=True),
        'data.positive: put the class in quotes, as it appears in the table, such as "yes" or "1" (got True)',
    ),
    "a log scale from 0": (
        lambda params: params["tune"]["space"].update(lambda_l1={"low": 0, "high": 9, "log": True}),
        "tune.space.lambda_l1: log: true needs a low above 0, but low is 0",
    ),
    "an unknown key": (lambda params: params["gate"].update(late=1), "gate.late"),
    "a missing section": (lambda params: params.pop("data"), "data"),
    "a timetable": (
        lambda params: params["schedule"].update(check="soon"),
        "schedule.check: 'soon' is neither a cron expression",
    ),
    "a minute that no hour has": (
        lambda params: params["schedule"].update(check="99 0 * * *"),
        "schedule.check: '99 0 * * *' is not a valid cron expression, or never occurs (bad minute)",
    ),
}


@pytest.mark.parametrize("fault", BROKEN)
def test_a_broken_setting_is_named(fault: str, ask: Ask, params: dict[str, Any], tmp_path: Path) -> None:
    change, named = BROKEN[fault]
    change(params)
    (tmp_path / "params.yaml").write_text(dump_yaml(params), encoding="utf-8")
    ended = ask(tmp_path, "status")

    assert ended.code == 2
    assert ended.err.startswith(f"error: params.yaml: {named}")


def test_params_that_are_no_yaml_are_wrong_use(ask: Ask, params: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "params.yaml").write_text("data:\n\tmodel: bike\n", encoding="utf-8")
    ended = ask(tmp_path, "status")

    assert (ended.code, len(ended.err.splitlines())) == (2, 1)
    assert "params.yaml, line 2, column 1: " in ended.err


def test_the_public_key_is_printed_alone_and_its_fingerprint_beside_it(ask: Ask, world: World) -> None:
    ended = ask(world.root, "versions", "export", "--key")
    public = world.workspace.keys.public

    assert (ended.code, ended.out) == (0, f"{public}\n")
    assert ended.err.count(public.fingerprint) == 1


def test_a_server_that_does_not_answer_ends_with_3(with_rows: World) -> None:
    ended = with_rows.retrim("check", code=3)

    assert [name in ended.stderr for name in ("http://127.0.0.1:9/api", "RETRIM_PREFECT_URL")] == [True, True]
    assert len(ended.stderr.splitlines()) == 1


# --- what is odd, and no fault of retrim ------------------------------------------------------------


@pytest.mark.parametrize("call", ["check --now", "retrain --as-of", "predict --now", "ingest gone.csv --arrived"])
def test_a_time_in_the_future_is_wrong_use(call: str, ask: Ask, world: World) -> None:
    # A check or a run of the year 2999 would be the newest one for ever: no later one would ever act.
    ended = ask(world.root, *call.split(), "2999-01-01")

    assert (ended.code, "'2999-01-01' is in the future; pass a time no later than now" in ended.err) == (2, True)


@pytest.mark.parametrize("text", ["5", "10/11/2012", "May"])
def test_a_time_is_not_guessed(text: str, ask: Ask, world: World) -> None:
    ended = ask(world.root, "check", "--now", text)

    assert (ended.code, re.search(rf"{text!r} .* 2012-05-01T12:00", ended.err) is not None) == (2, True)


@pytest.mark.parametrize("call", ["versions reproduce", "versions rollback --reason late --to"])
def test_a_number_no_version_can_have_is_wrong_use(call: str, ask: Ask, world: World) -> None:
    ended = ask(world.root, *call.split(), "9" * 30)

    assert (ended.code, f"'{'9' * 30}'" in ended.err) == (2, True)


def test_a_file_name_that_is_not_utf8_is_set_aside_like_any_other(with_rows: World) -> None:
    (with_rows.root / os.fsdecode(b"caf\xe9.csv")).write_text("a\n1\n", encoding="utf-8")
    ended = with_rows.retrim("ingest", os.fsdecode(b"caf\xe9.csv"), code=2)

    assert ended.stderr.startswith("quarantined: batch ")
    assert r"caf\xe9.csv" in with_rows.retrim("batch", "show", "--quarantined").stdout


def test_brackets_in_a_file_name_are_shown(with_rows: World) -> None:
    (with_rows.root / "rows[old].csv").write_text("a\n2\n", encoding="utf-8")

    assert "rows[old].csv" in with_rows.retrim("ingest", "rows[old].csv", code=2).stderr


def test_a_store_that_is_none_ends_with_2_and_keeps_the_password(with_rows: World) -> None:
    url = "postgresql://me:hush@host:port/x"
    ended = with_rows.retrim("status", code=2, environment={"RETRIM_STORE_URL": url})

    assert ended.stderr.startswith("error: RETRIM_STORE_URL is not a database address; use an address such as ")
    assert "hush" not in ended.stderr


def test_a_disk_that_cannot_be_written_is_told_without_a_traceback(
    ask: Ask, params: dict[str, Any], tmp_path: Path
) -> None:
    (tmp_path / "params.yaml").write_text(dump_yaml(params), encoding="utf-8")
    (tmp_path / "var").touch()  # a file where a folder has to be
    ended = ask(tmp_path, "status")

    assert (ended.code, len(ended.err.splitlines())) == (3, 1)
    assert str(tmp_path / "var") in ended.err


def test_a_cell_that_would_write_on_the_terminal_is_spelled_out(with_rows: World) -> None:
    (with_rows.root / "evil.csv").write_text("at,\x1b[2Jlevel\n2024-02-01,1\n", encoding="utf-8")
    batch = with_rows.ask("ingest", "evil.csv", code=2)["batch"]
    shown = with_rows.retrim("batch", "show", batch).stdout

    assert ("\x1b" in shown, r"\x1b[2Jlevel" in shown) == (False, True)
