"""YAML by ruamel.yaml, as settings are read, against PyYAML in C: import and reading, in milliseconds of a core.

    python bench/yaml_reading.py

Each in a process of its own, as a command reads it once: the median of nine. PyYAML is there as others need it.
"""

import argparse
import statistics
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
ONE = """
import sys, time
from pathlib import Path
text = Path(sys.argv[1]).read_text(encoding="utf-8")
begun = time.process_time()
{load}
loaded = time.process_time()
read(text)
print(1000 * (loaded - begun), 1000 * (time.process_time() - loaded))
"""
LOADS = {
    "ruamel.yaml": "from ruamel.yaml import YAML; read = YAML(typ='safe', pure=True).load",
    "PyYAML in C": "import yaml; read = lambda text: yaml.load(text, Loader=yaml.CSafeLoader)",
}


def measure(load: str, file: Path) -> tuple[float, float]:
    """Import and reading of one file, median of nine processes."""
    command = [sys.executable, "-c", ONE.format(load=load), str(file)]
    printed = [subprocess.run(command, check=True, capture_output=True, text=True).stdout.split() for _ in range(9)]
    imports, reads = zip(*(map(float, line) for line in printed), strict=True)
    return statistics.median(imports), statistics.median(reads)


def main() -> None:
    """Prints a line a library and file."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    print("| library | file | import | reading |")
    print("|---|---|---|---|")
    for name in ("params.yaml", "dvc.yaml"):
        for library, load in LOADS.items():
            imported, read = measure(load, ROOT / name)
            print(f"| {library} | {name} | {imported:.1f} | {read:.1f} |")


if __name__ == "__main__":
    main()
