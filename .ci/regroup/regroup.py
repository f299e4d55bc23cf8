"""Moves and joins modules as plan.txt says, and rewrites imports, mutants and documents: `regroup.py ROOT`.

It needs libcst, which is not in requirements.lock. Start from a clean tree, and run ruff afterwards.
"""

import collections
import pathlib
import re
import shutil
import sys
from typing import Any

import libcst as cst
from libcst import metadata as meta
from plan import read_plan

TREES = ("flows", "tests", "bench")
TEXTS = ("pyproject.toml", "dvc.yaml", "docs", "tests", "README.md", "CONTRIBUTING.md", "Makefile")


def module_name(path: Any, src: Any) -> Any:
    name = ".".join(path.relative_to(src).with_suffix("").parts)
    return name.removesuffix(".__init__")


class Modules:
    def __init__(self, root: Any) -> None:
        self.root = root
        self.files = {}
        for tree in ("src",):
            for path in sorted((root / tree).rglob("*.py")):
                self.files[module_name(path, root / tree)] = path
        self.trees = {name: cst.parse_module(path.read_text()) for name, path in self.files.items()}
        self.defined = {name: top_names(tree) for name, tree in self.trees.items()}
        self.imported = {name: top_imports(tree) for name, tree in self.trees.items()}

    def origin(self, module: Any, name: Any, seen: Any = ()) -> Any:
        """Where `from module import name` comes from, through re-exports; a module itself is (module, None)."""
        if f"{module}.{name}" in self.files and name not in self.defined.get(module, ()):
            inner = self.imported.get(module, {}).get(name)
            if inner is None:
                return f"{module}.{name}", None
        if module not in self.files:
            return None
        if name in self.defined[module]:
            return module, name
        found = self.imported[module].get(name)
        if found and (module, name) not in seen:
            return self.origin(found[0], found[1], (*seen, (module, name))) or None
        return None


def dotted(node: Any) -> Any:
    if isinstance(node, cst.Name):
        return node.value
    return f"{dotted(node.value)}.{node.attr.value}"


def target_names(node: Any) -> Any:
    if isinstance(node, cst.Name):
        yield node.value
    elif isinstance(node, (cst.Tuple, cst.List)):
        for element in node.elements:
            yield from target_names(element.value)


def top_statements(tree: Any) -> Any:
    for statement in tree.body:
        yield statement
        if isinstance(statement, cst.If):
            yield from statement.body.body


def top_names(tree: Any) -> Any:
    names = {}
    for statement in top_statements(tree):
        if isinstance(statement, (cst.FunctionDef, cst.ClassDef)):
            names[statement.name.value] = statement
        elif isinstance(statement, cst.SimpleStatementLine):
            for small in statement.body:
                if isinstance(small, cst.Assign):
                    for target in small.targets:
                        for name in target_names(target.target):
                            names[name] = statement
                elif isinstance(small, cst.AnnAssign) and isinstance(small.target, cst.Name):
                    names[small.target.value] = statement
                elif isinstance(small, cst.TypeAlias):
                    names[small.name.value] = statement
        elif isinstance(statement, (cst.For, cst.With)):
            pass
    return names


def top_imports(tree: Any) -> Any:
    names = {}
    for statement in top_statements(tree):
        if isinstance(statement, cst.SimpleStatementLine):
            for small in statement.body:
                if (
                    isinstance(small, cst.ImportFrom)
                    and small.module is not None
                    and not isinstance(small.names, cst.ImportStar)
                ):
                    module = dotted(small.module)
                    for alias in small.names:
                        local = alias.asname.name.value if alias.asname else alias.name.value
                        names[local] = (module, alias.name.value)
    return names


