"""Admission and conversion webhooks against a running server: a webhook of ours answers over TLS, the API's answers are compared.

Usage: webhooks.py KUBECONFIG ADDRESS    (ADDRESS: of this host, not a loopback one; endpoints may not be)"""
import base64, copy, http.server, json, os, ssl, subprocess, sys, tempfile, threading, time
import api
from api import becomes, equal

address = sys.argv[2]
work = tempfile.mkdtemp(prefix="skerry-webhooks.")
key, certificate = os.path.join(work, "key.pem"), os.path.join(work, "cert.pem")
subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", certificate, "-days", "2", "-subj", "/CN=hook",
                "-addext", f"subjectAltName=IP:{address},DNS:hook.default.svc"], check=True, capture_output=True)
released = threading.Event()
reviews = []


class Hook(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_): pass

    def do_POST(self):
        review = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        request, path = review["request"], self.path.split("?")[0]
        reviews.append((self.path, request))
        answer = {"uid": request["uid"], "allowed": True}
        if path == "/slow": released.wait(20)
        elif path == "/deny": answer.update(allowed=False, status={"message": "you cannot", "code": 418})
        elif path == "/label":
            label = "first" if not request["object"]["metadata"].get("labels") else "second"
            patch = ([{"op": "add", "path": "/metadata/labels", "value": {}}] if label == "first" else []) + [{"op": "add", "path": "/metadata/labels/" + label, "value": "yes"}]
            answer.update(patchType="JSONPatch", patch=base64.b64encode(json.dumps(patch).encode()).decode(), warnings=["labelled"])
        elif path == "/uid": answer["uid"] = "other"
        elif path == "/convert":
            converted = []
            for original in request["objects"]:
                o = copy.deepcopy(original)
                o["apiVersion"] = request["desiredAPIVersion"]
                old, new = ("a", "b") if o["apiVersion"].endswith("v2") else ("b", "a")
                if old in o: o[new] = o.pop(old)
                o["metadata"]["name"] = "changed"   # not its business
                converted.append(o)
            answer = {"uid": request["uid"], "convertedObjects": converted, "result": {"status": "Success"}}
        out = json.dumps({"apiVersion": review["apiVersion"], "kind": review["kind"], "response": answer}).encode()
        try:
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(out)))
            self.end_headers()
            self.wfile.write(out)
        except OSError: pass   # the caller has given up


server = http.server.ThreadingHTTPServer(("0.0.0.0", 0), Hook)
port = server.server_address[1]
tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
tls.load_cert_chain(certificate, key)
server.socket = tls.wrap_socket(server.socket, server_side=True)
server.handle_error = lambda *_: None   # a caller that trusts nobody hangs up
threading.Thread(target=server.serve_forever, daemon=True).start()
bundle = base64.b64encode(open(certificate, "rb").read()).decode()
base = f"https://{address}:{port}"


def call(method, path, body=None, kind="application/json", events=False):
    status, headers, text = api.ask(method, path, body, kind)
    value = json.loads(text) if not events else [json.loads(line) for line in text.splitlines()]
    return status, value, headers.get_all("Warning") or []


def hook(kind, name, **fields):
    webhook = {"name": name + ".example.com", "rules": [{"apiGroups": [""], "apiVersions": ["*"], "operations": ["*"], "resources": ["configmaps"]}], "sideEffects": "None",
               "admissionReviewVersions": ["v1"], "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "default"}}, **fields}
    status, value, _ = call("POST", f"/apis/admissionregistration.k8s.io/v1/{kind.lower()}s", {"apiVersion": "admissionregistration.k8s.io/v1", "kind": kind, "metadata": {"name": name}, "webhooks": [webhook]})
    equal(f"{kind} {name}", 201, status if status == 201 else value)


def drop(kind, name): call("DELETE", f"/apis/admissionregistration.k8s.io/v1/{kind.lower()}s/{name}")
def at(path): return {"clientConfig": {"url": base + path, "caBundle": bundle}}
def create(name, ns="default", query=""): return call("POST", f"/api/v1/namespaces/{ns}/configmaps{query}", {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}})


