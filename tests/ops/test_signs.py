"""Signs of life: held by one process, seen by all, freed by the system when the process is killed."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from retrim.errors import RefusedError
from retrim.ops.house import House
from retrim.ops.signs import clear, drop, held, is_alive, left_behind, take, was_taken
from retrim.paths import Workspace
from retrim.settings import Env, load_params

ROOT = Path(__file__).resolve().parents[2]
HOLDER = """
import sys
from pathlib import Path
from retrim.ops.house import House
from retrim.ops.signs import take
from retrim.paths import Workspace
from retrim.settings import Env, load_params
house = House(Workspace(Path(sys.argv[1])), load_params(Path(sys.argv[2])), Env())
sign = take(house, sys.argv[3])
print("held", flush=True)
sys.stdin.readline()
"""


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(Workspace(tmp_path), load_params(ROOT / "params.yaml"), Env())


@contextmanager
def holder(house: House, name: str) -> "Iterator[subprocess.Popen[str]]":
    """Another process that holds a sign until it is killed."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(house.workspace.root), str(ROOT / "params.yaml"), name],
        env={"PYTHONPATH": str(ROOT / "src")},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def test_a_sign_is_alive_while_it_is_held_and_gone_after(house: House) -> None:
    with held(house, "run-a"):
        during = is_alive(house, "run-a")

    assert during
    assert not is_alive(house, "run-a")
    assert not was_taken(house, "run-a")


def test_a_sign_is_given_back_after_an_error_too(house: House) -> None:
    with pytest.raises(RuntimeError), held(house, "run-a"):
        raise RuntimeError

    assert not was_taken(house, "run-a")


def test_a_sign_that_another_process_holds_is_refused_with_its_number(house: House) -> None:
    with holder(house, "run-a") as process, pytest.raises(RefusedError, match=f"process {process.pid}"):
        take(house, "run-a")


def test_a_killed_process_leaves_its_sign_behind_and_another_can_take_it(house: House) -> None:
    with holder(house, "run-a") as process:
        before = left_behind(house, "run-")
        process.send_signal(signal.SIGKILL)
        process.wait()

        assert before == []
        assert left_behind(house, "run-") == ["run-a"]
        drop(house, "run-a", take(house, "run-a"))
        assert left_behind(house, "run-") == []


def test_looking_at_a_sign_neither_makes_nor_takes_it(house: House) -> None:
    house.workspace.runs.mkdir(parents=True)
    alive = is_alive(house, "run-a")

    assert not alive
    assert not was_taken(house, "run-a")


def test_signs_of_others_are_not_among_those_left_behind(house: House) -> None:
    for name in ("run-a", "flow-b"):
        take(house, name).close()

    assert left_behind(house, "flow-") == ["flow-b"]
    clear(house, "flow-b")
    assert left_behind(house, "flow-") == []
