"""What two correct servers may answer differently, replaced by placeholders: identifiers, revisions, times, allocated addresses and ports,
and orders that mean nothing. The recordings were masked by the same rules."""
import base64, json, re

ABSENT = object()
_UID = r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
_TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d"
_ADDRESS = r"\d+\.\d+\.\d+\.\d+"
_TEXT = [(re.compile(p), r) for p, r in [
    (r"kube-api-access-[a-z0-9]{5}", "kube-api-access-<gen>"),
    (_UID, "<uid>"),
    (r"(ResourceVersion in record) \(\d+\)", r"\1 (<rv>)"),
    (r"(resource version: \d+, current: )\d+", r"\1<rv>"),
    (r"too old resource version: \d+ \(\d+", "too old resource version: <rv> (<rv>"),
]]
_QUOTED = [(re.compile(p), r) for p, r in [   # objects inside messages
    (r'(resourceVersion\\*":\\*")\d+', r"\1<rv>"),
    (r'((?:creationTimestamp|deletionTimestamp|time)\\*":\\*")' + _TIME + "Z", r"\1<time>"),
    (r'(clusterIPs?\\*":\[?\\*")' + _ADDRESS, r"\1<ip>"),
    (r'(nodePort\\*":)3[0-2]\d{3}', r"\1<port>"),
]]
_AGE_COLUMNS = {"Age", "Last Seen", "First Seen", "Duration", "Last Schedule"}


def _text(s, in_cells):
    if re.match(_TIME + r"(\.\d+)?Z$", s): return "<time.us>" if "." in s else "<time>"
    quoted = '\\"' in s
    for pattern, to in _TEXT[:3] + (_QUOTED if quoted else []): s = pattern.sub(to, s)
    if in_cells and re.fullmatch(r"(\d+[smhd]){1,3}", s): return "<age>"
    for pattern, to in _TEXT[3:]: s = pattern.sub(to, s)
    return s


def _field(key, value, owner):
    """The placeholder of a field, ABSENT when it is kept and masked by its content."""
    text = isinstance(value, str)
    if key == "resourceVersion" and text and value.isdigit() and value != "0": return "<rv>"
    if key == "uid" and text and value: return "<uid>" if re.fullmatch(_UID, value) else value
    if key == "continue" and value: return "<continue>"
    if key == "remainingItemCount": return value
    base = owner.get("generateName")
    if key == "name" and base and text and value.startswith(base): return base + "<gen>"
    if key == "clusterIP" and text and re.fullmatch(_ADDRESS, value): return "<ip>"
    if key == "clusterIPs" and isinstance(value, list): return ["<ip>" if re.fullmatch(r"[\d.]+|[0-9a-f:]+", a) else a for a in value]
    if key in ("nodePort", "healthCheckNodePort") and isinstance(value, int) and 30000 <= value <= 32767: return "<port>"
    if key == "token" and text and len(value) > 40: return "<token>"
    return ABSENT


def _ages(table):
    names = [c.get("name") for c in table["columnDefinitions"]]

    def cell(i, c):
        aged = i < len(names) and names[i] in _AGE_COLUMNS and isinstance(c, str)
        return re.sub(r"^(\d+[smhdy]){1,2}$", "<age>", c) if aged else c
    return {**table, "rows": [{**r, "cells": [cell(i, c) for i, c in enumerate(r["cells"])]} for r in table["rows"]]}


def _ordered_causes(status):
    """Custom resources report their field errors in any order."""
    status = json.loads(re.sub(r"selfType\d+", "selfType<n>", json.dumps(status)))
    causes = sorted(status["details"].get("causes") or [], key=lambda c: [c.get(k, "") for k in ("field", "message", "reason")])
    if not causes: return status
    listed = ", ".join(f"{c.get('field', '')}: {c.get('message', '')}" for c in causes)
    head, mark, tail = status.get("message", "").partition(" is invalid: [")
    if mark and len(tail) == len(listed) + 1: status["message"] = f"{head}{mark}{listed}]"
    return {**status, "details": {**status["details"], "causes": causes}}