MUTATING, VALIDATING = "MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"
hook(MUTATING, "a", **at("/label"))
hook(MUTATING, "b", **at("/label"))
status, made, warnings = create("labelled")
equal("mutating webhooks run in order of their names, each seeing the last one's work", {"first": "yes", "second": "yes"}, made["metadata"].get("labels"))
equal("warnings of webhooks reach the client", ['299 - "labelled"'], warnings)
equal("the time limit is told", "/label?timeout=10s", reviews[0][0])
equal("operation", "CREATE", reviews[0][1]["operation"])
equal("other namespaces are left alone", None, create("plain", "kube-system")[1]["metadata"].get("labels"))
drop(MUTATING, "a"), drop(MUTATING, "b")

hook(VALIDATING, "deny", **at("/deny"), matchConditions=[{"name": "bad", "expression": "object.metadata.name.startsWith('bad')"}])
equal("conditions decide whether a webhook is asked", 201, create("good")[0])
equal("a refusal carries the webhook's code and words", (418, 'admission webhook "deny.example.com" denied the request: you cannot'), (lambda s, v, _: (s, v["message"]))(*create("bad")))
drop(VALIDATING, "deny")

def failing(name, reason, **fields):
    hook(VALIDATING, name, **fields)
    status, value, _ = create(name)
    equal(name, (500, "InternalError", f'Internal error occurred: failed calling webhook "{name}.example.com": {reason}'), (status, value.get("reason"), value.get("message")))
    drop(VALIDATING, name)

failing("slow", f'failed to call webhook: Post "{base}/slow?timeout=1s": context deadline exceeded', **at("/slow"), timeoutSeconds=1)
hook(VALIDATING, "open", **at("/slow"), timeoutSeconds=1, failurePolicy="Ignore")
equal("a webhook that may fail does not block", 201, create("open")[0])
drop(VALIDATING, "open")
released.set()
failing("nobody", f'failed to call webhook: Post "https://{address}:1/x?timeout=10s": dial tcp {address}:1: connect: connection refused', clientConfig={"url": f"https://{address}:1/x", "caBundle": bundle})
failing("stranger", f'failed to call webhook: Post "{base}/x?timeout=10s": tls: failed to verify certificate: x509: certificate signed by unknown authority', clientConfig={"url": base + "/x"})
hook(VALIDATING, "answer", **at("/uid"))
equal("an answer to another question is none", True, "received invalid webhook response: expected response.uid=" in create("answer")[1]["message"])
drop(VALIDATING, "answer")
hook(VALIDATING, "effects", **{**at("/x"), "sideEffects": "None"})
equal("dry run reaches webhooks without side effects", 201, create("dry", query="?dryRun=All")[0])
equal("and they are told", True, reviews[-1][1]["dryRun"])
drop(VALIDATING, "effects")

call("POST", "/api/v1/namespaces/default/pods", {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": {"containers": [{"name": "c", "image": "none"}]}})
hook(VALIDATING, "connect", **at("/deny"), rules=[{"apiGroups": [""], "apiVersions": ["*"], "operations": ["CONNECT"], "resources": ["pods/attach"]}])
equal("a connection is refused like a write", (418, 'admission webhook "connect.example.com" denied the request: you cannot'),
      (lambda s, v, _: (s, v["message"]))(*call("POST", "/api/v1/namespaces/default/pods/p/attach?container=c&stdin=true")))
equal("and its options are told", ("CONNECT", "attach", "p", {"kind": "PodAttachOptions", "apiVersion": "v1", "stdin": True, "container": "c"}),
      tuple(reviews[-1][1].get(k) for k in ("operation", "subResource", "name", "object")))
equal("another kind of connection is not its business", 503, call("POST", "/api/v1/namespaces/default/pods/p/exec?container=c&command=x&stdout=true")[0])
drop(VALIDATING, "connect")

service = {"clientConfig": {"service": {"name": "hook", "namespace": "default", "path": "/x"}, "caBundle": bundle}}
url = "https://hook.default.svc:443/x?timeout=10s"
failing("unknown", f'failed to call webhook: Post "{url}": service "hook" not found', **service)
call("POST", "/api/v1/namespaces/default/services", {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "hook"}, "spec": {"ports": [{"port": 443}]}})
failing("empty", f'failed to call webhook: Post "{url}": no endpoints available for service "hook"', **service)
call("POST", "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices", {
    "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "metadata": {"name": "hook", "labels": {"kubernetes.io/service-name": "hook"}}, "addressType": "IPv4",
    "endpoints": [{"addresses": [address]}], "ports": [{"name": "", "port": port, "protocol": "TCP"}]})
hook(VALIDATING, "service", **service)
equal("a webhook behind a service is reached under the service's name", 201, create("service")[0])
drop(VALIDATING, "service")

# --- conversion of custom resources
field = lambda name: {"openAPIV3Schema": {"type": "object", "properties": {name: {"type": "string"}}}}
conversion = {"strategy": "Webhook", "webhook": {"conversionReviewVersions": ["v1"], "clientConfig": {"url": base + "/convert", "caBundle": bundle}}}
call("POST", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", {"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": {"name": "gs.hook.example.com"}, "spec": {
    "group": "hook.example.com", "scope": "Namespaced", "names": {"plural": "gs", "kind": "G"}, "conversion": conversion,
    "versions": [{"name": "v1", "served": True, "storage": True, "schema": field("a"), "selectableFields": [{"jsonPath": ".a"}]},
                 {"name": "v2", "served": True, "storage": False, "schema": field("b"), "selectableFields": [{"jsonPath": ".b"}]}]}})
