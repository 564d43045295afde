"""Turns the files of data/ into constant tables. Usage: generate.py DATA_DIR OUTPUT.cc"""
import re
import sys
from pathlib import Path

PREFIXES = {"a.": "io.k8s.api.", "m.": "io.k8s.apimachinery.pkg.apis.meta.v1.",
            "x.": "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.",
            "g.": "io.k8s.kube-aggregator.pkg.apis.apiregistration.v1."}
SCALARS = {"s": "kString", "b": "kBool", "i": "kInt32", "l": "kInt64", "d": "kDouble", "y": "kBytes", "T": "kTime", "M": "kMicroTime",
           "D": "kDuration", "Q": "kQuantity", "I": "kIntOrString", "R": "kRawExtension", "F": "kFieldsV1", "A": "kAny"}
FLAGS = {"o": 1, "z": 2, "p": 4, "r": 8, "pm": 16, "pr": 32, "pk": 64}


def full_name(short):
    return PREFIXES.get(short[:2], short[:2]) + short[2:]


def quoted(text):
    if text is None:
        return "nullptr"
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


class Tables:
    def __init__(self):
        self.nodes, self.fields, self.index = [], [], {}

    def add(self, key, **node):
        if key not in self.index:
            self.index[key] = len(self.nodes)
            self.nodes.append(dict(name=None, type="kAny", item=-1, atomic=False, list_kind="kAtomic", keys=None, gvks=None, wrapped=False,
                                   first=0, count=0) | node)
        return self.index[key]

    def node(self, text, ext):
        """Index of the node for a field type; list and map metadata belong to the outermost list or map."""
        wrapped = text.startswith("%")
        body = text.lstrip("%")
        if body[0] == "[":
            kind, _, keys = ext.get("l", "atomic").partition(":")
            item = self.node(body[1:], {})
            return self.add(("list", body, kind, keys, wrapped), type="kList", item=item, wrapped=wrapped,
                            list_kind={"atomic": "kAtomic", "set": "kSet", "map": "kMap"}[kind], keys=keys or None)
        if body[0] == "{":
            item = self.node(body[1:], {})
            return self.add(("map", body, ext.get("m")), type="kMap", item=item, atomic=ext.get("m") == "atomic")
        if body[0] == "@":
            if "m" in ext:   # the field overrides the definition
                return self.add((ext["m"], body), type="kStruct", name=full_name(body[1:]), atomic=ext["m"] == "atomic", alias=self.index[("type", body[1:])])
            return self.index[("type", body[1:])]
        return self.add(("scalar", body), type=SCALARS[body])


def parse(path):
    definitions = []
    for line in path.read_text().splitlines():
        if not line or line.startswith("#"):
            continue
        if not line.startswith("-"):
            head = line.split(" ")
            definitions.append(dict(name=head[0], union="union" in head[1:], atomic="map=atomic" in head[1:],
                                    gvks=[h[4:] for h in head[1:] if h.startswith("gvk=")], fields=[]))
            continue
        name, numbers, kind, flags, *rest = line[1:].split(" ")
        ext = dict(r.split("=", 1) if "=" in r else (r, "") for r in rest)
        definitions[-1]["fields"].append((name, [int(n) for n in numbers.split("/")], kind, flags, ext))
    return definitions


def build(definitions):
    t = Tables()
    for d in definitions:
        t.add(("type", d["name"]), type="kAny" if d["union"] else "kStruct", name=full_name(d["name"]), atomic=d["atomic"],
              gvks=",".join(d["gvks"]) or None)
    for d in definitions:
        node = t.nodes[t.index[("type", d["name"])]]
        if d["union"]:
            node["item"] = t.index[("type", "x.JSONSchemaProps")]
            continue
        rows = []
        for name, numbers, kind, flags, ext in d["fields"]:
            bits = sum(FLAGS[f] for f in flags if f != ".") | sum(FLAGS[e] for e in ext if e in FLAGS)
            embed = ([0, 0] + numbers[:-1])[-2:] if len(numbers) > 1 else [0, 0]
            if len(numbers) == 2:
                embed = [numbers[0], 0]
            rows.append((name, t.node(kind, ext), bits, numbers[-1], embed, ext.get("k"), ext.get("d"), ext.get("e"), ext.get("n")))
        node["first"], node["count"] = len(t.fields), len(rows)
        t.fields += rows
    for node in t.nodes:   # an atomic alias shares the fields of its definition
        if "alias" in node:
            origin = t.nodes[node["alias"]]
            node["first"], node["count"] = origin["first"], origin["count"]
    return t


