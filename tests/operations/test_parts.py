"""An installation: its commands, its addresses, the configuration of supervisord and the unit of systemd."""

import os
import shutil
import stat
import subprocess
from configparser import RawConfigParser
from dataclasses import replace
from pathlib import Path

import pytest

from retrim.errors import BadInputError
from retrim.files import WorkspacePaths
from retrim.operations.parts import (
    Installation,
    Ports,
    installation_at,
    parts_of,
    plan_installation,
    write_installation,
)
from retrim.operations.supervise import supervisor_config

FREE = Ports(0, 0, 0)
UNIT = Path(__file__).parents[2] / "deploy" / "retrim@.service"


def plan(folder: Path, *names: str, ports: Ports = FREE, prefect_url: str | None = None) -> Installation:
    roots = [WorkspacePaths(folder / name) for name in names] or [WorkspacePaths(folder)]
    return plan_installation(roots, folder, ports=ports, prefect_url=prefect_url)


def names_of(installation: Installation) -> list[str]:
    return [part.name for part in parts_of(installation)]


@pytest.mark.parametrize("names", [(), ("a", "b"), tuple(f"w{number}" for number in range(100))])
def test_however_many_workspaces_have_the_same_parts(tmp_path: Path, names: tuple[str, ...]) -> None:
    assert names_of(plan(tmp_path, *names)) == ["prefect", "worker", "ui", "serve"]


def test_what_an_address_names_is_not_started(tmp_path: Path) -> None:
    elsewhere = plan(tmp_path, "a", "b", prefect_url="http://127.0.0.1:9/api")

    assert names_of(elsewhere) == ["worker", "ui", "serve"]


def test_a_free_port_is_taken_again_the_next_time(tmp_path: Path) -> None:
    first = plan(tmp_path, "a", "b")
    write_installation(first)

    assert plan(tmp_path, "a", "b") == first == installation_at(tmp_path)


def test_where_none_was_begun_there_is_no_installation(tmp_path: Path) -> None:
    with pytest.raises(BadInputError):
        installation_at(tmp_path)
    write_installation(plan(tmp_path, "a"))  # as `retrim up` does

    installation_at(tmp_path)


def test_passwords_are_made_before_the_parts_that_share_them(tmp_path: Path) -> None:
    installation = plan(tmp_path, "a", "b")
    write_installation(installation)
    made = [path for path in tmp_path.rglob("*password") if path.is_file()]

    assert len(made) == 3
    assert {stat.S_IMODE(path.stat().st_mode) for path in made} == {0o600}


def test_a_port_that_is_named_is_taken(tmp_path: Path) -> None:
    write_installation(plan(tmp_path))

    assert plan(tmp_path, ports=replace(FREE, serve=8123)).ports.serve == 8123


def test_the_configuration_holds_no_login_and_opens_no_port(tmp_path: Path) -> None:
    installation = plan(tmp_path, "a", "b")
    text = supervisor_config(installation)
    login = installation.prefect_api.login
    assert login is not None

    assert login.partition(":")[2] not in text
    assert "http_server" not in text


@pytest.mark.parametrize("name", ["50% of it", "with 'quotes'", "$HOME"])
def test_a_folder_may_have_any_name(tmp_path: Path, name: str) -> None:
    folder = tmp_path / name
    installation = plan(folder, "a")
    config = RawConfigParser()
    config.read_string(supervisor_config(installation))

    assert config["program:worker"]["directory"] % {} == str(folder)


@pytest.mark.parametrize(
    "name", ["a\nExecStart=/bin/planted", "models #1", "models ;1", "at the end ", "end\\", "\udcff"]
)
def test_a_folder_whose_name_ends_a_line_or_a_value_is_refused(tmp_path: Path, name: str) -> None:
    for folder, names in ((tmp_path / name, ("a",)), (tmp_path, (name,))):
        with pytest.raises(BadInputError, match="supervisord"):
            plan(folder, *names)


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not here")
def test_systemd_takes_the_unit(tmp_path: Path) -> None:
    home = tmp_path / "home"
    (home / ".local" / "bin").mkdir(parents=True)
    (home / ".local" / "bin" / "retrim").touch(mode=0o700)
    unit = shutil.copy(UNIT, tmp_path / "retrim@models.service")
    verified = subprocess.run(
        ["systemd-analyze", "verify", "--user", str(unit)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "XDG_RUNTIME_DIR": str(tmp_path), "HOME": str(home)},
    )

    assert (verified.returncode, verified.stderr) == (0, "")
