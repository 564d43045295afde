"""An aggregated API against a running server: a server of ours holds "toys" of group play.example.com, and the API's answers are compared.

Usage: aggregation.py KUBECONFIG ADDRESS    (ADDRESS: of this host, not a loopback one; endpoints may not be)"""
import base64, http.client, http.server, json, os, queue, socket, ssl, subprocess, sys, tempfile, threading, urllib.parse, uuid

import api
from api import becomes, equal

address = sys.argv[2]
work = tempfile.mkdtemp(prefix="skerry-aggregation.")


def call(method, path, body=None, kind="application/json", headers=None):
    status, _, text = api.ask(method, path, body, kind, headers)
    try: value = json.loads(text)
    except ValueError: value = text.decode()
    return status, value


# --- the aggregated server
key, certificate, authority = (os.path.join(work, n) for n in ("key.pem", "cert.pem", "proxy-ca.pem"))
subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", certificate, "-days", "2", "-subj", "/CN=toys",
                "-addext", "subjectAltName=DNS:toys.play.svc"], check=True, capture_output=True)
known = call("GET", "/api/v1/namespaces/kube-system/configmaps/extension-apiserver-authentication")[1]["data"]
equal("names of headers", (["X-Remote-User"], ["X-Remote-Group"], ["X-Remote-Extra-"]),
      tuple(json.loads(known["requestheader-" + n]) for n in ("username-headers", "group-headers", "extra-headers-prefix")))
open(authority, "w").write(known["requestheader-client-ca-file"])
group, prefix = "play.example.com", "/apis/play.example.com/v1"
toys, asked, healthy, lock = {}, [], threading.Event(), threading.Lock()
history, changed, revision = [], threading.Condition(lock), 0    # of all toys: (revision, event)
healthy.set()


def record(kind, one):
    """The lock is held."""
    global revision
    revision += 1
    one["metadata"]["resourceVersion"] = str(revision)
    history.append((revision, json.dumps({"type": kind, "object": one})))
    changed.notify_all()


def merged(old, patch):
    if not isinstance(patch, dict): return patch
    out = dict(old) if isinstance(old, dict) else {}
    for k, v in patch.items():
        out[k] = merged(out.get(k), v)
        if v is None: del out[k]
    return out


def settle(k):
    """Whoever is being deleted goes with the last finalizer. The lock is held."""
    one = toys[k]
    gone = "deletionTimestamp" in one["metadata"] and not one["metadata"].get("finalizers")
    if gone: del toys[k]
    record("DELETED" if gone else "MODIFIED", one)


