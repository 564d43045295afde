#!/usr/bin/env python3
"""Sends the recorded requests of tests/api/oracle to a server and counts the answers that equal the recorded ones.

  replay.py --kubeconfig FILE [--floors floors.json] [--show N] [--only PART-OF-AN-ID] [--await-s S] AREA...

A scenario is exact when every step has the recorded status, warnings and (after masking what two correct servers may answer differently)
the recorded body. With --floors the exit code is 1 when an area's share of exact scenarios is below its floor; without, when any is not exact.

A line of AREA.jsonl.gz is a scenario {"id", "proves", "steps", "serial"?}. Steps hold method, path, query, headers, a body (body, raw or b64)
and the recorded status, answer and warnings. "${N.path}" anywhere in a request is a field of the live answer of step N. Further keys:
anon (no credentials), retry_until (repeat while another status comes), await {where, timeout_s, hold_s} (repeat until conditions hold),
select/sort_by/mask (what of the answer counts), lenient (status only), cleanup (never compared, always sent)."""
import argparse, base64, concurrent.futures, gzip, http.client, json, pathlib, re, ssl, sys, tempfile, threading, time, urllib.parse

import masks

HERE = pathlib.Path(__file__).parent


class Connection:
    """One keep-alive connection per thread and identity. Reads the credentials of the kubeconfig that skerry writes (JSON or plain YAML)."""

    def __init__(self, kubeconfig):
        text = pathlib.Path(kubeconfig).read_text()
        field = lambda name: re.search(r'"?%s"?:\s*"?([^"\s,}]+)' % name, text)[1]
        url = urllib.parse.urlparse(field("server"))
        self.place = (url.hostname, url.port or 443)
        authority = base64.b64decode(field("certificate-authority-data")).decode()
        self.contexts = {anonymous: ssl.create_default_context(cadata=authority) for anonymous in (False, True)}
        with tempfile.NamedTemporaryFile() as pair:
            pair.write(b"".join(base64.b64decode(field(f"client-{part}-data")) for part in ("certificate", "key")))
            pair.flush()
            self.contexts[False].load_cert_chain(pair.name)
        self.threads = threading.local()

    def exchange(self, method, target, headers, body, anonymous):
        cache = self.threads.__dict__
        for last in (False, True):
            connection = cache.get(anonymous) or http.client.HTTPSConnection(*self.place, context=self.contexts[anonymous], timeout=30)
            cache[anonymous] = connection
            try:
                connection.request(method, target, body, headers)
                response = connection.getresponse()
                return response.status, response.headers, response.read()
            except (http.client.HTTPException, OSError):
                connection.close()
                del cache[anonymous]
                if last: raise


def filled(value, live):
    """The value with its ${N.path} references replaced."""
    if isinstance(value, dict): return {k: filled(v, live) for k, v in value.items()}
    if isinstance(value, list): return [filled(v, live) for v in value]
    if not isinstance(value, str): return value

    def field(match):
        number, _, path = match[1].partition(".")
        found = masks.at(live[int(number)], path)
        if found is masks.ABSENT: raise LookupError(f"no {match[0]}")
        return found if isinstance(found, str) else json.dumps(found)
    return re.sub(r"\$\{([^}]+)\}", field, value)


def parsed(content_type, data):
    if "protobuf" in content_type: return {"_b64": base64.b64encode(data).decode()}
    text = data.decode("utf-8", "replace")
    if "json" not in content_type: return {"_text": text}
    try:
        value = json.loads(text) if text else None
        return {"_events": [value]} if isinstance(value, dict) and value.keys() == {"type", "object"} else value
    except ValueError: pass
    try: return {"_events": [json.loads(line) for line in text.splitlines() if line.strip()]}
    except ValueError: return {"_text": text}


def request(connection, step, live):
    headers = {"User-Agent": "oracle/1", "Accept": "application/json", **filled(step.get("headers") or {}, live)}
    body = None
    if "b64" in step: body = base64.b64decode(step["b64"])
    elif "raw" in step: body = filled(step["raw"], live).encode()
    elif "body" in step: body = json.dumps(filled(step["body"], live)).encode()
    if body is not None and "b64" not in step: headers.setdefault("Content-Type", "application/json")
    target = filled(step["path"], live)
    if step.get("query"): target += "?" + urllib.parse.urlencode(filled(step["query"], live), doseq=True)
    status, answer_headers, data = connection.exchange(step["method"], target, headers, body, bool(step.get("anon")))
    warnings = [re.sub(r'^299 - "(.*)"$', r"\1", w) for w in answer_headers.get_all("Warning") or []]
    return status, warnings, parsed(answer_headers.get("Content-Type", ""), data)


