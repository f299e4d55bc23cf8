"""How landed files should be written: codec, rows of a row group, one file a batch or one a day of events.

    python bench/partitions.py [--rows 1000000]

A first load over three years, 50 columns (those of bench/scale.py). Read are all columns of all rows, one column of all
rows, and all columns of the newest 1% of the rows in time. Seconds are the least of three, on one thread.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from scale import write_file

CODECS = [("snappy", None), ("lz4", None), ("zstd", 1), ("zstd", 3), ("zstd", 9)]
GROUPS = [1 << 14, 1 << 17, 1 << 20]


def least(work: Callable[[], object]) -> float:
    """Seconds of the quickest of three."""
    took = []
    for _ in range(3):
        began = time.perf_counter()
        work()
        took.append(time.perf_counter() - began)
    return min(took)


def newest(path: Path, since: pa.Scalar) -> pa.Table:
    """All columns of the rows since a time, read from the row groups that have some."""
    with path.open("rb") as file:
        stored = pq.ParquetFile(file)
        place = stored.schema_arrow.names.index("at")
        wanted = [
            group
            for group in range(stored.metadata.num_row_groups)
            if stored.metadata.row_group(group).column(place).statistics.max >= since.as_py()
        ]
        part = stored.read_row_groups(wanted, use_threads=False)
    return part.filter(pc.greater_equal(part["at"], since))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="retrim-partitions-") as scratch:
        source = Path(scratch) / "source.parquet"
        write_file(source, 0, given.rows, given.rows)
        table = pq.read_table(source).sort_by("at")
        since = table["at"][int(given.rows * 0.99)]
        print("| files | codec | rows of a group | MB | write, s | read all, s | one column, s | newest 1%, s |")
        print("|" + "---|" * 8)
        for codec, level in CODECS:
            for rows in GROUPS if (codec, level) == ("zstd", 3) else [1 << 17]:
                path = Path(scratch) / f"{codec}-{level}-{rows}.parquet"
                how = {"compression": codec, "compression_level": level, "row_group_size": rows}
                wrote = least(lambda path=path, how=how: pq.write_table(table, path, **how))
                whole = least(lambda path=path: pq.read_table(path, use_threads=False))
                one = least(lambda path=path: pq.read_table(path, columns=["x1"], use_threads=False))
                late = least(lambda path=path: newest(path, since))
                size = path.stat().st_size / 1e6
                name = codec if level is None else f"{codec} {level}"
                print(f"| 1 | {name} | {rows:,} | {size:.0f} | {wrote:.2f} | {whole:.2f} | {one:.3f} | {late:.3f} |")
        by_day(table, since, Path(scratch))


def by_day(table: pa.Table, since: pa.Scalar, scratch: Path) -> None:
    """The same as a file a day of events."""
    days = pc.floor_temporal(table["at"], unit="day")
    ends = [0, *(place + 1 for place in range(len(days) - 1) if days[place] != days[place + 1]), len(days)]
    paths = [scratch / f"{number:05}.parquet" for number in range(len(ends) - 1)]

    def write() -> None:
        for path, start, end in zip(paths, ends[:-1], ends[1:], strict=True):
            pq.write_table(table.slice(start, end - start), path, compression="zstd", compression_level=3)

    wrote = least(write)
    whole = least(lambda: pa.concat_tables([pq.read_table(path, use_threads=False) for path in paths]))
    one = least(lambda: [pq.read_table(path, columns=["x1"], use_threads=False) for path in paths])
    late = least(
        lambda: [newest(path, since) for path in paths]
    )  # every footer is looked at, as is that of the one file
    size = sum(path.stat().st_size for path in paths) / 1e6
    print(f"| {len(paths):,} | zstd 3 | a day | {size:.0f} | {wrote:.2f} | {whole:.2f} | {one:.3f} | {late:.3f} |")


if __name__ == "__main__":
    main()