class Rewrite(cst.CSTTransformer):
    """Points imports at the new places, drops those of one's own module, renames what is renamed."""

    METADATA_DEPENDENCIES = (meta.ScopeProvider, meta.ParentNodeProvider)

    def __init__(self, modules: Any, plan: Any, own: Any) -> None:
        super().__init__()
        self.modules, self.plan, self.own = modules, plan, own  # own: old name of this module, or None
        self.home = plan.moves.get(own, own) if own else None
        self.renamed = {}  # id of Name node -> new text
        self.attributes = {}  # id of Attribute node (alias.x) -> replacement node
        self.problems = []

    def visit_Module(self, node: Any) -> Any:  # noqa: N802  libcst calls it so
        scope = self.get_metadata(meta.ScopeProvider, node)
        self._renames_of_own(scope, node)
        scopes = {s for s in self.metadata[meta.ScopeProvider].values() if s is not None}
        for each in scopes:
            for assignment in each.assignments:
                if isinstance(assignment, meta.ImportAssignment):
                    self._follow(assignment)

    def _renames_of_own(self, scope: Any, node: Any) -> Any:
        for (module, name), new in self.plan.renames.items():
            if module != self.own:
                continue
            for assignment in scope[name]:
                self._rename(assignment, name, new)

    def _rename(self, assignment: Any, name: Any, new: Any) -> Any:
        self.renamed[("defined", id(assignment.node))] = (name, new)
        if isinstance(assignment.node, cst.Name):
            self.renamed[id(assignment.node)] = new
        for access in assignment.references:
            target = access.node
            while isinstance(target, cst.Attribute):
                target = target.value
            self.renamed[id(target)] = new

    def _follow(self, assignment: Any) -> Any:
        node = assignment.node
        if not isinstance(node, cst.ImportFrom) or node.module is None or isinstance(node.names, cst.ImportStar):
            return
        module = dotted(node.module)
        if not module.startswith("retrim"):
            return
        for alias in node.names:
            local = alias.asname.name.value if alias.asname else alias.name.value
            if local != assignment.name:
                continue
            place = self.modules.origin(module, alias.name.value)
            if place is None:
                continue
            old, name = place
            new_module = self.plan.moves.get(old, old)
            if name is not None:
                new = self.plan.renames.get((old, name))
                final = new or name
                if (new_module == self.home and local != final) or (new and alias.asname is None):
                    for access in assignment.references:
                        target = access.node
                        while isinstance(target, cst.Attribute):
                            target = target.value
                        self.renamed[id(target)] = final
                continue
            self._follow_module(assignment, old, new_module, alias, local)

    def _follow_module(self, assignment: Any, old: Any, new_module: Any, alias: Any, local: Any) -> Any:
        """Uses of a module under its name, as `gbm.fit`."""
        stem = new_module.rsplit(".", 1)[-1]
        for access in assignment.references:
            target = access.node
            while isinstance(target, cst.Attribute):
                target = target.value
            outer = self.get_metadata(meta.ParentNodeProvider, target)
            outer = outer if isinstance(outer, cst.Attribute) and outer.value is target else None
            if new_module == self.home:
                if outer is None:
                    self.problems.append(f"{self.own}: {local} is used as a value")
                else:
                    name = outer.attr.value
                    self.attributes[id(outer)] = cst.Name(self.plan.renames.get((old, name), name))
                continue
            new = outer and self.plan.renames.get((old, outer.attr.value))
            if new:
                self.renamed[id(outer.attr)] = new
            if alias.asname is None and stem != local:
                self.renamed[id(target)] = stem

    def leave_Name(self, original: Any, updated: Any) -> Any:  # noqa: N802  libcst calls it so
        new = self.renamed.get(id(original))
        return updated.with_changes(value=new) if new else updated

    def leave_Attribute(self, original: Any, updated: Any) -> Any:  # noqa: N802  libcst calls it so
        return self.attributes.get(id(original), updated)

    def _defined(self, original: Any, updated: Any) -> Any:
        pair = self.renamed.get(("defined", id(original)))
        return updated.with_changes(name=cst.Name(pair[1])) if pair else updated

    def leave_FunctionDef(self, original: Any, updated: Any) -> Any:  # noqa: N802  libcst calls it so
        return self._defined(original, updated)

    def leave_ClassDef(self, original: Any, updated: Any) -> Any:  # noqa: N802  libcst calls it so
        return self._defined(original, updated)

    def leave_SimpleStatementLine(self, original: Any, updated: Any) -> Any:  # noqa: N802  libcst calls it so
        parts, changed = [], False
        for small in updated.body:
            if (
                isinstance(small, cst.ImportFrom)
                and small.module is not None
                and not isinstance(small.names, cst.ImportStar)
            ):
                module = dotted(small.module)
                if module.startswith("retrim"):
                    changed = True
                    parts += self._imports(small, module)
                    continue
            parts.append(small)
        if not changed:
            return updated
        if not parts:
            return cst.RemoveFromParent()
        if len(parts) == 1:
            return updated.with_changes(body=[parts[0].with_changes(semicolon=cst.MaybeSentinel.DEFAULT)])
        lines = [updated.with_changes(body=[parts[0].with_changes(semicolon=cst.MaybeSentinel.DEFAULT)])]
        lines += [
            cst.SimpleStatementLine(
                body=[part.with_changes(semicolon=cst.MaybeSentinel.DEFAULT)],
                trailing_whitespace=updated.trailing_whitespace,
            )
            for part in parts[1:]
        ]
        return cst.FlattenSentinel(lines)

    def _imports(self, small: Any, module: Any) -> Any:
        groups = collections.defaultdict(list)
        for alias in small.names:
            name = alias.name.value
            place = self.modules.origin(module, name)
            asname = alias.asname.name.value if alias.asname else None
            if place is None:
                groups[self.plan.moves.get(module, module)].append((name, asname))
                continue
            old, inner = place
            new = self.plan.moves.get(old, old)
            if inner is None:
                if new == self.home:
                    continue
                package, _, stem = new.rpartition(".")
                groups[package].append((stem, asname))
            else:
                if new == self.home:
                    continue
                final = self.plan.renames.get((old, inner), inner)
                groups[new].append((final, asname if asname != final else None))
        made = []
        for new, pairs in groups.items():
            aliases = [
                cst.ImportAlias(
                    name=cst.Name(name),
                    asname=cst.AsName(
                        name=cst.Name(asname),
                        whitespace_before_as=cst.SimpleWhitespace(" "),
                        whitespace_after_as=cst.SimpleWhitespace(" "),
                    )
                    if asname
                    else None,
                )
                for name, asname in pairs
            ]
            made.append(cst.ImportFrom(module=cst.parse_expression(new), names=aliases))
        return made