path = lambda version, name="": f"/apis/hook.example.com/{version}/namespaces/default/gs" + ("/" + name if name else "")
for version, name, member in (("v1", "one", "a"), ("v2", "two", "b")):
    equal("create in " + version, (201, "x"), (lambda s, v, _: (s, v.get(member)))(*call("POST", path(version), {"apiVersion": "hook.example.com/" + version, "kind": "G", "metadata": {"name": name}, member: "x"})))
for version, member in (("v1", "a"), ("v2", "b")):
    equal("list in " + version, [("one", "x", "hook.example.com/" + version), ("two", "x", "hook.example.com/" + version)],
          [(i["metadata"]["name"], i.get(member), i["apiVersion"]) for i in call("GET", path(version))[1]["items"]])
equal("patch in the other version", (200, "z"), (lambda s, v, _: (s, v.get("b")))(*call("PATCH", path("v2", "one"), {"b": "z"}, "application/merge-patch+json")))
equal("and what is stored", "z", call("GET", path("v1", "one"))[1].get("a"))
names = lambda version, query: [i["metadata"]["name"] for i in call("GET", path(version) + "?fieldSelector=" + query)[1]["items"]]
for version, field_name in (("v1", "a"), ("v2", "b")):
    equal("a field of " + version + " selects", ["one"], names(version, field_name + "%3Dz"))
    equal("and excludes", ["two"], names(version, field_name + "!%3Dz"))
    status, value, _ = call("GET", path(version) + f"?fieldSelector={field_name}%3Dx&watch=true&timeoutSeconds=1&resourceVersion=0", events=True)
    equal("a watch selects by a field of " + version, [("ADDED", "two", "x")], [(e["type"], e["object"]["metadata"]["name"], e["object"].get(field_name)) for e in value])
conversion["webhook"]["clientConfig"]["url"] = f"https://{address}:1/convert"
call("PATCH", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/gs.hook.example.com", {"spec": {"conversion": conversion}}, "application/merge-patch+json")
status, value, _ = call("GET", path("v2", "one"))
equal("a webhook that is away", (500, f'conversion webhook for hook.example.com/v1, Kind=G failed: Post "https://{address}:1/convert?timeout=30s": dial tcp {address}:1: connect: connection refused'),
      (status, value.get("message")))
equal("the stored version needs none", 200, call("GET", path("v1", "one"))[0])

# --- a quota over a custom kind
def used(): return call("GET", "/api/v1/namespaces/default/resourcequotas/q")[1].get("status", {}).get("used", {}).get("count/gs.hook.example.com")
call("POST", "/api/v1/namespaces/default/resourcequotas", {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "q"}, "spec": {"hard": {"count/gs.hook.example.com": "5"}}})
becomes("a quota counts objects of a custom kind", "2", used, 60)
call("DELETE", path("v1", "one"))
becomes("and counts again when one goes", "1", used, 60)
api.finish("webhooks")
