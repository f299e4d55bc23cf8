"""How long a rollback takes, as a command: from its start to its end, and what of it is spent where.

    python bench/rollback.py WORKSPACE [--times 5]

WORKSPACE is one in which at least two versions were live, such as var/demo. It is rolled back and forth in there, so
its release log gets two rows a time. The baseline is the bare script of somebody without a release log or a test: a
fresh process that moves two aliases in MLflow.
"""

import argparse
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

SOURCE = Path(__file__).resolve().parents[1] / "src"
COMMAND = "import sys; from retrim.cli import main; sys.argv[0] = 'retrim'; main()"
BARE = """
import mlflow
client = mlflow.MlflowClient({url!r}, {url!r})
for alias, number in (("champion", {champion}), ("previous", {previous})):
    client.set_registered_model_alias({model!r}, alias, str(number))
"""
ALONE = """
import sys
from pathlib import Path
from retrim.ops.house import open_house
from retrim.ops.release_checks import ask_fresh
house = open_house(Path.cwd())
row = house.store.version(house.model, {version})
folder = house.registry.bundle_folder({version})
import time
begun = time.perf_counter()
assert ask_fresh(folder, row.bundle, seconds=60).failure is None
print(time.perf_counter() - begun)
"""


def timed(command: list[str], folder: Path) -> float:
    """Seconds that a command took, from its start to its end."""
    begun = time.perf_counter()
    done = subprocess.run(command, cwd=folder, env=surroundings(), capture_output=True, text=True, check=False)
    took = time.perf_counter() - begun
    if done.returncode:
        sys.exit(done.stdout + done.stderr)
    return took


def surroundings() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(SOURCE), "MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "1"}


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("workspace", type=Path)
    asked.add_argument("--times", type=int, default=5)
    given = asked.parse_args()
    sys.path.insert(0, str(SOURCE))
    from retrim.ops.house import open_house
    from retrim.ops.live import live

    house = open_house(given.workspace)
    now_live = live(house)
    if now_live is None or now_live.previous is None:
        sys.exit(f"{given.workspace} has no two versions that were live; take another workspace, such as var/demo")
    root, pair = house.workspace.root, (now_live.version, now_live.previous)
    command = [sys.executable, "-c", COMMAND, "rollback", "--reason", "measured", "--to"]
    ours = [timed([*command, str(number)], root) for _ in range(given.times) for number in reversed(pair)]
    fresh = []
    for _ in range(given.times):
        code = ALONE.format(version=pair[0])
        done = subprocess.run(
            [sys.executable, "-c", code], cwd=root, env=surroundings(), capture_output=True, text=True, check=True
        )
        fresh.append(float(done.stdout))
    bare_code = BARE.format(url=house.mlflow_url, model=house.model, champion=pair[0], previous=pair[1])
    bare = [timed([sys.executable, "-c", bare_code], root) for _ in range(given.times)]
    print("| what | tries | median, s | slowest, s |\n|---|---|---|---|")
    for name, times in (
        ("`retrim rollback`, the whole command", ours),
        ("of it the fresh process that loads and answers", fresh),
        ("a bare script that moves two aliases", bare),
    ):
        print(f"| {name} | {len(times)} | {statistics.median(times):.2f} | {max(times):.2f} |")


if __name__ == "__main__":
    main()
