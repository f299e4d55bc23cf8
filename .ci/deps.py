"""Writes into dvc.yaml, as `deps` of each stage, all code of retrim that it imports. Other deps stay as they are."""

import re
from pathlib import Path

import grimp

ROOT = Path(__file__).resolve().parents[1]


def code_of(module: str, graph: grimp.ImportGraph) -> list[str]:
    """Files that importing a module runs: its own, those it imports, and the packages they lie in."""
    seen: set[str] = set()
    todo = {module}
    while todo:
        seen |= todo
        found = {upstream for name in todo for upstream in graph.find_upstream_modules(name)} | seen
        packages = {name.rsplit(".", depth)[0] for name in found for depth in range(1, name.count(".") + 1)}
        todo = (found | packages) - seen
    return sorted(str(file_of(name).relative_to(ROOT)) for name in seen)


def file_of(module: str) -> Path:
    base = ROOT.joinpath("src", *module.split("."))
    return base / "__init__.py" if base.is_dir() else base.with_suffix(".py")


def main() -> None:
    """Rewrites dvc.yaml where it differs, line by line, so that its comments stay."""
    graph = grimp.build_graph("retrim", exclude_type_checking_imports=True, cache_dir=None)
    path = ROOT / "dvc.yaml"
    lines: list[str] = []
    stage, in_deps = "", False
    for line in [*path.read_text(encoding="utf-8").splitlines(), ""]:
        if in_deps and not line.startswith("      - "):
            lines += [f"      - {name}" for name in code_of(f"retrim.stages.{stage}", graph)]
            in_deps = False
        if found := re.match(r"  (\w+):$", line):
            stage = found[1]
        in_deps = in_deps or line == "    deps:"
        if not line.startswith("      - src/"):
            lines.append(line)
    text = "\n".join(lines).rstrip("\n") + "\n"
    if text == path.read_text(encoding="utf-8"):
        print("dvc.yaml names all code that its stages import")
    else:
        path.write_text(text, encoding="utf-8")
        print("dvc.yaml is written anew; look at it with git diff dvc.yaml")


if __name__ == "__main__":
    main()