class Toys(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_): pass

    def reply(self, status, value, kind="application/json"):
        out = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(out)))
        self.end_headers()
        self.wfile.write(out)

    def handle_any(self):
        length = int(self.headers.get("Content-Length") or 0)
        body = json.loads(self.rfile.read(length)) if length else None
        name = dict(field[0] for field in self.connection.getpeercert()["subject"]).get("commonName")
        url = urllib.parse.urlparse(self.path)
        path, query = url.path, urllib.parse.parse_qs(url.query)
        who = self.headers.get("X-Remote-User")
        if name not in json.loads(known["requestheader-allowed-names"]): return self.reply(401, {"message": "who are you?"})
        with lock: asked.append((self.command, self.path, who, self.headers.get_all("X-Remote-Group"), body))
        if not healthy.is_set(): return self.reply(500, {"message": "unwell"})
        if path == prefix:
            verbs = ["create", "delete", "deletecollection", "get", "list", "patch", "watch"]
            return self.reply(200, {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": group + "/v1", "resources": [{"name": "toys", "singularName": "toy", "namespaced": True, "kind": "Toy", "verbs": verbs}]})
        if path == "/openapi/v3": return self.reply(200, {"paths": {"apis/" + group + "/v1": {"serverRelativeURL": f"/openapi/v3{prefix}?hash=A"}}})
        if path == "/openapi/v3" + prefix: return self.reply(200, {"openapi": "3.0.0", "info": {"title": "toys", "version": "1"}, "paths": {}})
        if path == "/openapi/v2":
            return self.reply(200, {"swagger": "2.0", "paths": {prefix + "/toys": {"get": {"responses": {"200": {"description": "OK", "schema": {"$ref": "#/definitions/example.Toy"}}}}}}, "definitions": {"example.Toy": {"type": "object"}}})
        parts = path[len(prefix):].strip("/").split("/")
        if parts == ["toys"]: parts = ["namespaces", None, "toys"]
        if parts[0] != "namespaces" or parts[2:3] != ["toys"]: return self.reply(404, {"kind": "Status", "code": 404})
        ns, one = parts[1], parts[3] if len(parts) > 3 else None
        if self.headers.get("Upgrade") == "echo": return self.echo()
        if self.command == "POST":
            body["metadata"] = {"uid": str(uuid.uuid4()), **body["metadata"], "namespace": ns}
            with lock:
                toys[(ns, body["metadata"]["name"])] = body
                record("ADDED", body)
            return self.reply(201, body)
        if self.command == "DELETE":
            with lock:
                for k in [k for k in toys if k[0] == ns and one in (None, k[1])]:
                    meta = toys[k]["metadata"]
                    if (body or {}).get("preconditions", {}).get("uid", meta["uid"]) != meta["uid"]: return self.reply(409, {"kind": "Status", "reason": "Conflict", "code": 409})
                    meta["deletionTimestamp"] = "2026-01-01T00:00:00Z"
                    if (body or {}).get("propagationPolicy") == "Foreground": meta["finalizers"] = meta.get("finalizers", []) + ["foregroundDeletion"]
                    settle(k)
            return self.reply(200, {"kind": "Status", "status": "Success"})
        if self.command == "PATCH":
            with lock:
                if (ns, one) not in toys: return self.reply(404, {"kind": "Status", "reason": "NotFound", "code": 404})
                toys[(ns, one)] = merged(toys[(ns, one)], body)
                settle((ns, one))
            return self.reply(200, body)
        if "watch" in query: return self.watch_all(int(query["resourceVersion"][0])) if ns is None else self.watch()
        with lock: items, at = [v for k, v in sorted(toys.items()) if ns in (None, k[0])], str(revision)
        if one is not None: return self.reply(200, toys[(ns, one)]) if (ns, one) in toys else self.reply(404, {"kind": "Status", "code": 404})
        self.reply(200, {"kind": "ToyList", "apiVersion": group + "/v1", "metadata": {"resourceVersion": at}, "items": items})

    do_GET = do_POST = do_DELETE = do_PATCH = handle_any

    def stream(self):
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self.wfile.flush()

    def event(self, text): self.wfile.write(b"%x\r\n%s\n\r\n" % (len(text.encode()) + 1, text.encode()))

    def watch(self):
        self.stream()
        for event in iter(events.get, None): self.event(json.dumps({"type": "ADDED", "object": {"kind": "Toy", "n": event}}))
        self.wfile.write(b"0\r\n\r\n")

    def watch_all(self, after):
        self.stream()
        while True:    # until the client goes: the next event cannot be written
            with lock:
                changed.wait_for(lambda: history and history[-1][0] > after)
                fresh, after = [text for at, text in history if at > after], history[-1][0]
            for text in fresh: self.event(text)

    def echo(self):
        self.send_response(101)
        self.send_header("Connection", "Upgrade")
        self.send_header("Upgrade", "echo")
        self.end_headers()
        while True:
            piece = self.connection.recv(4096)
            if not piece: break
            self.connection.sendall(piece.upper())
        self.close_connection = True


events = queue.Queue()
server = http.server.ThreadingHTTPServer(("0.0.0.0", 0), Toys)
port = server.server_address[1]
tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
tls.load_cert_chain(certificate, key)
tls.load_verify_locations(authority)
tls.verify_mode = ssl.CERT_REQUIRED
server.socket = tls.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
server.handle_error = lambda *_: None
threading.Thread(target=server.serve_forever, daemon=True).start()

# --- availability
services = "/apis/apiregistration.k8s.io/v1/apiservices"
def availability(name="v1." + group):
    status, value = call("GET", f"{services}/{name}")
    if status != 200: return None
    found = [c for c in value.get("status", {}).get("conditions", []) if c["type"] == "Available"]
    return (found[0]["status"], found[0]["reason"], found[0]["message"]) if found else None

call("POST", "/api/v1/namespaces", {"metadata": {"name": "play"}})
equal("an APIService", 201, call("POST", services, {"metadata": {"name": "v1." + group}, "spec": {
    "group": group, "version": "v1", "groupPriorityMinimum": 2000, "versionPriority": 10, "caBundle": base64.b64encode(open(certificate, "rb").read()).decode(),
    "service": {"namespace": "play", "name": "toys"}}})[0])
becomes("no service", ("False", "ServiceNotFound", 'service/toys in "play" is not present'), availability)
equal("no server answers", (503, "service unavailable\n"), call("GET", prefix + "/namespaces/play/toys"))
call("POST", "/api/v1/namespaces/play/services", {"metadata": {"name": "toys"}, "spec": {"ports": [{"name": "tls", "port": 8443}]}})
becomes("another port", ("False", "ServicePortError", 'service/toys in "play" is not listening on port 443'), availability)
call("PATCH", "/api/v1/namespaces/play/services/toys", [{"op": "replace", "path": "/spec/ports/0/port", "value": 443}], "application/json-patch+json")
becomes("no endpoints", ("False", "EndpointsNotFound", 'cannot find endpointslices for service/toys in "play"'), availability)
slice_ = {"metadata": {"name": "toys", "labels": {"kubernetes.io/service-name": "toys"}}, "addressType": "IPv4", "endpoints": [{"addresses": [address], "conditions": {"ready": False}}],
          "ports": [{"name": "tls", "port": port, "protocol": "TCP"}]}
slices = "/apis/discovery.k8s.io/v1/namespaces/play/endpointslices"
call("POST", slices, slice_)
becomes("nobody ready", ("False", "MissingEndpoints", 'endpointslices for service/toys in "play" have no addresses with port name "tls"'), availability)
call("PATCH", slices + "/toys", [{"op": "replace", "path": "/endpoints/0/conditions/ready", "value": True}], "application/json-patch+json")
becomes("all well", ("True", "Passed", "all checks passed"), availability)
equal("who asks for that", True, any(a[2:4] == ("system:kube-aggregator", ["system:masters"]) and a[1] == prefix for a in asked))
healthy.clear()
url = f"https://{address}:{port}{prefix}"
call("PATCH", services + "/v1." + group, {"spec": {"versionPriority": 11}}, "application/merge-patch+json")   # or it would be noticed some time later
becomes("a server that is unwell", ("False", "FailedDiscoveryCheck", f"failing or missing response from {url}: bad status from {url}: 500"), availability)
healthy.set()
becomes("and recovers", ("True", "Passed", "all checks passed"), availability)

# --- requests
toy = lambda name: {"apiVersion": group + "/v1", "kind": "Toy", "metadata": {"name": name}}
made = call("POST", prefix + "/namespaces/play/toys?fieldManager=me", toy("ball"), headers={"X-Remote-User": "nobody"})
equal("create", (201, "ball"), (made[0], made[1]["metadata"]["name"]))
equal("as whom", ("POST", prefix + "/namespaces/play/toys?fieldManager=me", "kubernetes-admin", ["system:masters", "system:authenticated"]), [a for a in asked if a[0] == "POST"][-1][:4])
equal("list", ["ball"], [t["metadata"]["name"] for t in call("GET", prefix + "/namespaces/play/toys")[1]["items"]])
equal("an impersonated user is authorized here", (403, 'toys.play.example.com is forbidden: User "jane" cannot list resource "toys" in API group "play.example.com" in the namespace "play"'),
      (lambda s, v: (s, v["message"]))(*call("GET", prefix + "/namespaces/play/toys", headers={"Impersonate-User": "jane"})))

connection = http.client.HTTPSConnection(api.host, context=api.trust, timeout=30)
connection.request("GET", prefix + "/namespaces/play/toys?watch=true")
watch = connection.getresponse()
equal("a watch answers before its first event", 200, watch.status)
for n in (1, 2):
    events.put(n)
    equal("an event as it comes", n, json.loads(watch.readline())["object"]["n"])
events.put(None)
equal("the end of the watch", b"", watch.readline())

host, at = api.host.split(":")
stream = api.trust.wrap_socket(socket.create_connection((host, int(at)), timeout=30))
stream.sendall(f"GET {prefix}/namespaces/play/toys/ball HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n".encode())
head = b""
while b"\r\n\r\n" not in head: head += stream.recv(4096)
equal("an upgrade", b"HTTP/1.1 101", head[:12])
stream.sendall(b"hello")
equal("is a way through", b"HELLO", stream.recv(5))
stream.close()

# --- documents
becomes("discovery of the resources", ["toys"], lambda: [r["name"] for r in call("GET", prefix)[1]["resources"]])
def aggregated():
    found = [g for g in call("GET", "/apis", headers={"Accept": "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"})[1]["items"] if g["metadata"]["name"] == group]
    return [(v["version"], v["freshness"], [r["resource"] for r in v.get("resources") or []]) for g in found for v in g["versions"]]
becomes("aggregated discovery", [("v1", "Current", ["toys"])], aggregated)
becomes("OpenAPI v3", f"/openapi/v3{prefix}?hash=A", lambda: call("GET", "/openapi/v3")[1]["paths"].get("apis/" + group + "/v1", {}).get("serverRelativeURL"))
equal("its document is the other server's", "toys", call("GET", f"/openapi/v3{prefix}?hash=A")[1]["info"]["title"])
becomes("OpenAPI v2", True, lambda: (lambda d: "example.Toy" in d["definitions"] and prefix + "/toys" in d["paths"])(call("GET", "/openapi/v2")[1]))

# --- owners that the other server holds
call("POST", prefix + "/namespaces/play/toys", {**toy("owner"), "metadata": {"name": "owner", "uid": "11111111-1111-1111-1111-111111111111"}})
maps = "/api/v1/namespaces/play/configmaps"
for name, uid in (("kept", "11111111-1111-1111-1111-111111111111"), ("orphan", "22222222-2222-2222-2222-222222222222")):
    call("POST", maps, {"metadata": {"name": name, "ownerReferences": [{"apiVersion": group + "/v1", "kind": "Toy", "name": "owner", "uid": uid}]}})
becomes("what belongs to nobody goes", 404, lambda: call("GET", maps + "/orphan")[0])
equal("what belongs to a toy stays", 200, call("GET", maps + "/kept")[0])
equal("the collector asked", True, any(a[2] == "system:serviceaccount:kube-system:generic-garbage-collector" and a[1] == prefix + "/namespaces/play/toys/owner" for a in asked))

call("DELETE", prefix + "/namespaces/play/toys/owner")
becomes("what belongs to a toy goes with it", 404, lambda: call("GET", maps + "/kept")[0])

# --- dependents that the other server holds
def owned(name, owner, kind, version, **more):
    ref = {"apiVersion": version, "kind": kind, "name": owner["metadata"]["name"], "uid": owner["metadata"]["uid"], "blockOwnerDeletion": True}
    return call("POST", prefix + "/namespaces/play/toys", {**toy(name), "metadata": {"name": name, "ownerReferences": [ref], **more}})[1]
def held(name): return call("GET", prefix + "/namespaces/play/toys/" + name)
def delete(path, policy): call("DELETE", path, {"kind": "DeleteOptions", "apiVersion": "v1", "propagationPolicy": policy})

box = call("POST", maps, {"metadata": {"name": "box"}})[1]
block = owned("block", box, "ConfigMap", "v1")
owned("brick", block, "Toy", group + "/v1")
delete(maps + "/box", "Background")
becomes("a toy goes with its owner", 404, lambda: held("block")[0])
becomes("and the toy that belongs to the toy", 404, lambda: held("brick")[0])
equal("who deleted it", {"system:serviceaccount:kube-system:generic-garbage-collector"}, {a[2] for a in asked if a[0] == "DELETE" and a[1].endswith("/toys/block")})

box = call("POST", maps, {"metadata": {"name": "box"}})[1]
owned("block", box, "ConfigMap", "v1", finalizers=["example.com/hold"])
delete(maps + "/box", "Foreground")
becomes("in the foreground the toy is deleted first", True, lambda: "deletionTimestamp" in held("block")[1]["metadata"])
equal("the owner waits for it", ["foregroundDeletion"], call("GET", maps + "/box")[1]["metadata"].get("finalizers"))
call("PATCH", prefix + "/namespaces/play/toys/block", {"metadata": {"finalizers": None}}, "application/merge-patch+json")
becomes("and goes after it", 404, lambda: call("GET", maps + "/box")[0])

box = call("POST", maps, {"metadata": {"name": "box"}})[1]
owned("block", box, "ConfigMap", "v1")
delete(maps + "/box", "Orphan")
becomes("an orphaned toy", 404, lambda: call("GET", maps + "/box")[0])
equal("has no owner any more", (200, None), (held("block")[0], held("block")[1]["metadata"].get("ownerReferences")))

late = call("POST", maps, {"metadata": {"name": "late"}})[1]
owned("late", late, "ConfigMap", "v1", finalizers=["example.com/hold"])
delete(maps + "/late", "Foreground")
becomes("another toy is deleted before its owner", True, lambda: "deletionTimestamp" in held("late")[1]["metadata"])

# --- namespaces
call("POST", "/api/v1/namespaces", {"metadata": {"name": "emptied"}})
call("POST", prefix + "/namespaces/emptied/toys", toy("doll"))
call("DELETE", "/api/v1/namespaces/emptied")
becomes("a namespace goes with what the other server holds of it", 404, lambda: call("GET", "/api/v1/namespaces/emptied")[0])
equal("nothing is left", [], [k for k in toys if k[0] == "emptied"])
deletes = [a for a in asked if a[0] == "DELETE" and a[1] == prefix + "/namespaces/emptied/toys"]
equal("who deleted it", {"system:serviceaccount:kube-system:namespace-controller"}, {a[2] for a in deletes})

call("POST", "/api/v1/namespaces", {"metadata": {"name": "stuck"}})
call("PATCH", slices + "/toys", [{"op": "replace", "path": "/endpoints/0/conditions/ready", "value": False}], "application/json-patch+json")
becomes("the server is gone", "MissingEndpoints", lambda: availability()[1])
becomes("discovery says so", [("v1", "Stale", [])], aggregated)
call("DELETE", "/api/v1/namespaces/stuck")
def unknown():
    conditions = call("GET", "/api/v1/namespaces/stuck")[1].get("status", {}).get("conditions", [])
    return [(c["status"], c["reason"], c["message"]) for c in conditions if c["type"] == "NamespaceDeletionDiscoveryFailure"]
gv = group + "/v1"
becomes("a namespace waits for a server that does not answer",
        [("True", "DiscoveryFailed", f"Discovery failed for some groups, 1 failing: unable to retrieve the complete list of server APIs: {gv}: stale GroupVersion discovery: {gv}")], unknown)
call("DELETE", services + "/v1." + group)
becomes("and goes when nobody claims to hold anything of it", 404, lambda: call("GET", "/api/v1/namespaces/stuck")[0])
equal("the group is unknown again", 404, call("GET", prefix)[0])

becomes("nothing waits any more for what it held", 404, lambda: call("GET", maps + "/late")[0])

# --- our own group versions
equal("a built-in group", ("True", "Local", "Local APIServices are always available"), availability("v1.apps"))
call("POST", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", {"metadata": {"name": "gs.own.example.com"}, "spec": {
    "group": "own.example.com", "scope": "Namespaced", "names": {"plural": "gs", "kind": "G"}, "versions": [{"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": {"type": "object"}}}]}})
becomes("a custom group", ("True", "Local", "Local APIServices are always available"), lambda: availability("v1.own.example.com"))
own = call("GET", services + "/v1.own.example.com")[1]
equal("is managed", ({"kube-aggregator.kubernetes.io/automanaged": "true"}, {"group": "own.example.com", "groupPriorityMinimum": 1000, "version": "v1", "versionPriority": 100}), (own["metadata"]["labels"], own["spec"]))
call("DELETE", services + "/v1.own.example.com")
becomes("and comes back", True, lambda: availability("v1.own.example.com") is not None)
call("DELETE", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/gs.own.example.com")
becomes("until its definition goes", 404, lambda: call("GET", services + "/v1.own.example.com")[0])
api.finish("aggregation")
