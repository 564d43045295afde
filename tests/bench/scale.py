#!/usr/bin/env python3
"""Scale with hollow nodes: scheduling rate, memory, processor time, convergence after a restart. Prints figures, asserts nothing.
usage: scale.py SKERRY DIRECTORY [nodes] [pods,pods,...] [services]   (see scale.sh, which gives it a network namespace of its own)"""
import base64, http.client, json, os, re, ssl, subprocess, sys, tempfile, threading, time

skerry, work = sys.argv[1], sys.argv[2]
nodes = int(sys.argv[3]) if len(sys.argv) > 3 else 500
steps = [int(n) for n in (sys.argv[4] if len(sys.argv) > 4 else "1000,5000,15000").split(",")]
services = int(sys.argv[5]) if len(sys.argv) > 5 else 1000
PODS_EACH = 100   # pods of one deployment


class Api:
    def __init__(self, kubeconfig):
        text = open(kubeconfig).read()
        field = lambda name: re.search(name + r": *(\S+)", text).group(1).strip('"')
        self.address = re.search(r"https://([^\s\"]+)", text).group(1)
        self.context = ssl._create_unverified_context()
        files = []
        for name in ("client-certificate-data", "client-key-data"):
            f = tempfile.NamedTemporaryFile(delete=False)
            f.write(base64.b64decode(field(name)))
            f.close()
            files.append(f.name)
        self.context.load_cert_chain(*files)
        for f in files: os.unlink(f)
        self.local = threading.local()

    def call(self, method, path, body=None):
        for again in (False, True):
            connection = getattr(self.local, "connection", None)
            if not connection:
                connection = self.local.connection = http.client.HTTPSConnection(self.address, context=self.context, timeout=60)
            try:
                connection.request(method, path, body=json.dumps(body) if body else None, headers={"Content-Type": "application/json"})
                answer = connection.getresponse()
                return answer.status, json.loads(answer.read() or b"null")
            except (OSError, http.client.HTTPException):
                connection.close()
                self.local.connection = None
                if again: raise


def start():
    log = open(work + "/log", "ab")
    began = time.monotonic()
    process = subprocess.Popen([skerry, "start", "--data-dir", work + "/data", "--listen", "127.0.0.1:6443", "--runtime", "none", "--hollow-nodes", str(nodes), "--log-level", "warn"],
                               stdout=log, stderr=log)
    while process.poll() is None:
        try:
            api = Api(work + "/data/kubeconfig")
            if api.call("GET", "/api/v1/namespaces/default")[0] == 200: return process, api, time.monotonic() - began
        except (OSError, AttributeError, ValueError):
            pass
        time.sleep(0.02)
    sys.exit("the server ended; see " + work + "/log")


def used(pid):
    fields = open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()
    rss = int(re.search(r"VmRSS:\s+(\d+)", open(f"/proc/{pid}/status").read()).group(1)) // 1024
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK"), rss


def ready(api):
    items = api.call("GET", "/apis/apps/v1/deployments")[1]["items"]
    return sum(d.get("status", {}).get("readyReplicas", 0) for d in items), sum(d["spec"]["replicas"] for d in items)


def wait_ready(api, limit):
    while time.monotonic() < limit:
        have, want = ready(api)
        if have == want: return True
        time.sleep(0.1)
    return False


def deployment(i):
    labels = {"app": f"d{i}"}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": f"d{i}", "namespace": "default"},
            "spec": {"replicas": PODS_EACH, "selector": {"matchLabels": labels},
                     "template": {"metadata": {"labels": labels}, "spec": {"automountServiceAccountToken": False, "containers": [
                         {"name": "c", "image": "registry.example/app:1", "resources": {"requests": {"cpu": "10m", "memory": "10Mi"}}}]}}}}


process, api, took = start()
print(f"started in {took:.2f} s")
while len(api.call("GET", "/api/v1/nodes?labelSelector=skerry.io/hollow")[1]["items"]) < nodes: time.sleep(0.1)
print(f"{nodes} nodes; memory {used(process.pid)[1]} MB")
for i in range(services):
    api.call("POST", "/api/v1/namespaces/default/services", {"apiVersion": "v1", "kind": "Service", "metadata": {"name": f"s{i}"},
                                                           "spec": {"selector": {"app": f"d{i % max(1, steps[-1] // PODS_EACH)}"}, "ports": [{"port": 80}]}})
print(f"{services} services; memory {used(process.pid)[1]} MB")
made = 0
for step in steps:
    cpu, began, first = used(process.pid)[0], time.monotonic(), made
    while made * PODS_EACH < step:
        status, answer = api.call("POST", "/apis/apps/v1/namespaces/default/deployments", deployment(made))
        if status != 201: sys.exit(f"{status} {answer}")
        made += 1
    whole = wait_ready(api, began + 600)
    seconds, pods = time.monotonic() - began, (made - first) * PODS_EACH
    now, rss = used(process.pid)
    print(f"{step:6} pods: {pods} more in {seconds:.1f} s = {pods / seconds:.0f} pods/s made, scheduled and ready; {1e3 * (now - cpu) / pods:.2f} ms of processor a pod; memory {rss} MB"
          + ("" if whole else "   NOT ALL READY"), flush=True)
cpu = used(process.pid)[0]
time.sleep(30)
print(f"idle: {100 * (used(process.pid)[0] - cpu) / 30:.2f} % of a core with {nodes} leases to renew")
process.terminate()
process.wait(60)
process, api, took = start()
began = time.monotonic()
wait_ready(api, began + 300)
print(f"restarted in {took:.2f} s, converged {time.monotonic() - began:.2f} s later; memory {used(process.pid)[1]} MB")
process.terminate()
process.wait(60)
