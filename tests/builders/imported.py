"""Commands asked in a process of their own, which tells what it had imported."""

import json
import subprocess
import sys
from dataclasses import dataclass

from tests.builders.world import World
from tests.cli.test_cli import COMMAND


@dataclass(frozen=True)
class Ended:
    """How a command ended, and what it had imported."""

    code: int
    out: str
    err: str
    modules: set[str]

    @property
    def said(self) -> str:
        """Both streams."""
        return self.out + self.err


def ask(world: World, *arguments: str) -> Ended:
    """Runs a command of retrim in a workspace."""
    modules = world.root / "var" / "modules.json"
    modules.parent.mkdir(exist_ok=True)
    done = subprocess.run(
        [sys.executable, "-c", COMMAND.replace("ENDED", repr(str(modules))), json.dumps(arguments)],
        cwd=world.root,
        env=world.environment,
        capture_output=True,
        text=True,
        check=False,
    )
    return Ended(done.returncode, done.stdout, done.stderr, set(json.loads(modules.read_text(encoding="utf-8"))))