def touched(modules: Any, plan: Any, tree: Any) -> Any:
    finder = Finder()
    tree.visit(finder)
    for module, name in finder.found:
        place = modules.origin(module, name)
        if module in plan.moves or (
            place and ((place[0] in plan.moves and plan.moves[place[0]] != place[0]) or place in plan.renames)
        ):
            return True
    return False


class Finder(cst.CSTVisitor):
    def __init__(self) -> None:
        self.found = []

    def visit_ImportFrom(self, node: Any) -> Any:  # noqa: N802  libcst calls it so
        if (
            node.module is not None
            and not isinstance(node.names, cst.ImportStar)
            and dotted(node.module).startswith("retrim")
        ):
            self.found += [(dotted(node.module), alias.name.value) for alias in node.names]


def rewrite(modules: Any, plan: Any, text_or_tree: Any, own: Any) -> Any:
    if own not in plan.moves and not touched(modules, plan, text_or_tree):
        return text_or_tree, []
    wrapper = meta.MetadataWrapper(text_or_tree)
    change = Rewrite(modules, plan, own)
    tree = wrapper.visit(change)
    return tree, change.problems


def names_in(statement: Any) -> Any:
    return list(top_names(cst.Module(body=[statement])))


def is_import(statement: Any) -> Any:
    return isinstance(statement, cst.SimpleStatementLine) and all(
        isinstance(s, (cst.Import, cst.ImportFrom)) for s in statement.body
    )