def parse_defaults(path):
    rows = []
    for line in path.read_text().splitlines():
        if line and not line.startswith("#"):
            definition, field, value = line.split(" ", 2)
            rows.append((full_name(definition), field, value))
    return sorted(rows, key=lambda r: r[0])   # stable: the order of the file within a definition


RULE = re.compile(r"^(\S+) ([a-z]+!?)(?: (?!if )(?!=> )(\S+))?(?: if (.*?))?(?: => (.*))?$")


def parse_rules(paths, known):
    rows, names = [], []
    for path in paths:
        for number, line in enumerate(path.read_text().splitlines(), 1):
            if not line or line.startswith("#"):
                continue
            if line.startswith("["):
                names = [full_name(n) for n in line.strip("[]").split(" ")]
                for n in names:
                    if n.split("@")[0] not in known:
                        sys.exit(f"{path}:{number}: no definition {n}")
                continue
            match = RULE.match(line)
            if not match:
                sys.exit(f"{path}:{number}: not a rule: {line}")
            rows += [(n,) + tuple(g or "" for g in match.groups()) for n in names]
    return sorted(rows, key=lambda r: r[0])   # stable


def write(t, resources, defaults, rules, out):
    lines = ['#include "embedded-kube-shim/api/builtin_tables.h"', "", "namespace skerry::kube::builtin {", ""]
    lines.append("const FieldRow kFields[] = {")
    for name, node, bits, number, embed, key, default, embedding, go in t.fields:
        lines.append(f"    {{{quoted(name)}, {quoted(key)}, {quoted(default)}, {quoted(embedding)}, {quoted(go)}, {node}, {bits}, {number}, {{{embed[0]}, {embed[1]}}}}},")
    lines += ["};", "", "const NodeRow kNodes[] = {"]
    for n in t.nodes:
        lines.append(f"    {{{quoted(n['name'])}, {quoted(n['keys'])}, {quoted(n['gvks'])}, Type::{n['type']}, ListKind::{n['list_kind']}, "
                     f"{str(n['atomic']).lower()}, {str(n['wrapped']).lower()}, {n['item']}, {n['first']}, {n['count']}}},")
    lines += ["};", f"const std::size_t kNodeCount = {len(t.nodes)};", ""]
    named = sorted((n["name"], i) for i, n in enumerate(t.nodes) if n["name"] and "alias" not in n)
    lines += ["const NameRow kNames[] = {"] + [f"    {{{quoted(n)}, {i}}}," for n, i in named] + ["};", f"const std::size_t kNameCount = {len(named)};", ""]
    kinds = sorted((g, i) for i, n in enumerate(t.nodes) if n["gvks"] and "alias" not in n for g in n["gvks"].split(","))
    lines += ["const NameRow kKinds[] = {"] + [f"    {{{quoted(g)}, {i}}}," for g, i in kinds] + ["};", f"const std::size_t kKindCount = {len(kinds)};", ""]
    known = {n["name"] for n in t.nodes}
    for definition, field, _ in defaults:
        if definition not in known:
            sys.exit(f"defaults.txt: no definition {definition}")
    lines += ["const DefaultRow kDefaults[] = {"] + [f"    {{{quoted(d)}, {quoted(f)}, {quoted(v)}}}," for d, f, v in defaults]
    lines += ["};", f"const std::size_t kDefaultCount = {len(defaults)};", ""]
    lines += ["const RuleRow kRules[] = {"] + [f"    {{{', '.join(quoted(c) for c in r)}}}," for r in rules] + ["};", f"const std::size_t kRuleCount = {len(rules)};", ""]
    lines.append("const ResourceRow kResources[] = {")
    for r in resources:
        group, version, kind, plural, singular, scope, verbs, subs, short, categories, hash_, prio, policy, deletion = [("" if c == "-" else c) for c in r]
        group_priority, version_priority = prio.split("/")
        lines.append("    {" + ", ".join(quoted(c) for c in (group, version, kind, plural, singular, verbs, subs, short, categories, hash_, policy)) +
                     f", {str(scope == 'namespaced').lower()}, '{deletion}', {group_priority}, {version_priority}}},")
    lines += ["};", f"const std::size_t kResourceCount = {len(resources)};", "", "}  // namespace skerry::kube::builtin", ""]
    text = "\n".join(lines)
    out = Path(out)
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(text)


def main():
    data = Path(sys.argv[1])
    resources = [l.split("\t") for l in (data / "resources.txt").read_text().splitlines() if l and not l.lstrip().startswith("#")]
    tables = build(parse(data / "types.txt"))
    known = {n["name"] for n in tables.nodes}
    write(tables, resources, parse_defaults(data / "defaults.txt"), parse_rules(sorted(data.glob("rules_*.txt")), known), sys.argv[2])


main()