def _prepared(x):
    """Orders that mean nothing, at the level of whole objects."""
    kind = x.get("kind")
    if kind == "Table" and isinstance(x.get("rows"), list) and x.get("columnDefinitions"): x = _ages(x)
    if kind == "SelfSubjectRulesReview" and isinstance(x.get("status"), dict):   # the recorded server knows one rule more
        rules = lambda v: sorted((r for r in v if "/.well-known" not in (r.get("nonResourceURLs") or [])), key=json.dumps)
        x = {**x, "status": {k: rules(v) if isinstance(v, list) else v for k, v in x["status"].items()}}
    if isinstance(x.get("_events"), list):   # bookmarks come when they like, but for the one that ends the initial list
        x = {"_events": [e for e in x["_events"] if e.get("type") != "BOOKMARK" or "initial-events-end" in json.dumps(e)]}
    if kind == "Status" and isinstance(x.get("details"), dict) and str(x["details"].get("group", "")).endswith((".example.com", "apiextensions.k8s.io")):
        x = _ordered_causes(x)
    return x


def _sorted(key, items):
    if key == "managedFields": return sorted(items, key=lambda m: [str(m.get(k, "")) for k in ("operation", "manager", "apiVersion", "subresource")] if isinstance(m, dict) else [])
    if key == "causes" and any(isinstance(c, dict) and c.get("reason") == "FieldManagerConflict" for c in items):
        return sorted(items, key=lambda c: str(c.get("message")) if isinstance(c, dict) else "")
    return items


def masked(x, in_cells=False):
    if isinstance(x, str): return _text(x, in_cells)
    if isinstance(x, list):   # a config map of the recorded server's vendor is projected into its pods
        vendor = lambda v: isinstance(v, dict) and isinstance(v.get("configMap"), dict) and v["configMap"].get("name") == "openshift-service-ca.crt"
        return [masked(v, in_cells) for v in x if not vendor(v)]
    if not isinstance(x, dict): return x
    if x.keys() == {"_b64"}: return {"_b64": base64.b64encode(_protobuf(base64.b64decode(x["_b64"]))).decode()}
    x, out = _prepared(x), {}
    for key, value in x.items():
        if isinstance(value, list): value = _sorted(key, value)
        placeholder = _field(key, value, x)
        shown = re.sub(_UID, "<uid>", key) if "uid" in key else key
        out[shown] = masked(value, "cells" in x) if placeholder is ABSENT else placeholder
    return out


def _varint(b, i):
    value = shift = 0
    while True:
        value |= (b[i] & 127) << shift
        shift, i = shift + 7, i + 1
        if b[i - 1] < 128: return value, i


def _fields(b):
    i = 0
    while i < len(b):
        start = i
        tag, i = _varint(b, i)
        kind = tag & 7
        if kind == 2: size, i = _varint(b, i)
        payload = i
        i = _varint(b, i)[1] if kind == 0 else i + (size if kind == 2 else 8 if kind == 1 else 4)
        yield tag >> 3, kind, b[start:i], b[payload:i]


def _delimited(number, payload):
    out = b""
    for v in (number << 3 | 2, len(payload)):
        while v > 127: out, v = out + bytes([v & 127 | 128]), v >> 7
        out += bytes([v])
    return out + payload


