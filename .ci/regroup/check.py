"""Says what a plan of `regroup.py` would give: imports that point up, cycles, files by folder, what is left."""

import ast, sys, pathlib, collections

root = pathlib.Path(__file__).resolve().parents[2]
src = root / "src"
mods_ = {}
for p in src.rglob("*.py"):
    m = ".".join(p.relative_to(src).with_suffix("").parts)
    if m.endswith(".__init__"):
        m = m[:-9]
    mods_[m] = p
imp = collections.defaultdict(set)
for m, p in list(mods_.items()) + [("flows." + q.stem, q) for q in (root / "flows").rglob("*.py")]:
    t = ast.parse(p.read_text())
    for n in ast.walk(t):
        if isinstance(n, ast.ImportFrom) and n.module and n.module.startswith("retrim"):
            for a in n.names:
                f = n.module + "." + a.name
                imp[m].add(f if f in mods_ else n.module)
        elif isinstance(n, ast.Import):
            for a in n.names:
                if a.name in mods_:
                    imp[m].add(a.name)
rev = collections.defaultdict(set)
for m, s in imp.items():
    for x in s:
        rev[x].add(m)
plan = {}
order = []
for l in open(pathlib.Path(__file__).with_name("plan.txt")):
    l = l.split("#")[0].strip()
    if not l:
        continue
    new, olds = l.split(":")
    f = new.split(".")[0] if "." in new else new
    if f not in order:
        order.append(f)
    for o in olds.split():
        if "retrim." + o not in mods_:
            print("no module", o)
            continue
        assert o not in plan, o
        plan[o] = new
mods = [m[7:] for m in mods_ if m != "retrim"]
left = [m for m in mods if m not in plan]
if "-l" in sys.argv or 1:
    import os
up = collections.Counter()
folder = lambda n: n.split(".")[0] if "." in n else n
arrows = set()
for m in mods:
    if m not in plan:
        continue
    for x in imp["retrim." + m]:
        x = x[7:]
        if x not in plan or not x:
            if x in mods_ or "retrim." + x in mods_:
                up[(m, "?", x)] += 1
            continue
        a, b = folder(plan[m]), folder(plan[x])
        if a != b:
            arrows.add((a, b))
            if order.index(b) > order.index(a):
                print("UP", m, "(", plan[m], ") ->", x, "(", plan[x], ")")
# cycles among new modules
newg = collections.defaultdict(set)
for m in mods:
    if m in plan:
        for x in imp["retrim." + m]:
            x = x[7:]
            if x in plan and plan[x] != plan[m]:
                newg[plan[m]].add(plan[x])
idx = {}
low = {}
st = []
on = set()
out = []
n = [0]
sys.setrecursionlimit(9999)


def sc(v):
    idx[v] = low[v] = n[0]
    n[0] += 1
    st.append(v)
    on.add(v)
    for w in newg[v]:
        if w not in idx:
            sc(w)
            low[v] = min(low[v], low[w])
        elif w in on:
            low[v] = min(low[v], idx[w])
    if low[v] == idx[v]:
        c = []
        while 1:
            w = st.pop()
            on.discard(w)
            c.append(w)
            if w == v:
                break
        if len(c) > 1:
            out.append(c)


for v in list(newg):
    if v not in idx:
        sc(v)
for c in out:
    print("CYCLE", c)
print("arrows", len(arrows), "files", len(set(plan.values())), "left", len(left))
c = collections.Counter(folder(n) for n in set(plan.values()))
print(c)
if len(sys.argv) > 2 or True:
    pass
for k in sorted(up):
    if k[2].startswith("core"):
        print("needs", k[0], "->", k[2])
print(" ".join(l for l in left if l.startswith("core")))
