#!/usr/bin/env python3
"""Scale with hollow nodes in a process of their own: scheduling rate, memory, processor time, convergence after a restart. Prints figures,
asserts nothing.  usage: scale.py SKERRY DIRECTORY [nodes] [pods,pods,...] [services]   (see scale.sh, which gives it a network namespace)"""
import concurrent.futures, os, subprocess, sys, threading, time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from hollow import at_rest, deployment, peak, start, used, wait_ready

skerry, work = sys.argv[1], sys.argv[2]
nodes = int(sys.argv[3]) if len(sys.argv) > 3 else 500
steps = [int(n) for n in (sys.argv[4] if len(sys.argv) > 4 else "1000,5000,15000").split(",")]
services = int(sys.argv[5]) if len(sys.argv) > 5 else 1000
PODS_EACH = 100   # pods of one deployment


def start_nodes(count):
    return subprocess.Popen([skerry, "dev", "hollow-node", "--count", str(count), "--kubeconfig", work + "/data/kubeconfig", "--log-level", "warn"],
                            stdout=subprocess.DEVNULL, stderr=open(work + "/hollow.log", "ab"))


class Bound:
    """Counts pods that have a node, by a watch of its own: the scheduling rate is that of bindings, whatever the agents do with them."""
    def __init__(self, api, version):
        self.count, self.first, self.last = 0, None, None
        self.lines = api.watch_lines("/api/v1/pods?fieldSelector=spec.nodeName!%3D&watch=true&resourceVersion=" + version)
        threading.Thread(target=self.watch, daemon=True).start()

    def watch(self):
        for line in self.lines:   # to the selection a pod is new when it gets its node
            if not line.startswith(b'{"type":"ADDED"'): continue
            now = time.monotonic()
            self.first, self.last, self.count = self.first or now, now, self.count + 1

    def rate(self): return self.count / (self.last - self.first) if self.count > 1 else 0


def version_of_pods(api): return api.call("GET", "/api/v1/pods?limit=1")[1]["metadata"]["resourceVersion"]


def count_pods(api):
    answer = api.call("GET", "/api/v1/pods?limit=1")[1]
    return len(answer["items"]) + answer["metadata"].get("remainingItemCount", 0)


def node(name):
    amounts = {"cpu": "32", "memory": "64Gi", "pods": "110"}
    return {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": {"kubernetes.io/hostname": name, "kubernetes.io/os": "linux"}},
            "status": {"capacity": amounts, "allocatable": amounts, "conditions": [{"type": "Ready", "status": "True"}]}}


def schedule_alone(count):
    """Pods that all wait, then nodes that nobody plays: nothing but the scheduler works, and whoever looks at a pod when it changes."""
    os.makedirs(work + "/alone", exist_ok=True)
    process, api, _ = start(skerry, work + "/alone")
    began = time.monotonic()
    for i in range(count // PODS_EACH): api.call("POST", "/apis/apps/v1/namespaces/default/deployments", deployment(f"d{i}", PODS_EACH))
    while count_pods(api) < count: time.sleep(0.5)
    made, cpu = at_rest(process.pid, began)
    print(f"{count} pods made and left waiting in {made:.1f} s with {1e3 * cpu / count:.2f} ms of processor a pod; memory {used(process.pid)[1]} MB", flush=True)
    bound, cpu = Bound(api, version_of_pods(api)), used(process.pid)[0]
    with concurrent.futures.ThreadPoolExecutor(4) as pool: list(pool.map(lambda i: api.call("POST", "/api/v1/nodes", node(f"n{i}")), range(nodes)))
    limit = time.monotonic() + 600
    while bound.count < count and time.monotonic() < limit: time.sleep(0.05)
    now, rss, _ = used(process.pid)
    print(f"{count} waiting pods: bound at {bound.rate():.0f} pods/s; {1e3 * (now - cpu) / count:.2f} ms of processor a pod; memory {rss} MB" + ("" if bound.count >= count else f"   ONLY {bound.count}"), flush=True)
    process.terminate()
    process.wait(60)


if os.environ.get("ALONE", "1") == "1": schedule_alone(steps[-1])
if os.environ.get("WHOLE", "1") != "1": sys.exit()
process, api, took = start(skerry, work)
print(f"started in {took:.2f} s")
agents = start_nodes(nodes)
while len(api.call("GET", "/api/v1/nodes?labelSelector=skerry.io/hollow")[1]["items"]) < nodes: time.sleep(0.1)
print(f"{nodes} nodes; memory {used(process.pid)[1]} MB, the nodes' own process {used(agents.pid)[1]} MB")
for i in range(services):
    api.call("POST", "/api/v1/namespaces/default/services", {"apiVersion": "v1", "kind": "Service", "metadata": {"name": f"s{i}"},
                                                           "spec": {"selector": {"app": f"d{i % max(1, steps[-1] // PODS_EACH)}"}, "ports": [{"port": 80}]}})
print(f"{services} services; memory {used(process.pid)[1]} MB", flush=True)
made = 0
for step in steps:
    bound = Bound(api, version_of_pods(api))
    cpu, began, first = used(process.pid)[0], time.monotonic(), made
    while made * PODS_EACH < step:
        status, answer = api.call("POST", "/apis/apps/v1/namespaces/default/deployments", deployment(f"d{made}", PODS_EACH))
        if status != 201: sys.exit(f"{status} {answer}")
        made += 1
    whole = wait_ready(api, began + 1200)
    seconds, pods = time.monotonic() - began, (made - first) * PODS_EACH
    now, rss, _ = used(process.pid)
    print(f"{step:6} pods: {pods} more, bound at {bound.rate():.0f} pods/s; made, bound and ready in {seconds:.1f} s = {pods / seconds:.0f} pods/s; {1e3 * (now - cpu) / pods:.2f} ms of processor a pod; "
          f"memory {rss} MB, {1024 * rss / max(1, step):.0f} KB a pod" + ("" if whole else "   NOT ALL READY"), flush=True)
cpu = used(process.pid)[0]
time.sleep(30)
print(f"idle: {100 * (used(process.pid)[0] - cpu) / 30:.2f} % of a core with {nodes} leases to renew")
process.terminate()
process.wait(60)
played = used(agents.pid)[0]
process, api, took = start(skerry, work)
began = time.monotonic()
wait_ready(api, began + 300)
settled, cpu = at_rest(process.pid, began)
print(f"restarted in {took:.2f} s, at rest {settled:.1f} s later with {cpu:.1f} s of processor in all and {used(agents.pid)[0] - played:.1f} s of the agents' process; "
      f"memory {used(process.pid)[1]} MB, {peak(process.pid)} MB at most")
for p in (agents, process):
    p.terminate()
    p.wait(60)
