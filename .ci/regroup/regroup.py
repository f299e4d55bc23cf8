"""Moves and joins modules by a plan: `OLD -> NEW` a line, several old ones into one new; `OLD:name -> newname` renames.
`NEW: OLD OLD` is short for several, without the name of the package. It needs libcst, which is not in requirements.lock.

`python regroup.py PLAN ROOT` rewrites src, flows, tests, bench and the files that name modules.
`#` begins a comment. A new module's first line of docstring may be given: `NEW = text`.
"""

from __future__ import annotations

import collections
import pathlib
import re
import subprocess
import sys

import libcst as cst
from libcst import metadata as meta

TREES = ("src", "flows", "tests", "bench", ".ci")
TEXTS = ("pyproject.toml", "dvc.yaml", "docs", "tests", "README.md", "CONTRIBUTING.md", "Makefile")


def read_plan(path):
    moves, renames, titles = {}, {}, {}
    for number, raw in enumerate(pathlib.Path(path).read_text().splitlines(), 1):
        line = raw.split("#")[0].strip()
        if not line:
            continue
        if " = " in line:
            new, title = line.split(" = ", 1)
            titles[new.strip()] = title.strip()
            continue
        if "->" not in line:  # NEW: OLD OLD, without the package
            new, olds = line.split(":")
            moves.update({f"retrim.{old}": f"retrim.{new}" for old in olds.split()})
            continue
        old, new = (part.strip() for part in line.split("->"))
        if ":" in old:
            module, name = old.split(":")
            renames[(module, name)] = new
        else:
            assert old not in moves, f"{number}: {old} twice"
            moves[old] = new
    return moves, renames, titles


def module_name(path, src):
    name = ".".join(path.relative_to(src).with_suffix("").parts)
    return name.removesuffix(".__init__")


class Modules:
    def __init__(self, root):
        self.root = root
        self.files = {}
        for tree in ("src",):
            for path in sorted((root / tree).rglob("*.py")):
                self.files[module_name(path, root / tree)] = path
        self.trees = {name: cst.parse_module(path.read_text()) for name, path in self.files.items()}
        self.defined = {name: top_names(tree) for name, tree in self.trees.items()}
        self.imported = {name: top_imports(tree) for name, tree in self.trees.items()}

    def origin(self, module, name, seen=()):
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


def dotted(node):
    if isinstance(node, cst.Name):
        return node.value
    return f"{dotted(node.value)}.{node.attr.value}"


def target_names(node):
    if isinstance(node, cst.Name):
        yield node.value
    elif isinstance(node, (cst.Tuple, cst.List)):
        for element in node.elements:
            yield from target_names(element.value)


def top_statements(tree):
    for statement in tree.body:
        yield statement
        if isinstance(statement, cst.If):
            yield from statement.body.body


def top_names(tree):
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


def top_imports(tree):
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

    def __init__(self, modules, plan, own):
        super().__init__()
        self.modules, self.plan, self.own = modules, plan, own  # own: old name of this module, or None
        self.home = plan.moves.get(own, own) if own else None
        self.renamed = {}  # id of Name node -> new text
        self.attributes = {}  # id of Attribute node (alias.x) -> replacement node
        self.problems = []

    def visit_Module(self, node):
        scope = self.get_metadata(meta.ScopeProvider, node)
        self._renames_of_own(scope, node)
        scopes = {s for s in self.metadata[meta.ScopeProvider].values() if s is not None}
        for each in scopes:
            for assignment in each.assignments:
                if isinstance(assignment, meta.ImportAssignment):
                    self._follow(assignment)

    def _renames_of_own(self, scope, node):
        for (module, name), new in self.plan.renames.items():
            if module != self.own:
                continue
            for assignment in scope[name] if name in scope else ():
                self._rename(assignment, name, new)

    def _rename(self, assignment, name, new):
        self.renamed[("defined", id(assignment.node))] = (name, new)
        if isinstance(assignment.node, cst.Name):
            self.renamed[id(assignment.node)] = new
        for access in assignment.references:
            target = access.node
            while isinstance(target, cst.Attribute):
                target = target.value
            self.renamed[id(target)] = new

    def _follow(self, assignment):
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
            # a module under a name
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

    def leave_Name(self, original, updated):
        new = self.renamed.get(id(original))
        return updated.with_changes(value=new) if new else updated

    def leave_Attribute(self, original, updated):
        return self.attributes.get(id(original), updated)

    def _defined(self, original, updated):
        pair = self.renamed.get(("defined", id(original)))
        return updated.with_changes(name=cst.Name(pair[1])) if pair else updated

    def leave_FunctionDef(self, original, updated):
        return self._defined(original, updated)

    def leave_ClassDef(self, original, updated):
        return self._defined(original, updated)

    def leave_SimpleStatementLine(self, original, updated):
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

    def _imports(self, small, module):
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


