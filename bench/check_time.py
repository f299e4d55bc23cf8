"""How long the drift part of a check takes, and its memory: 1,000,000 x 30 rows against a stored profile, and peers.

    python bench/check_time.py [--rows 1000000] [--repeats 3] [--peers FOLDER] [--only NAME ...]

Each line is a process of its own. Ours reads the profile and the current window, counts, tests and ranks; the others
hold the reference in memory beside the current window, and what they do is timed without reading either. Times are the
least of the repeats, the first beside it; processor seconds are the mean of the later ones, and tell more where others
use the machine too. Memory is how far it rose during the first check, above what lay there before.
With `--peers FOLDER` Frouros, NannyML and Evidently too, in the environments of false_alarms.py.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
NUMBERS, CATEGORIES = 20, 10
Timed = Callable[[], Any]


def table(rows: int, seed: int) -> Any:
    """Ten normal columns, four with long tails, three of whole numbers, three half zero; ten of 12 to 50 categories."""
    import numpy as np
    import pandas as pd

    random = np.random.default_rng(seed)
    columns: dict[str, Any] = {"_event": pd.date_range("2025-01-01", periods=rows, freq="s", tz="UTC")}
    for place in range(NUMBERS):
        values = random.normal(size=rows)
        if 10 <= place < 14:
            values = np.exp(2 * values)
        elif 14 <= place < 17:
            values = np.floor(8 * np.abs(values))
        elif place >= 17:
            values = np.maximum(values, 0)
        columns[f"x{place}"] = np.where(random.random(rows) < 0.02, np.nan, values)
    for place in range(CATEGORIES):
        names = np.array([f"level {number}" for number in range(50 if place == 0 else 12)])
        columns[f"k{place}"] = pd.Series(names[random.integers(0, len(names), rows)], dtype="str")
    return pd.DataFrame(columns)


def prepare(folder: Path, rows: int) -> None:
    """Both windows as Parquet, and the profile of the first as its files."""

    from retrim.drift.profile import ProfileParams, make_profile
    from retrim.drift.reference import ExpectedWindows, keep

    reference = table(rows, 1)
    reference.to_parquet(folder / "reference.parquet", index=False)
    table(rows, 2).to_parquet(folder / "current.parquet", index=False)

    params = ProfileParams()
    kinds: dict[str, Any] = {f"x{place}": "number" for place in range(NUMBERS)}
    kinds |= {f"k{place}": "category" for place in range(CATEGORIES)}
    profile, drift = make_profile(reference, kinds, params, time="_event"), _drift()
    begin = time.perf_counter()
    kept = keep(profile, ExpectedWindows(rows, drift.alarms, drift.joint, cores=2), alone=[tuple(kinds)], together=())
    print(f"made at training for windows of {rows:,} rows: {time.perf_counter() - begin:.2f} s")
    (folder / "profile").mkdir()
    for file, content in kept.as_files().items():
        (folder / "profile" / file).write_bytes(content)


def _drift() -> Any:
    """The section `drift` of params.yaml."""
    from retrim.settings import load_params

    return load_params(ROOT / "params.yaml").drift


def ours(folder: Path) -> tuple[Timed, dict[str, float]]:
    from retrim.drift.alarms import AlarmRequest
    from retrim.drift.findings import findings
    from retrim.drift.profile import Profile

    params, asked = _drift(), AlarmRequest(0.01, 1.0, 4000, 7)
    begin = time.perf_counter()
    profile = Profile.from_files({file.name: file.read_bytes() for file in (folder / "profile").iterdir()})
    loaded = time.perf_counter() - begin
    current, read = _read(folder / "current.parquet")

    def check() -> Any:
        return findings(profile, current, params, time="_event", importances={}, alarms=asked)

    return check, {"read_s": read, "load_s": loaded, **_size(current)}


def scipy(folder: Path) -> tuple[Timed, dict[str, float]]:
    import numpy as np
    import pandas as pd
    from scipy.stats import chi2_contingency, ks_2samp

    reference, _ = _read(folder / "reference.parquet")
    current, read = _read(folder / "current.parquet")

    def check() -> Any:
        found = [
            ks_2samp(reference[f"x{place}"].dropna(), current[f"x{place}"].dropna(), method="asymp")
            for place in range(NUMBERS)
        ]
        for place in range(CATEGORIES):
            sides = [window[f"k{place}"].value_counts() for window in (reference, current)]
            counts = pd.concat(sides, axis=1).fillna(0).to_numpy()
            found.append(chi2_contingency(np.asarray(counts).T))
        return found

    return check, {"read_s": read, **_size(current)}


def frouros(folder: Path) -> tuple[Timed, dict[str, float]]:
    import numpy as np
    from frouros.detectors.data_drift import ChiSquareTest, KSTest

    reference, _ = _read(folder / "reference.parquet")
    current, read = _read(folder / "current.parquet")

    def check() -> Any:
        found = []
        for place in range(NUMBERS):
            test = KSTest()
            test.fit(X=reference[f"x{place}"].dropna().to_numpy())
            found.append(test.compare(X=current[f"x{place}"].dropna().to_numpy())[0])
        for place in range(CATEGORIES):
            test = ChiSquareTest()
            test.fit(X=np.asarray(reference[f"k{place}"].astype(object)))
            found.append(test.compare(X=np.asarray(current[f"k{place}"].astype(object)))[0])
        return found

    return check, {"read_s": read, **_size(current)}


def nannyml(folder: Path) -> tuple[Timed, dict[str, float]]:
    import nannyml as nml

    reference, _ = _read(folder / "reference.parquet")
    current, read = _read(folder / "current.parquet")
    names = [name for name in current.columns if name != "_event"]

    def check() -> Any:
        calculator = nml.UnivariateDriftCalculator(
            column_names=names, continuous_methods=["kolmogorov_smirnov"], categorical_methods=["chi2"], chunk_number=1
        )
        calculator.fit(reference)
        return calculator.calculate(current).to_df()

    return check, {"read_s": read, **_size(current)}


def evidently(folder: Path) -> tuple[Timed, dict[str, float]]:
    from evidently import DataDefinition, Dataset, Report
    from evidently.presets import DataDriftPreset

    reference, _ = _read(folder / "reference.parquet")
    current, read = _read(folder / "current.parquet")
    kinds = DataDefinition(
        numerical_columns=[f"x{place}" for place in range(NUMBERS)],
        categorical_columns=[f"k{place}" for place in range(CATEGORIES)],
    )

    plain = {f"k{place}": object for place in range(CATEGORIES)}

    def check() -> Any:
        sides = [
            Dataset.from_pandas(window.drop(columns="_event").astype(plain), data_definition=kinds)
            for window in (current, reference)
        ]
        return Report([DataDriftPreset()]).run(*sides).dict()

    return check, {"read_s": read, **_size(current)}


SYSTEMS = {
    "retrim": ours,
    "scipy": scipy,
    "frouros": frouros,
    "nannyml": nannyml,
    "evidently": evidently,
}


def measure(system: str, folder: Path, repeats: int) -> dict[str, float]:
    """Seconds of the check, the least of the repeats, and MB that memory rose by during the first."""
    check, facts = SYSTEMS[system](folder)
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # the peak begins anew
    before = _memory("VmRSS")
    first = _seconds(check)
    peak = _memory("VmHWM") - before
    used = time.process_time()
    again = [_seconds(check) for _ in range(repeats - 1)]
    used = (time.process_time() - used) / max(repeats - 1, 1)
    return {
        **facts,
        "first_s": first,
        "check_s": min([first, *again]),
        "cpu_s": used,
        "peak_mb": peak,
        "before_mb": before,
    }


def _seconds(work: Timed) -> float:
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin


def _memory(what: str) -> float:
    """MB of this process: VmRSS now, VmHWM at most."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(f"{what}:"))