def perform(connection, step, live, await_s):
    """One step with its repetitions; the last answer."""
    wait = step.get("await")
    deadline = time.monotonic() + (min(wait.get("timeout_s", 20), await_s) if wait else 10)
    since = None
    while True:
        result = request(connection, step, live)
        now = time.monotonic()
        if wait:
            since = None if masks.unmet(result[2], wait["where"]) else since or now
            settled = since is not None and now - since >= wait.get("hold_s", 0)
            # The fields that count may follow the awaited ones a moment later.
            if settled and (now - since > 5 or masks.selected(step, masks.masked(result[2])) == step["answer"]) or now > deadline: return result
        elif result[0] in step.get("retry_until", [result[0]]) or now > deadline: return result
        time.sleep(0.05)


def differences(want, got, path=""):
    if isinstance(want, dict) and isinstance(got, dict):
        return [d for k in sorted(want.keys() | got.keys()) for d in differences(want.get(k, masks.ABSENT), got.get(k, masks.ABSENT), f"{path}.{k}")]
    if isinstance(want, list) and isinstance(got, list) and len(want) == len(got):
        return [d for i, pair in enumerate(zip(want, got)) for d in differences(*pair, f"{path}[{i}]")]
    shown = lambda v: "nothing" if v is masks.ABSENT else json.dumps(v, ensure_ascii=False)[:300]
    return [] if type(want) is type(got) and want == got else [f"{path or 'answer'}: recorded {shown(want)}, got {shown(got)}"]


def compare(connection, scenario, live, await_s):
    """What is different from the recording; empty when exact."""
    found = []
    for number, step in enumerate(scenario["steps"]):
        where = f"step {number} {step['method']} {step['path']}"
        step["answer"] = masks.masked(step.get("answer"))
        status, warnings, raw = perform(connection, step, live, await_s)
        live.append(raw)
        if step.get("cleanup"): continue
        got = masks.selected(step, masks.masked(raw))
        if status != step["status"]: return found + [f"{where}: recorded {step['status']}, got {status} {json.dumps(got)[:300]}"]
        late = masks.unmet(raw, step["await"]["where"]) if "await" in step else []
        if late: return found + [f"{where}: not in time: {'; '.join(late)}"]
        if "answer" in step.get("lenient", []): continue
        found += [f"{where}: {d}" for d in differences(step["answer"], got) + differences(step.get("warnings", []), warnings, "warnings")]
    return found


def run(connection, scenario, await_s):
    live = []
    try: found = compare(connection, scenario, live, await_s)
    except (OSError, http.client.HTTPException, LookupError, ValueError, TypeError, AttributeError) as e: found = [f"step {len(live)}: {type(e).__name__}: {e}"]
    for step in scenario["steps"][len(live):]:   # the next scenario finds a clean place
        try:
            if step.get("cleanup"): request(connection, step, live)
        except (OSError, http.client.HTTPException, LookupError): pass
    return found


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("areas", nargs="+")
    options.add_argument("--kubeconfig", required=True)
    options.add_argument("--floors", help="JSON: area -> least share of exact scenarios in percent")
    options.add_argument("--show", type=int, default=0, help="print that many scenarios that differ")
    options.add_argument("--only", default="")
    options.add_argument("--await-s", type=float, default=20)
    options.add_argument("--jobs", type=int, default=4)
    o = options.parse_args()
    floors = json.loads(pathlib.Path(o.floors).read_text()) if o.floors else {}
    connection, failed, show = Connection(o.kubeconfig), False, o.show
    for area in o.areas:
        begin = time.monotonic()
        with gzip.open(HERE / f"{area}.jsonl.gz", "rt") as lines: scenarios = [s for s in map(json.loads, lines) if o.only in s["id"]]
        if not scenarios: sys.exit(f"{area}: no scenario")
        work = lambda s: (s, run(connection, s, o.await_s))
        results = [work(s) for s in scenarios if s.get("serial")]   # these look at the whole cluster
        with concurrent.futures.ThreadPoolExecutor(o.jobs) as pool: results += pool.map(work, [s for s in scenarios if not s.get("serial")])
        for scenario, found in results:
            if found and show > 0:
                show -= 1
                print(f"{scenario['id']}: {scenario['proves']}", *found[:6], sep="\n      ")
        exact = sum(not found for _, found in results)
        rate = 100 * exact / len(scenarios)
        floor = floors.get(area, 100)
        failed |= rate < floor
        print(f"{area:18} {exact:5} of {len(scenarios):5} exact, {rate:6.2f} % (floor {floor} %), {time.monotonic() - begin:.0f} s{'   BELOW' if rate < floor else ''}", flush=True)
    sys.exit(failed)


if __name__ == "__main__": main()
