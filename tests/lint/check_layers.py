#!/usr/bin/env python3
"""Fails when an #include points up or sideways, when a banned header is used, or when a coroutine
appears outside the folders allowed to have them. Usage: check_layers.py <repo-root> [layers.txt]"""
import pathlib, re, sys
root = pathlib.Path(sys.argv[1]); spec = pathlib.Path(sys.argv[2] if len(sys.argv) > 2 else root / "tests/lint/layers.txt")
deps, banned, words = {}, {}, {}
for raw in spec.read_text().splitlines():
    line = raw.split("#")[0].split()
    if not line: continue
    kind = line[0] if line[0] in "!~" else ""
    name, rest = (line[1], line[2:]) if kind else (line[0], line[1:])
    {"": deps, "!": banned, "~": words}[kind][name] = [x for x in rest if x != "-"]
closure, errors = {}, []
for l in deps:   # a folder's name stands for all its layers
    deps[l] = [x for d in deps[l] for x in ([d] if d in deps else [k for k in deps if k.startswith(d + "/")] or sys.exit(f"layers.txt: {l}: no layer {d}"))]
def close(layer, path=()):
    if layer in path: sys.exit("layers.txt has a cycle: " + " -> ".join(path + (layer,)))
    if layer not in closure:
        out = set()
        for d in deps[layer]: out |= {d} | close(d, path + (layer,))
        closure[layer] = out
    return closure[layer]
for l in deps: close(l)
layer_of = lambda p: max((l for l in deps if p == l or p.startswith(l + "/")), key=len, default=None)
within = lambda p, allowed: any(p == a or p.startswith(a.rstrip("/") + "/") or p.startswith(a) for a in allowed)
for f in sorted(p for p in root.rglob("*") if "build" not in p.relative_to(root).parts and "node_modules" not in p.parts):
    if f.suffix not in (".h", ".cc"): continue
    rel = f.relative_to(root).as_posix(); mine = layer_of(rel)
    for n, text in enumerate(f.read_text(errors="replace").splitlines(), 1):
        inc = re.match(r'\s*#\s*include\s*([<"])([^>"]+)', text)
        if inc:
            target = layer_of(inc[2]) if inc[1] == '"' else None
            if target and mine and target != mine and target not in closure[mine]:
                errors.append(f"{rel}:{n}: {mine} must not include {inc[2]} (layer {target})")
            for head, allowed in banned.items():
                if inc[1] == "<" and (inc[2] == head or inc[2].startswith(head)) and not within(rel, allowed):
                    errors.append(f"{rel}:{n}: <{inc[2]}> is only allowed in {allowed or 'no folder'}")
        code = text.split("//")[0]
        for word, allowed in words.items():
            if word in code and not within(rel, allowed): errors.append(f"{rel}:{n}: {word} is only allowed in {allowed}")
        if "co_await" in code and re.search(r"co_await[^;]*[({,]\s*\{|co_await[^;]*\w\{|\?[^;:]*co_await|co_await\s*\[", code):
            errors.append(f"{rel}:{n}: braces, ?: or a lambda in a co_await expression (g++ 12 double-destroys temporaries)")
print("\n".join(errors)); sys.exit(1 if errors else 0)