def _read(path: Path) -> tuple[Any, float]:
    import pandas as pd

    pd.read_parquet(path, columns=["_event"])  # imports what reading needs
    begin = time.perf_counter()
    frame = pd.read_parquet(path)
    return frame, time.perf_counter() - begin


def _size(frame: Any) -> dict[str, float]:
    return {"window_mb": float(frame.memory_usage(deep=True).sum()) / 2**20}


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument(
        "--peers", type=Path, metavar="FOLDER", help="times Frouros, NannyML, Evidently; FOLDER keeps them"
    )
    parser.add_argument("--only", nargs="*", default=list(SYSTEMS), metavar="NAME", help="these alone")
    parser.add_argument("--system", choices=sorted(SYSTEMS), help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.system:
        print(json.dumps(measure(asked.system, asked.folder, asked.repeats)))
        return
    from false_alarms import PEERS, environment

    peers = {peer.name.lower(): peer for peer in PEERS if peer.name.lower() in SYSTEMS}
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        prepare(folder, asked.rows)
        print("| system | reading, s | check, s (first) | processor, s | window, MB | rose by, MB | window and rise |")
        print("|---|---|---|---|---|---|---|")
        for system in (name for name in asked.only if name not in peers or asked.peers):
            python = environment(asked.peers or folder, peers[system]) if system in peers else sys.executable
            if isinstance(python, str) and system in peers:
                print(f"| {system} | not installed: {python} |")
                continue
            command = [python, __file__, "--system", system, "--folder", folder, "--repeats", str(asked.repeats)]
            quiet = {**os.environ, "DO_NOT_TRACK": "1", "NML_DISABLE_USAGE_LOGGING": "1"}
            done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False, env=quiet)
            if done.returncode:
                print(f"| {system} | failed: {done.stderr.strip().splitlines()[-1]} |")
                continue
            found = json.loads(done.stdout.splitlines()[-1])
            print(
                f"| {system} | {found['read_s']:.2f} | {found['check_s']:.2f} ({found['first_s']:.2f}) "
                f"| {found['cpu_s']:.2f} | {found['window_mb']:.0f} | {found['peak_mb']:.0f} "
                f"| {1 + found['peak_mb'] / found['window_mb']:.2f} |",
                flush=True,
            )
            if system == "retrim":
                print(f"| of it not counted: loading the profile | {found['load_s']:.2f} | | | | | |")


if __name__ == "__main__":
    main()
