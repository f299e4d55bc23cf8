"""The accumulated gain of an older checkout beside today's, on the same fits, over the three newest tables.

    git worktree add ../before COMMIT
    python bench/before_after.py --before ../before --cache FOLDER   # the fits of policies.py

Each side plays its own code and settings: triggers, guards, gate, probe. Cost is over hindsight that keeps nothing
back.
"""

import argparse
import inspect
import os
import subprocess
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).resolve().parent
TABLES = ("turbine", "oil", "bookings")


def tables_of_today() -> Any:
    """The module `streams` beside this file, also where another checkout's is imported."""
    spec = spec_from_file_location("streams_of_today", HERE / "streams.py")
    assert spec is not None
    assert spec.loader is not None
    found = module_from_spec(spec)
    sys.modules[spec.name] = found
    spec.loader.exec_module(found)
    return found


def played(cache: Path) -> None:
    """One side, with what is importable as `policies`: a line for each table."""
    import matrices
    import policies

    here: Any = policies
    tables = tables_of_today()
    blocks = here.PARAMS.probe.blocks
    spaced = "spaced" in inspect.signature(here.play).parameters
    gate = {"gated": 1.0} | ({"after": True} if "after" in inspect.signature(here.runs_of).parameters else {})
    for name in TABLES:
        stream = tables.load(name, cache / "packages")
        matrix = matrices.matrix_of(stream, cache, cores=1)
        free = here.runs_of(stream, matrix, blocks=blocks, gated=0.0)
        least = np.array([run.least for run in free])
        cells = [name]
        for runs in (free, here.runs_of(stream, matrix, blocks=blocks, **gate)):
            ends = [
                here.play(
                    run.setting,
                    here.asked_at(run.setting, run.retraining_cost),
                    probes=True,
                    **({"spaced": here.spaced(run.retraining_cost)} if spaced else {}),
                )
                for run in runs
            ]
            pairs = list(zip(runs, ends, strict=True))
            cost = np.array([each.cost(run.retraining_cost) for run, each in pairs]) / least
            told = [((run.setting, run.retraining_cost) if spaced else (run,), each) for run, each in pairs]
            own = [here.probe_cost(*of, each, "refit") for of, each in told]
            cells += [f"{cost.mean():.3f} / {cost.max():.2f}", f"{np.mean(own / least):.3f}"]
            cells += [f"{np.mean([each.retrainings for each in ends]):.1f}"]
        calendar = [here.play(run.setting, here.every(8, run.setting.matrix.windows), probes=False) for run in free]
        costs = np.array([each.cost(run.retraining_cost) for run, each in zip(free, calendar, strict=True)]) / least
        print("| " + " | ".join([*cells, f"{costs.mean():.3f} / {costs.max():.2f}"]) + " |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--before", type=Path, help="checkout of the older code")
    given = parser.parse_args()
    if given.before is None:
        played(given.cache)
        return
    both = ("released", "probes add", "retrainings", "gate on", "probes add", "retrainings")
    print("| " + " | ".join(["table", *both, "every 8"]) + " |\n|" + "---|" * 8)
    for side in (given.before.resolve(), HERE.parent):
        print(f"| *{'before' if side != HERE.parent else 'now'}* |", flush=True)
        paths = os.pathsep.join(map(str, [side / "bench", side / "src", HERE]))
        command = [sys.executable, "-P", str(Path(__file__).resolve()), "--cache", str(given.cache.resolve())]
        subprocess.run(command, check=True, env={**os.environ, "PYTHONPATH": paths})


if __name__ == "__main__":
    main()