class Plan:
    def __init__(self, moves, renames, titles):
        self.moves, self.renames, self.titles = moves, renames, titles


def touched(modules, plan, tree):
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
    def __init__(self):
        self.found = []

    def visit_ImportFrom(self, node):
        if (
            node.module is not None
            and not isinstance(node.names, cst.ImportStar)
            and dotted(node.module).startswith("retrim")
        ):
            self.found += [(dotted(node.module), alias.name.value) for alias in node.names]


def rewrite(modules, plan, text_or_tree, own):
    if own not in plan.moves and not touched(modules, plan, text_or_tree):
        return text_or_tree, []
    wrapper = meta.MetadataWrapper(text_or_tree)
    change = Rewrite(modules, plan, own)
    tree = wrapper.visit(change)
    return tree, change.problems


def names_in(statement):
    return list(top_names(cst.Module(body=[statement])))


def is_import(statement):
    return isinstance(statement, cst.SimpleStatementLine) and all(
        isinstance(s, (cst.Import, cst.ImportFrom)) for s in statement.body
    )


def is_docstring(statement):
    return (
        isinstance(statement, cst.SimpleStatementLine)
        and isinstance(statement.body[0], cst.Expr)
        and isinstance(statement.body[0].value, (cst.SimpleString, cst.ConcatenatedString))
    )


def is_all(statement):
    return isinstance(statement, cst.SimpleStatementLine) and any(
        isinstance(s, cst.Assign) and dotted_or_none(s.targets[0].target) == "__all__" for s in statement.body
    )


def dotted_or_none(node):
    return node.value if isinstance(node, cst.Name) else None


def parts_of(tree):
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


def code_of(modules, old, name):
    """Source of a top-level constant or function, for telling equal ones."""
    found = modules.defined[old][name]
    return modules.trees[old].code_for_node(found.with_changes(leading_lines=[]))


def order(group, modules):
    """Old modules of one target, each after those it imports at its top."""
    done, out = set(), []

    def add(name, path=()):
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


def joined(docs, title):
    texts = [" ".join([]) or doc.strip() for doc in docs if doc.strip()]
    if title:
        texts = [title, *texts]
    return "\n\n".join(dict.fromkeys(texts))