def is_docstring(statement: Any) -> Any:
    return (
        isinstance(statement, cst.SimpleStatementLine)
        and isinstance(statement.body[0], cst.Expr)
        and isinstance(statement.body[0].value, (cst.SimpleString, cst.ConcatenatedString))
    )


def is_all(statement: Any) -> Any:
    return isinstance(statement, cst.SimpleStatementLine) and any(
        isinstance(s, cst.Assign) and dotted_or_none(s.targets[0].target) == "__all__" for s in statement.body
    )


def dotted_or_none(node: Any) -> Any:
    return node.value if isinstance(node, cst.Name) else None


def parts_of(tree: Any) -> Any:
    doc, imports, body = "", [], []
    for index, statement in enumerate(tree.body):
        if index == 0 and is_docstring(statement):
            doc = statement.body[0].value.evaluated_value
        elif is_import(statement):
            imports.append(statement)
        elif is_all(statement):
            pass
        else:
            body.append(statement)
    return doc, imports, body


def code_of(modules: Any, old: Any, name: Any) -> Any:
    """Source of a top-level constant or function, for telling equal ones."""
    found = modules.defined[old][name]
    return modules.trees[old].code_for_node(found.with_changes(leading_lines=[]))


def order(group: Any, modules: Any) -> Any:
    """Old modules of one target, each after those it imports at its top."""
    done, out = set(), []

    def add(name: Any, path: Any = ()) -> Any:
        if name in done or name in path:
            return
        for module, what in modules.imported[name].values():
            place = modules.origin(module, what)
            if place and place[0] in group and place[0] != name:
                add(place[0], (*path, name))
        done.add(name)
        out.append(name)

    for name in group:
        add(name)
    return out


def joined(docs: Any) -> Any:
    return "\n\n".join(dict.fromkeys(doc.strip() for doc in docs if doc.strip()))


def main() -> Any:
    root = pathlib.Path(sys.argv[1]).resolve()
    plan, modules = read_plan(pathlib.Path(__file__).with_name("plan.txt")), Modules(root)
    groups = collections.defaultdict(list)
    for old, new in plan.moves.items():
        groups[new].append(old)
    ordered = {new: order(olds, modules) for new, olds in groups.items()}
    drops = {double for new, olds in ordered.items() for double in settle_names(new, olds, modules, plan)}
    trees, outside = rewritten(modules, plan, root)
    for path, tree in outside.items():
        path.write_text(tree.code)
    for old, path in modules.files.items():
        if old in plan.moves:
            path.unlink()
        else:
            path.write_text(trees[old].code)
    for new, olds in ordered.items():
        write_joined(root / "src", new, [(old, trees[old]) for old in olds], drops)
    remove_empty_folders(root / "src")
    texts(root, plan.moves)


def settle_names(new: Any, olds: Any, modules: Any, plan: Any) -> Any:
    """Renames what would stand twice in a module; gives what is the same in two, which is dropped from the second."""
    seen, doubles = {}, []
    for old in olds:
        for name in modules.defined[old]:
            final = plan.renames.get((old, name), name)
            if name == "__all__":
                continue
            if final not in seen:
                seen[final] = old
            elif code_of(modules, old, name) == code_of(modules, seen[final], name):
                doubles.append((old, name))
                print(f"the same: {old}:{name} and {seen[final]}")
            else:
                seen[rename(plan, old, name, seen[final])] = old
    meant = {}
    for old in olds:  # an imported name that means something else in another part
        for local, (module, name) in modules.imported[old].items():
            place = modules.origin(module, name) if module.startswith("retrim") else (module, name)
            if place and (plan.moves.get(place[0], place[0]) == new or (place in plan.renames and local == name)):
                continue
            if local in seen and not (place and place[0] in olds) and (seen[local], local) not in plan.renames:
                rename(plan, seen[local], local, module)
            if meant.setdefault(local, (place, old))[0] != place:
                sys.exit(f"{new}: {local} is {meant[local]}, and in {old} {place}")
    return doubles


