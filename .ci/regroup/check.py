"""Says what plan.txt would give: imports that point up, cycles, files by folder, and modules it does not name."""

import sys
from collections import Counter
from pathlib import Path

import grimp
import networkx as nx
from plan import PACKAGE, folder_of, read_plan


def main() -> None:
    plan = read_plan(Path(__file__).with_name("plan.txt"))
    today, then = grimp.build_graph(PACKAGE), nx.DiGraph()
    level = {folder: place for place, folder in enumerate(plan.folders)}
    print("not there:", *sorted(set(plan.moves) - today.modules))
    print("not named:", *sorted(today.modules - set(plan.moves) - {PACKAGE}))
    arrows = set()
    for old in sorted(set(plan.moves) & today.modules):
        for other in sorted(today.find_modules_directly_imported_by(old) & set(plan.moves)):
            new, below = plan.moves[old], plan.moves[other]
            if new != below:
                then.add_edge(new, below)
            if folder_of(new) != folder_of(below):
                arrows.add((folder_of(new), folder_of(below)))
                if level[folder_of(below)] > level[folder_of(new)]:
                    print(f"points up: {old} ({new}) imports {other} ({below})")
    for cycle in nx.strongly_connected_components(then):
        if len(cycle) > 1:
            print("cycle:", *sorted(cycle))
    files = Counter(folder_of(new) for new in set(plan.moves.values()))
    print(f"{files.total()} files, {len(files)} folders, {len(arrows)} arrows:", dict(files.most_common()))


if __name__ == "__main__":
    sys.exit(main())