def _protobuf(data):
    """Drops uid, resourceVersion and managedFields of metadata and empties creationTimestamp; every other byte counts."""
    if not data.startswith(b"k8s\0"): return data

    def metadata(b): return b"".join(b"\x42\0" if n == 8 else whole for n, _, whole, _ in _fields(b) if n not in (5, 6, 17))
    def object_(b): return b"".join(_delimited(1, metadata(p)) if (n, k) == (1, 2) else whole for n, k, whole, p in _fields(b))
    def list_(b): return b"".join(_delimited(2, object_(p)) if n == 2 else whole for n, _, whole, p in _fields(b) if n != 1)
    out, kind = b"k8s\0", ""
    try:
        for n, _, whole, payload in _fields(data[4:]):
            if n == 1: kind = next((p.decode() for m, _, _, p in _fields(payload) if m == 2), "")
            grouped = kind.startswith("API") and kind != "APIService"
            if n == 2 and not grouped and kind.endswith("List"): whole = _delimited(2, list_(payload))
            elif n == 2 and not grouped and kind not in ("Status", ""): whole = _delimited(2, object_(payload))
            out += whole
    except (IndexError, UnicodeDecodeError): return data   # not a message: compared as it is
    return out


def at(x, path):
    """The value at "a.b[key.with/dots].list[type=Ready].3", "items.*.x" for every item; ABSENT without one."""
    for token in re.finditer(r"\[([^\]]+)\]|([^.\[\]]+)", path):
        name = token[1] or token[2]
        if name == "*":
            if x is not None and not isinstance(x, list): return ABSENT
            return [v for v in (at(i, path[token.end():]) for i in x or []) if v is not ABSENT]
        if isinstance(x, dict): x = x.get(name, ABSENT)
        elif isinstance(x, list) and "=" in name:
            key, _, wanted = name.partition("=")
            x = next((i for i in x if str(at(i, key)) == wanted), ABSENT)
        elif isinstance(x, list) and name.isdigit() and int(name) < len(x): x = x[int(name)]
        else: x = ABSENT
        if x is ABSENT: break
    return x


def _holds(x, condition):
    if isinstance(condition, dict) and len(condition) == 1:
        (kind, wanted), = condition.items()
        value = None if x is ABSENT else x
        if kind == "exists": return (x is not ABSENT) == wanted
        if kind == "len": return len(value or []) == wanted
        if kind == "re": return isinstance(value, str) and re.search(wanted, value) is not None
        if kind == "bag": return sorted(map(json.dumps, value or [])) == sorted(map(json.dumps, wanted))
    return x is not ABSENT and x == condition


def unmet(answer, where):
    """Conditions that do not hold; a status that has not seen the newest spec is never an outcome."""
    out = []
    for o in (answer.get("items") or [answer]) if isinstance(answer, dict) else []:
        seen, generation = at(o, "status.observedGeneration"), at(o, "metadata.generation")
        if isinstance(seen, int) and isinstance(generation, int) and 0 < seen < generation: out.append("status.observedGeneration is behind")
    return out + [f"{path} is {'absent' if (v := at(answer, path)) is ABSENT else json.dumps(v)[:300]}" for path, c in where.items() if not _holds(at(answer, path), c)]


_HASHES = ("metadata.labels[pod-template-hash]", "metadata.labels[controller-revision-hash]", "metadata.labels[controller.kubernetes.io/hash]")


def selected(step, answer):
    """What of a masked answer counts."""
    if "select" not in step or not isinstance(answer, dict) or answer.get("kind") == "Status": return answer

    def replaced(v, rules):
        if isinstance(v, dict): return {replaced(k, rules): replaced(i, rules) for k, i in v.items()}
        if isinstance(v, list): return [replaced(i, rules) for i in v]
        for pattern, to in rules if isinstance(v, str) else (): v = re.sub(pattern, to, v)
        return v

    def one(o):
        rules = [(re.escape(h.rpartition("-")[2]), "<hash>") for h in (at(o, p) for p in _HASHES) if h is not ABSENT] + list(step.get("mask", {}).items())
        out = {}
        for path in step["select"]:
            v = at(o, path)
            if path.endswith("conditions") and isinstance(v, list): v = sorted(v, key=lambda c: c.get("type", ""))
            if v is not ABSENT: out[path] = replaced(v, rules)
        return out
    if "items" not in answer: return one(answer)
    by = step.get("sort_by")
    return {"items": sorted(map(one, answer["items"]), key=lambda i: json.dumps(i.get(by) if by else i, sort_keys=True))}
