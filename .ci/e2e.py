"""The wheel of this checkout in an empty environment: new, init, retrain, check, schedule and reproduce; then its model
in an environment that holds what the model names and no retrim.

    .venv/bin/python .ci/e2e.py [FOLDER]

The environment holds what the wheel names and nothing else, as the lock has it, so a dependency that the wheel does not
name is not there. FOLDER, by default a temporary one that goes, is kept.
"""

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import zipfile
from email.parser import HeaderParser
from importlib.metadata import distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
BLOCK = re.compile(r"(?m)^([A-Za-z0-9._-]+)==(\S+)( ; [^\\\n]*)?( \\\n    --hash=\S+)+\n")
LAND_SECONDS = 180
LANDED = b"landed: 168 rows"


def run(*command: object, folder: Path = ROOT, environment: dict[str, str] | None = None) -> str:
    """What a command prints; ends everything if it fails."""
    begun = time.monotonic()
    words = [str(word) for word in command]
    done = subprocess.run(words, cwd=folder, env=environment, stdout=subprocess.PIPE, text=True, check=False)
    shown = " ".join(word if len(word) < 60 else f"...{word[-40:]}" for word in words[:8])
    print(f"{time.monotonic() - begun:6.1f} s  {shown}", flush=True)
    if done.returncode:
        sys.exit(f"{done.stdout}\ne2e: {shown} ended with {done.returncode}")
    return done.stdout


def named_by(wheel: Path) -> list[str]:
    """What a wheel names."""
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        return HeaderParser().parsestr(archive.read(name).decode()).get_all("Requires-Dist", [])


def needed_by(requirements: list[str]) -> set[str]:
    """What requirements name, what that names, and so on; the environment of this checkout, which has it all, says."""
    found: set[tuple[str, str]] = set()
    ahead = [(text, "") for text in requirements]
    while ahead:
        text, extra = ahead.pop()
        needed = Requirement(text)
        if needed.marker is not None and not needed.marker.evaluate({"extra": extra}):
            continue
        for pair in ((canonicalize_name(needed.name), each) for each in ("", *needed.extras)):
            if pair not in found:
                found.add(pair)
                ahead += [(each, pair[1]) for each in distribution(pair[0]).requires or ()]
    return {name for name, _ in found}


def install(folder: Path, requirements: list[str], *, wheel: Path | None = None) -> Path:
    """An environment with what requirements name, each package checked by the hash of the lock; its Python."""
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    blocks = [(canonicalize_name(found[1]), found[0]) for found in BLOCK.finditer(lock)]  # one for each Python
    named = needed_by(requirements)
    python = folder / "bin" / "python"
    run(sys.executable, "-m", "venv", "--without-pip", folder)
    (folder / "lock").write_text("".join(text for name, text in blocks if name in named), encoding="utf-8")
    pip = (sys.executable, "-m", "pip", "--python", python, "install", "--quiet")
    run(*pip, "--no-deps", "--no-compile", "--require-hashes", "-r", folder / "lock")
    if wheel is not None:
        run(*pip, "--no-deps", "--no-compile", "--no-index", wheel)
    run(sys.executable, "-m", "pip", "--python", python, "check")
    print(f"{len(named)} of the {len(dict(blocks))} locked packages: those that are named, and what these name")
    return python


def write_tables(scratch: Path) -> None:
    """The table of the tutorial, and the week that comes after it."""
    sys.path.insert(0, str(ROOT))
    from retrim.onboarding.example import csv, deliveries

    (scratch / "deliveries.csv").write_bytes(csv())
    week = deliveries(2400 + 168).tail(168)
    (scratch / "week.csv").write_bytes(week.to_csv(index=False, sep=";", lineterminator="\n").encode())


def see_schedule_land(workspace: Path, week: Path, environment: dict[str, str]) -> None:
    """Starts the schedule, puts a file into the inbox, and waits until the scheduled flow has landed it."""
    begun = time.monotonic()
    inbox = workspace / "var" / "inbox"
    inbox.mkdir(parents=True, exist_ok=True)
    log = workspace.parent / "schedule.log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            ["retrim", "up", "--only", "schedule"],
            cwd=workspace,
            env=environment,
            stdout=out,
            stderr=out,
            start_new_session=True,
        )
        try:
            while b"worker started" not in log.read_bytes() and time.monotonic() < begun + LAND_SECONDS:
                time.sleep(0.5)
            (inbox / week.name).write_bytes(week.read_bytes())
            while LANDED not in log.read_bytes() and time.monotonic() < begun + LAND_SECONDS:
                time.sleep(0.5)
        finally:
            process.send_signal(signal.SIGTERM)
            ended = process.wait(timeout=LAND_SECONDS)
    told = log.read_text(encoding="utf-8")
    print(f"{time.monotonic() - begun:6.1f} s  retrim up --only schedule", flush=True)
    wrong = [name for name in ("ingest", "check", "retrain") if f"deployed {name}/deliveries" not in told]
    if wrong or ended or LANDED.decode() not in told:
        sys.exit(f"{told}\ne2e: the schedule ended with {ended}; not deployed: {wrong}, or nothing landed")


