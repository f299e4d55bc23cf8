"""What dvc.yaml says a stage depends on is all that it reads: else DVC gives back what was made from something else."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from retrim.files import Paths
from retrim.yaml_files import load_yaml
from tests.builders.run_directory import Room
from tests.builders.unfair import make_unfair_run_directory, unfair_stream

STAGES = load_yaml((Path(__file__).parents[2] / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
AFTER_VALIDATE = [stage for stage in STAGES if stage != "validate"]


@pytest.fixture(scope="module")
def run_directory(tmp_path_factory: pytest.TempPathFactory) -> Room:
    table = unfair_stream(2000)
    return make_unfair_run_directory(tmp_path_factory.mktemp("room"), table, mitigate="reweight").run()


def laid(run_directory: Room, stage: str, root: Path) -> Room:
    """A room that holds what the stage depends on, and nothing else below data/."""
    for dep in STAGES[stage]["deps"]:
        there = run_directory.paths.root / dep
        if there.is_dir():
            shutil.copytree(there, root / dep)
        elif there.exists():
            (root / dep).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(there, root / dep)
    return replace(run_directory, paths=Paths(root))


@pytest.mark.parametrize("stage", AFTER_VALIDATE)
def test_a_stage_makes_the_same_from_its_dependencies_alone(run_directory: Room, stage: str, tmp_path: Path) -> None:
    alone = laid(run_directory, stage, tmp_path)
    getattr(alone, stage)()
    made = {name: content for name, content in alone.bundle.items() if name.startswith(alone_folder(stage))}

    assert made
    assert made == {name: run_directory.bundle[name] for name in made}


def alone_folder(stage: str) -> str:
    """The folder of the bundle that a stage owns."""
    (folder,) = (out for out in STAGES[stage]["outs"] if out.startswith("data/candidate/"))
    return str(folder).removeprefix("data/candidate/") + "/"