def main():
    plan_path, root = sys.argv[1], pathlib.Path(sys.argv[2]).resolve()
    dry = "--dry" in sys.argv
    moves, renames, titles = read_plan(plan_path)
    modules = Modules(root)
    for old in moves:
        if old not in modules.files:
            sys.exit(f"no module {old}")
    by_new = collections.defaultdict(list)
    for old, new in moves.items():
        by_new[new].append(old)
    for new in list(by_new):  # a module that stays and is joined by others comes first
        if new in modules.files and new not in moves:
            by_new[new].insert(0, new)
            moves[new] = new
    problems = []
    drops = set()
    for new, olds in by_new.items():
        seen = {}
        for old in order(olds, modules):
            for name in modules.defined[old]:
                if name in ("__all__",):
                    continue
                final = renames.get((old, name), name)
                if final in seen:
                    same = code_of(modules, old, name) == code_of(modules, seen[final], name)
                    if same and code_of(modules, old, name):
                        drops.add((old, name))
                        print(f"the same: {old}:{name} and {seen[final]}")
                        continue
                    if True:
                        stem = old.rsplit(".", 1)[-1].strip("_")
                        chosen = f"{name}_{stem}" if name.islower() or not name.isupper() else f"{name}_{stem.upper()}"
                        renames[(old, name)] = chosen
                        seen[chosen] = old
                        print(f"renamed {old}:{name} -> {chosen}   (also in {seen[final]})")
                else:
                    seen[final] = old
        # an imported name that means something else in another part
        meant = {}
        for old in olds:
            for local, (module, name) in modules.imported[old].items():
                place = modules.origin(module, name) if module.startswith("retrim") else (module, name)
                if place and moves.get(place[0], place[0]) == new:
                    continue
                if local in seen and not (place and place[0] in olds):
                    stem = seen[local].rsplit(".", 1)[-1].strip("_")
                    chosen = f"{local}_{stem.upper()}" if local.isupper() else f"{local}_{stem}"
                    renames.setdefault((seen[local], local), chosen)
                    print(
                        f"renamed {seen[local]}:{local} -> {renames[(seen[local], local)]}   ({old} imports another from {module})"
                    )
                if meant.setdefault(local, (place, old))[0] != place:
                    problems.append(f"{new}: {local} is {meant[local]} and in {old} {place}")
    for line in problems:
        print("PROBLEM", line)
    if problems or dry:
        print(len(problems), "problems")
        if problems:
            sys.exit(1)
        return
    plan = Plan(moves, renames, titles)
    made, errors = {}, []
    for old, path in modules.files.items():
        tree, found = rewrite(modules, plan, modules.trees[old], old)
        errors += found
        made[old] = tree
    outside = {}
    for top in TREES[1:]:
        for path in sorted((root / top).rglob("*.py")) if (root / top).exists() else ():
            tree, found = rewrite(modules, plan, cst.parse_module(path.read_text()), None)
            errors += found
            outside[path] = tree
    if errors:
        print(*errors, sep="\n")
        sys.exit(1)
    for path, tree in outside.items():
        path.write_text(tree.code)
    for old, path in modules.files.items():
        if old not in moves:
            path.write_text(made[old].code)
    src = root / "src"
    for old in moves:
        modules.files[old].unlink()
    for new, olds in by_new.items():
        path = src / (new.replace(".", "/") + ".py")
        if modules_is_package(new, modules) and new in modules.files:
            path = modules.files[new]
        path.parent.mkdir(parents=True, exist_ok=True)
        init = path.parent / "__init__.py"
        if not init.exists() and path != init:
            init.write_text("")
        docs, imports, bodies = [], [], []
        for old in order(olds, modules):
            doc, some, body = parts_of(made[old])
            body = [s for s in body if not any((old, n) in drops for n in names_in(s))]
            docs.append(doc)
            imports += some
            bodies += body
        header = made[olds[0]].with_changes(body=[], header=[], footer=[])
        text = joined(docs, titles.get(new))
        code = f'"""{text}\n"""\n' if "\n" in text else f'"""{text}"""\n'
        code = (
            (code if text else "")
            + "\n"
            + header.with_changes(body=imports).code
            + "\n"
            + header.with_changes(body=bodies).code
        )
        path.write_text(code)
    for folder in sorted((p for p in src.rglob("*") if p.is_dir()), reverse=True):
        names = [p for p in folder.iterdir() if p.name != "__pycache__"]
        if (
            names
            and all(p.name == "__init__.py" for p in names)
            and folder.name != "versions"
            and not any(folder == f.parent for f in ())
        ):
            if (
                not names[0].read_text().strip()
                or module_name(names[0], src) not in modules.files
                or modules_only_doc(names[0])
            ):
                names[0].unlink()
                subprocess.run(["rm", "-rf", str(folder)], check=True)
    texts(root, moves)


def modules_only_doc(path):
    tree = cst.parse_module(path.read_text())
    return all(is_docstring(s) for s in tree.body)


def modules_is_package(name, modules):
    return name in modules.files and modules.files[name].name == "__init__.py"


def texts(root, moves):
    pairs = sorted(((old, new) for old, new in moves.items() if old != new), key=lambda pair: -len(pair[0]))
    table = {old: new for old, new in pairs}
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
