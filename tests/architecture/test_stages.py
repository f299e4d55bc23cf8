"""dvc.yaml, the stage modules and their signatures say the same thing."""

import ast
from pathlib import Path
from typing import Any, get_type_hints

import pytest

from retrim.settings import Params
from retrim.yaml_files import load_yaml

ROOT = Path(__file__).resolve().parents[2]
SRC = ROOT / "src"
STAGES: dict[str, dict[str, Any]] = load_yaml((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
LAID = {"data/raw", "data/champion", "data/previous", "data/pins.json", "data/settings.json"}
"""What a run directory is given before the first stage."""
SETTINGS = "data/settings.json"
FROM_OUTSIDE = {"paths", "cores", "trials"}
"""Arguments of `run` that are no section of params.yaml: where things lie, and what changes time but no result."""
EVERY_STAGE = {"requirements.lock", "data/pins.json"}
every_stage = pytest.mark.parametrize("stage", sorted(STAGES))


def deps(stage: str) -> set[str]:
    return {str(Path(dep)) for dep in STAGES[stage]["deps"]}


def outs(stage: str) -> set[str]:
    entries = [entry for kind in ("outs", "metrics", "plots") for entry in STAGES[stage].get(kind, [])]
    return {next(iter(entry)) if isinstance(entry, dict) else entry for entry in entries}


def sections(stage: str) -> list[str]:
    """The pinned settings that a stage depends on."""
    pinned: dict[str, list[str]] = next(each for each in STAGES[stage]["params"] if SETTINGS in each)
    return pinned[SETTINGS]


def covers(known: str, path: str) -> bool:
    return path == known or path.startswith(known.rstrip("/") + "/")


def run_of(stage: str) -> ast.FunctionDef:
    tree = ast.parse((SRC / f"retrim/stages/{stage}.py").read_text(encoding="utf-8"))
    return next(node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == "run")


def arguments(stage: str) -> set[str]:
    taken = run_of(stage).args
    return {argument.arg for argument in (*taken.posonlyargs, *taken.args, *taken.kwonlyargs)}


def annotation_of(key: list[str]) -> Any:
    """The type of a section of params.yaml, or of one value in it."""
    kind: Any = Params
    for name in key:
        kind = kind.model_fields[name].annotation
    return kind


def test_each_stage_is_a_module_and_each_module_a_stage() -> None:
    modules = {path.stem for path in (SRC / "retrim/stages").glob("*.py") if not path.stem.startswith("_")}

    assert set(STAGES) == modules


@every_stage
class TestEveryStage:
    def test_runs_the_code_of_its_room(self, stage: str) -> None:
        assert STAGES[stage]["cmd"] == f"PYTHONPATH=src python -m retrim.stages.{stage}"

    def test_depends_on_the_sections_that_its_run_takes(self, stage: str) -> None:
        params = sections(stage)

        assert {key.replace(".", "__") for key in params} == arguments(stage) - FROM_OUTSIDE

    def test_depends_on_params_yaml_only_to_hold_it_to_what_is_pinned(self, stage: str) -> None:
        others = [each for each in STAGES[stage]["params"] if SETTINGS not in each]

        assert others == ([{"params.yaml": None}] if stage == "validate" else [])

    def test_takes_each_section_as_its_type(self, stage: str) -> None:
        module = __import__(f"retrim.stages.{stage}", fromlist=["run"])
        hints = get_type_hints(module.run)

        assert {name: hints[name] for name in arguments(stage) - FROM_OUTSIDE} == {
            name: annotation_of(name.split("__")) for name in arguments(stage) - FROM_OUTSIDE
        }

    def test_names_no_code_as_the_pinned_digest_holds_all_of_it(self, stage: str) -> None:
        assert not [dep for dep in deps(stage) if dep.startswith(("src", "flows"))]

    def test_is_stale_when_the_environment_or_a_pin_changes(self, stage: str) -> None:
        assert deps(stage) >= EVERY_STAGE

    def test_has_only_files_that_exist_or_are_made_before_it(self, stage: str) -> None:
        before = list(STAGES)[: list(STAGES).index(stage)]
        made = LAID | {out for earlier in before for out in outs(earlier)}
        unknown = {
            dep
            for dep in deps(stage)
            if not (ROOT / dep).exists() and not any(covers(out, dep) or covers(dep, out) for out in made)
        }

        assert unknown == set()

    def test_writes_below_data_what_no_other_stage_writes(self, stage: str) -> None:
        others = {out for other in STAGES if other != stage for out in outs(other)}

        assert all(out.startswith("data/") for out in outs(stage))
        assert not any(covers(out, other) or covers(other, out) for out in outs(stage) for other in others)

    def test_ships_no_output_that_git_would_keep(self, stage: str) -> None:
        entries = [entry for kind in ("outs", "metrics", "plots") for entry in STAGES[stage].get(kind, [])]
        options = [next(iter(entry.values())) for entry in entries if isinstance(entry, dict)]

        assert all(option.get("cache", True) for option in options)
