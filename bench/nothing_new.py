"""Processor seconds of commands that have nothing to do: a live version, a previous champion, and nothing new since.

    python bench/nothing_new.py [--repeats 5]

A small workspace is made with two runs, which takes some minutes. Each line is one command, several times, each in a
process of its own; its children count, as git's. Processor seconds, user and system: they tell more than the clock's
where others use the machine too. The tools named are those that the command had imported when it ended.
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tests.builders.world import World, make_world  # noqa: E402
from tests.cli.test_cli import COMMAND, HEAVY  # noqa: E402

LIVE, CAME = 45, 49
"""Days when version 2 was made, and when the newest rows came."""


def prepare(folder: Path) -> World:
    """Version 2 is live, version 1 was; four days of rows came since, were scored and checked."""
    drift = {"kind": "concept", "size": 3.0, "since": "2024-01-26T00:00:00+00:00"}
    world = make_world(folder, server="", drift=drift)
    for since, until in ((None, 25), (25, LIVE)):
        world.land(world.day(until), since=None if since is None else world.day(since))
        world.retrim("retrain", "--as-of", world.day(until))
    world.land(world.day(CAME), since=world.day(LIVE))
    world.retrim("predict", "--now", world.day(CAME))
    world.retrim("check", "--now", world.day(CAME + 0.5))
    return world


def spent() -> float:
    """Processor seconds of all processes that were started from here and have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def ask(world: World, *arguments: str) -> tuple[float, set[str]]:
    """What a command took, and the tools that it had imported."""
    modules = world.root / "var" / "modules.json"
    code, before = COMMAND.replace("ENDED", repr(str(modules))), spent()
    subprocess.run(
        [sys.executable, "-c", code, json.dumps(arguments)],
        cwd=world.root,
        env=world.environment,
        capture_output=True,
        check=False,
    )
    return spent() - before, HEAVY & set(json.loads(modules.read_text(encoding="utf-8")))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5)
    repeats = parser.parse_args().repeats
    with tempfile.TemporaryDirectory(prefix="retrim-nothing-") as folder:
        world = prepare(Path(folder))
        print("| command | least, s | median, s | tools imported |\n|---|---|---|---|")
        for words in ("check --now {}", "predict --now {}", "retrain --as-of {}", "status", "why", "versions"):
            took = []
            for repeat in range(repeats):
                at = world.day(LIVE if "retrain" in words else CAME + 1 + repeat / 24)
                seconds, tools = ask(world, *words.format(at).split())
                took.append(seconds)
            named = ", ".join(sorted(tools)) or "none"
            print(f"| `{words.split()[0]}` | {min(took):.2f} | {statistics.median(took):.2f} | {named} |", flush=True)


if __name__ == "__main__":
    main()
