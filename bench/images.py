"""Builds the image of a version, runs it closed, and says what held; removes both.

    .venv/bin/python bench/images.py ~/models/bike 7 --base python:3.11-slim-bookworm

With podman, or `--with docker`; port 5001 has to be free. Exit code 1 if something did not hold.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

sys.path.insert(0, str(Path(__file__).parents[1]))
from retrim.lineage.workspace import Workspace, open_workspace

RECIPE = Path(__file__).parents[1] / "deploy" / "Containerfile"
NAME, SECONDS = "retrim-tried", 120
CLOSED = ["--network=host", "--read-only", "--tmpfs=/tmp", "--cap-drop=ALL", "--security-opt=no-new-privileges"]
KNOWN = {**os.environ, "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])}


def run(*command: str | Path, folder: Path | None = None) -> str:
    return subprocess.run(command, cwd=folder, env=KNOWN, check=True, stdout=subprocess.PIPE, text=True).stdout.strip()


def lay(workspace: Workspace, version: int, folder: Path) -> None:
    """What the page on containers lays: the version's lock, wheel and model."""
    root = workspace.paths.root
    run("git", "worktree", "add", "--quiet", "--detach", folder, f"retrim/{workspace.model}/v{version}", folder=root)
    run("dvc", "cache", "dir", "--local", root / ".dvc" / "cache", folder=folder)
    run("dvc", "pull", "--quiet", "data/code.dvc", folder=folder)
    KNOWN["MLFLOW_TRACKING_URI"] = workspace.registry.tracking_url
    place = f"models:/{workspace.model}/{version}"
    run("mlflow", "artifacts", "download", "--artifact-uri", place, "--dst-path", folder / "model")


def is_healthy(tool: str, check: list[str]) -> bool:
    """Whether the image's own health check passes before the deadline."""
    until = time.monotonic() + SECONDS
    while time.monotonic() < until:
        if subprocess.run([tool, "exec", NAME, *check], capture_output=True, check=False).returncode == 0:
            return True
        time.sleep(1)
    return False


def served(example: dict[str, Any]) -> list[str]:
    content = json.dumps(example).encode()
    asked = Request("http://127.0.0.1:5001/invocations", content, {"Content-Type": "application/json"})
    with urlopen(asked, timeout=60) as answer:
        return [float(each).hex() for each in json.load(answer)["predictions"]]


def outside(model: Path, example: dict[str, Any]) -> list[str]:
    import mlflow
    from mlflow.pyfunc.scoring_server import infer_and_parse_data

    loaded = mlflow.pyfunc.load_model(str(model))
    return [
        float(each).hex() for each in loaded.predict(infer_and_parse_data(example, loaded.metadata.get_input_schema()))
    ]


def tried(tool: str, model: Path) -> dict[str, bool]:
    """What held of the image while it ran.

    Args:
        tool: podman or docker.
        model: The folder of the registered model.
    """
    example = json.loads((model / "serving_input_example.json").read_text(encoding="utf-8"))
    run(tool, "run", "--detach", f"--name={NAME}", *CLOSED, NAME)
    about = [tool, "inspect", "--type=container", NAME, "--format"]
    try:
        check = json.loads(run(*about, "{{json .Config.Healthcheck.Test}}"))
        held = {"its health check passes": is_healthy(tool, check[1:])}
        held["it is not root"] = run(tool, "exec", NAME, "id", "-u") == "10001"
        held["its predictions are those made outside, to the bit"] = served(example) == outside(model, example)
        run(tool, "stop", NAME)
        held["it ends when it is told to"] = run(*about, "{{.State.ExitCode}}") == "0"
    finally:
        run(tool, "rm", "--force", NAME)
    return held


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("workspace", type=Path)
    parser.add_argument("version", type=int)
    parser.add_argument("--base", default="python:3.11-slim-bookworm")
    parser.add_argument("--with", dest="tool", default="podman")
    given = parser.parse_args()
    KNOWN["BUILDAH_FORMAT"] = "docker"  # podman's own format has no health check
    KNOWN["MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR"] = "false"
    workspace = open_workspace(given.workspace.resolve())
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made) / "image"
        lay(workspace, given.version, folder)
        build = [given.tool, "build", "--quiet", "--network=host", f"--file={RECIPE}", f"--build-arg=BASE={given.base}"]
        run(*build, "--target=version", f"--tag={NAME}", folder)
        try:
            held = tried(given.tool, folder / "model")
        finally:
            run(given.tool, "rmi", NAME)
            run("git", "worktree", "remove", "--force", folder, folder=workspace.paths.root)
    for what, is_so in held.items():
        print("held  " if is_so else "MISSED", what)
    return 0 if all(held.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