def rename(plan: Any, old: Any, name: Any, other: Any) -> Any:
    """A name with that of its module behind it."""
    stem = old.rsplit(".", 1)[-1].strip("_")
    chosen = f"{name}_{stem.upper()}" if name.isupper() else f"{name}_{stem}"
    plan.renames[old, name] = chosen
    print(f"renamed: {old}:{name} to {chosen}, as {other} has another")
    return chosen


def rewritten(modules: Any, plan: Any, root: Any) -> Any:
    """Every module of the package, and every file beside it, with its imports as they will be."""
    trees, outside, errors = {}, {}, []
    for old, tree in modules.trees.items():
        trees[old], found = rewrite(modules, plan, tree, old)
        errors += found
    for path in (path for top in TREES for path in sorted((root / top).rglob("*.py"))):
        outside[path], found = rewrite(modules, plan, cst.parse_module(path.read_text()), None)
        errors += found
    if errors:
        sys.exit("\n".join(errors))
    return trees, outside


def write_joined(src: Any, new: Any, parts: Any, drops: Any) -> Any:
    """One module of several: their docstrings, imports and statements one after the other."""
    path = src / (new.replace(".", "/") + ".py")
    path.parent.mkdir(parents=True, exist_ok=True)
    (path.parent / "__init__.py").touch()
    docs, imports, bodies = [], [], []
    for old, tree in parts:
        doc, some, body = parts_of(tree)
        docs.append(doc)
        imports += some
        bodies += [each for each in body if not any((old, name) in drops for name in names_in(each))]
    header = parts[0][1].with_changes(body=[], header=[], footer=[])
    text = joined(docs)
    doc = f'"""{text}\n"""\n' if "\n" in text else f'"""{text}"""\n'
    code = [header.with_changes(body=each).code for each in (imports, bodies)]
    path.write_text("\n".join([doc if text else "", *code]))


def remove_empty_folders(src: Any) -> Any:
    """Packages that hold nothing any more but a docstring."""
    for folder in sorted((path for path in src.rglob("*") if path.is_dir()), reverse=True):
        left = [path for path in folder.iterdir() if path.name != "__pycache__"]
        if [path.name for path in left] == ["__init__.py"] and folder.name != "versions" and only_docstring(left[0]):
            shutil.rmtree(folder)


def only_docstring(path: Any) -> Any:
    tree = cst.parse_module(path.read_text())
    return all(is_docstring(s) for s in tree.body)


def texts(root: Any, moves: Any) -> Any:
    pairs = sorted(((old, new) for old, new in moves.items() if old != new), key=lambda pair: -len(pair[0]))
    table = dict(pairs)
    pattern = re.compile(r"(?<![\w.])(" + "|".join(re.escape(old) for old, _ in pairs) + r")(?![\w])")
    paths = {f"src/{old.replace('.', '/')}.py": f"src/{new.replace('.', '/')}.py" for old, new in pairs}
    short = {old.removeprefix("src/retrim/"): new.removeprefix("src/retrim/") for old, new in paths.items()}
    by_path = re.compile(
        r"(?<![\w/])(" + "|".join(re.escape(p) for p in sorted([*paths, *short], key=len, reverse=True)) + r")(?![\w])"
    )
    for top in TEXTS:
        base = root / top
        for path in [base] if base.is_file() else sorted(base.rglob("*")) if base.exists() else ():
            if (
                not path.is_file()
                or path.suffix not in (".toml", ".yaml", ".md", ".py", ".txt", "")
                or "CHANGELOG" in path.name
            ):
                continue
            try:
                text = path.read_text()
            except UnicodeDecodeError:
                continue
            new = pattern.sub(lambda m: table[m[1]], text)
            new = by_path.sub(lambda m: paths.get(m[1]) or short[m[1]], new)
            if new != text:
                path.write_text(new)


if __name__ == "__main__":
    main()