HERE = """
import sys
from pathlib import Path
import mlflow
import pandas
from retrim.lineage.workspace import open_workspace
from retrim.release.versions import load_stored_version
from retrim.table.derived_columns import calendar_part
workspace = open_workspace(Path.cwd())
rows, reading = mlflow.pyfunc.load_model(sys.argv[1]).input_example, workspace.params.reading
times = pandas.to_datetime(rows[workspace.params.data.time], utc=True)
rows = rows.assign(**{name: calendar_part(times, part, zone=reading.zone) for name, part in reading.calendar.items()})
print([float(each).hex() for each in load_stored_version(workspace, int(sys.argv[2])).predictor.predict(rows)])
"""
COPY = """
import sys
import mlflow
print(mlflow.artifacts.download_artifacts(sys.argv[1], dst_path=sys.argv[2]))
"""
ALONE = """
import sys
import mlflow
model = mlflow.pyfunc.load_model(sys.argv[1])
print([float(each).hex() for each in model.predict(model.input_example)])
"""


def see_model_alone(scratch: Path, workspace: Path, python: Path, environment: dict[str, str], version: int) -> None:
    """Loads the champion where there is no retrim, from the registry and from a copy of its folder."""
    environment = {**environment, "MLFLOW_TRACKING_URI": f"sqlite:///{workspace}/var/mlflow.db"}
    champion = "models:/deliveries@champion"
    copied = run(python, "-c", COPY, champion, scratch / "elsewhere", environment=environment).splitlines()[-1]
    alone = install(scratch / "alone", (Path(copied) / "requirements.txt").read_text(encoding="utf-8").split())
    here = run(python, "-c", HERE, champion, version, folder=workspace, environment=environment).splitlines()[-1]
    for address in (champion, copied):
        told = run(alone, "-I", "-B", "-c", ALONE, address, folder=scratch, environment=environment).splitlines()[-1]
        if told != here:
            sys.exit(f"e2e: {address} predicts {told}, and retrim {here}")


def main(scratch: Path) -> None:
    begun = time.monotonic()
    run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", scratch)
    (wheel,) = scratch.glob("*.whl")
    bin_folder = install(scratch / "environment", named_by(wheel), wheel=wheel).parent
    write_tables(scratch)
    dropped = ("PYTHONPATH", "VIRTUAL_ENV", "GIT_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(dropped)}
    path = os.pathsep.join([str(bin_folder), *(part for part in kept["PATH"].split(os.pathsep) if ".venv" not in part)])
    environment = {**kept, "PATH": path}
    workspace = scratch / "deliveries"
    run("retrim", "new", "deliveries", folder=scratch, environment=environment)

    def retrim(*arguments: str) -> str:
        return run("retrim", *arguments, folder=workspace, environment=environment)

    retrim("init", "--data", "../deliveries.csv", "--target", "minutes", "--yes")
    retrim("retrain", "--as-of", "2025-03-05")
    retrim("settings", "schedule.ingest=10s")
    see_schedule_land(workspace, scratch / "week.csv", environment)
    retrim("predict")
    retrim("predict", "../week.csv", "../predicted.csv")
    checked = json.loads(retrim("check", "--json"))["check"]
    rebuilt = json.loads(retrim("versions", "reproduce", "1", "--json"))
    laid = run("git", "ls-files", folder=workspace, environment=environment).splitlines()
    told = json.loads(retrim("status", "--json"))
    code = [name for name in laid if name.endswith(".py")]
    predicted = (scratch / "predicted.csv").read_text(encoding="utf-8").count("\n") - 1
    if (
        predicted != 168
        or not rebuilt["identical"]
        or checked["landed"]["rows"] != 2400 + 168
        or code
        or told["champion"] is None
    ):
        sys.exit(f"e2e: {rebuilt}\n{checked}\n{told}\n{code}")
    see_model_alone(scratch, workspace, bin_folder / "python", environment, told["champion"]["version"])
    print(f"{time.monotonic() - begun:6.1f} s  all of it; version 1 rebuilt: identical; {len(laid)} files in git")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        Path(sys.argv[1]).mkdir(parents=True)
        main(Path(sys.argv[1]).resolve())
    else:
        with tempfile.TemporaryDirectory(prefix="retrim-e2e-") as folder:
            main(Path(folder).resolve())
