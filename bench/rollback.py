"""How long a rollback takes, as a command: from its start to its end, and what of it is spent where.

    python bench/rollback.py WORKSPACE [--times 5]

WORKSPACE is one in which at least two versions were live, such as var/demo. It is rolled back and forth in there, so
its release log gets two rows a time. Where others use the machine, the seconds of a processor tell more. The baseline
is the bare script of somebody without a release log or a test: a fresh process that moves two aliases in MLflow.
"""

import argparse
import os
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path

SOURCE = Path(__file__).resolve().parents[1] / "src"
COMMAND = "import sys; from retrim.cli.main import main; sys.argv[0] = 'retrim'; main()"
BARE = """
import mlflow
client = mlflow.MlflowClient({url!r}, {url!r})
for alias, number in (("champion", {champion}), ("previous", {previous})):
    client.set_registered_model_alias({model!r}, alias, str(number))
"""


def timed(command: list[str], folder: Path) -> tuple[float, float]:
    """Seconds from a command's start to its end, and seconds of a processor that it and its children had."""
    begun, before = time.perf_counter(), _processor()
    done = subprocess.run(command, cwd=folder, env=surroundings(), capture_output=True, text=True, check=False)
    took = time.perf_counter() - begun
    if done.returncode:
        sys.exit(done.stdout + done.stderr)
    return took, _processor() - before


def _processor() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def surroundings() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(SOURCE), "MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "1"}


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("workspace", type=Path)
    asked.add_argument("--times", type=int, default=5)
    given = asked.parse_args()
    sys.path.insert(0, str(SOURCE))
    from retrim.lineage.workspace import open_workspace
    from retrim.release.versions import find_live_version

    workspace = open_workspace(given.workspace)
    now_live = find_live_version(workspace)
    if now_live is None or now_live.previous is None:
        sys.exit(f"{given.workspace} has no two versions that were live; take another workspace, such as var/demo")
    root, pair = workspace.paths.root, (now_live.version, now_live.previous)
    command = [sys.executable, "-c", COMMAND, "versions", "rollback", "--reason", "measured", "--to"]
    ours = [timed([*command, str(number)], root) for _ in range(given.times) for number in reversed(pair)]
    row = workspace.store.version(workspace.model, pair[0])
    assert row is not None
    alone = [sys.executable, "-P", "-m", "retrim.release.answering", str(workspace.registry.bundle_folder(pair[0]))]
    fresh = [timed([*alone, row.bundle, "60", "600"], root) for _ in range(given.times)]
    bare_code = BARE.format(url=workspace.mlflow_url, model=workspace.model, champion=pair[0], previous=pair[1])
    bare = [timed([sys.executable, "-c", bare_code], root) for _ in range(given.times)]
    lines = ["| what | tries | median, s | slowest, s | of a processor, s |", "|---|---|---|---|---|"]
    for name, times in (
        ("`retrim versions rollback`, the whole command", ours),
        ("of it the fresh process that loads and answers", fresh),
        ("a bare script that moves two aliases", bare),
    ):
        wall, used = [each[0] for each in times], statistics.mean(each[1] for each in times)
        lines.append(f"| {name} | {len(times)} | {statistics.median(wall):.2f} | {max(wall):.2f} | {used:.2f} |")
    sys.stdout.write("\n".join([*lines, ""]))


if __name__ == "__main__":
    main()
