"""Create, list, watch, patch, delete and a watch that goes on after the server restarted, with the client library from PyPI."""
import os, sys, threading, time

from kubernetes import client, config, watch
from kubernetes.client.rest import ApiException

config.load_kube_config(sys.argv[1])
restart_request = sys.argv[2]
core, apps = client.CoreV1Api(), client.AppsV1Api()
ns = "compat-python"
core.create_namespace(client.V1Namespace(metadata=client.V1ObjectMeta(name=ns)))

cm = core.create_namespaced_config_map(ns, client.V1ConfigMap(metadata=client.V1ObjectMeta(name="a", labels={"x": "y"}), data={"k": "1"}))
assert cm.metadata.uid and cm.metadata.resource_version
try:
    core.create_namespaced_config_map(ns, client.V1ConfigMap(metadata=client.V1ObjectMeta(name="a")))
    raise SystemExit("a second create of the same name was accepted")
except ApiException as e:
    assert e.status == 409 and '"AlreadyExists"' in e.body, e
assert [i.metadata.name for i in core.list_namespaced_config_map(ns, label_selector="x=y").items] == ["a"]
patched = core.patch_namespaced_config_map("a", ns, {"data": {"k": "2", "l": None}})
assert patched.data == {"k": "2"}
stale = core.read_namespaced_config_map("a", ns)
core.patch_namespaced_config_map("a", ns, {"data": {"k": "3"}})
stale.data["k"] = "4"
try:
    core.replace_namespaced_config_map("a", ns, stale)
    raise SystemExit("an update of an old version was accepted")
except ApiException as e:
    assert e.status == 409 and '"Conflict"' in e.body, e

deployment = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"},
              "spec": {"replicas": 2, "selector": {"matchLabels": {"app": "web"}},
                       "template": {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "c", "image": "x"}]}}}}
apps.create_namespaced_deployment(ns, deployment)
pods, w = set(), watch.Watch()
for event in w.stream(core.list_namespaced_pod, ns, timeout_seconds=20):
    pods.add(event["object"].metadata.name)
    if len(pods) == 2:
        w.stop()
assert len(pods) == 2, pods
scale = apps.read_namespaced_deployment_scale("web", ns)
scale.spec.replicas = 3
scale.metadata.resource_version = None   # the controller writes the status meanwhile
assert apps.replace_namespaced_deployment_scale("web", ns, scale).spec.replicas == 3

# A list-and-watch loop as informers do it: it must see every change once across a restart of the server.
seen, stop = {}, threading.Event()
def inform():
    version = None
    while not stop.is_set():
        try:
            if version is None:
                listed = core.list_namespaced_config_map(ns)
                version = listed.metadata.resource_version
                seen.update({i.metadata.name: i.data for i in listed.items})
            for e in watch.Watch().stream(core.list_namespaced_config_map, ns, resource_version=version, timeout_seconds=5):
                version = e["object"].metadata.resource_version
                seen[e["object"].metadata.name] = None if e["type"] == "DELETED" else e["object"].data
        except ApiException as e:
            if e.status == 410:
                version = None
        except Exception:
            time.sleep(0.05)   # the server is away
thread = threading.Thread(target=inform, daemon=True)
thread.start()
def until(condition, what):
    end = time.monotonic() + 60
    while not condition():
        if time.monotonic() > end:
            raise SystemExit("not in time: " + what)
        time.sleep(0.02)
def retry(f):
    end = time.monotonic() + 20
    while True:
        try:
            return f()
        except Exception:
            if time.monotonic() > end:
                raise
            time.sleep(0.05)
until(lambda: "a" in seen, "the first list")
open(restart_request, "w").write("restart\n")
until(lambda: os.path.exists(restart_request + ".done"), "the restart")
retry(lambda: core.create_namespaced_config_map(ns, client.V1ConfigMap(metadata=client.V1ObjectMeta(name="after"), data={"k": "v"})))
until(lambda: seen.get("after") == {"k": "v"}, "a change after the restart")
retry(lambda: core.delete_namespaced_config_map("after", ns))
until(lambda: seen.get("after", 1) is None, "a deletion after the restart")
stop.set()
core.delete_namespace(ns)
until(lambda: ns not in [n.metadata.name for n in core.list_namespace().items], "the namespace to go")
print("python client: ok")
