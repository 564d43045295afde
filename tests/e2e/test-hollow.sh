#!/usr/bin/env bash
# Hollow nodes in a process of their own, over the network: they register, run pods and jobs, and go on after a restart of either side. Wants root.
set -euo pipefail
cd "$(dirname "$0")/../.."
source tests/e2e/lib.sh
hermetic "$PWD/tests/e2e/test-hollow.sh" "$@"
set_up_host
python3 -u - "$skerry" "$work" <<'END'
import subprocess, sys, time
sys.path.insert(0, "tests/bench")
from hollow import deployment, start, wait_ready
skerry, work = sys.argv[1], sys.argv[2]

def nodes(*flags):
    return subprocess.Popen([skerry, "dev", "hollow-node", "--kubeconfig", work + "/data/kubeconfig", *flags], stdout=subprocess.DEVNULL)

def until(what, holds):
    end = time.monotonic() + 60
    while not holds():
        if time.monotonic() > end: sys.exit("not in time: " + what)
        time.sleep(0.1)

def items(path): return api.call("GET", path)[1]["items"]

wrong = subprocess.run([skerry, "dev", "hollow-node", "--count", "0"], capture_output=True, text=True)
assert wrong.returncode == 2 and "--count=0: expected a number from 1 to 5000" in wrong.stderr, wrong
process, api, _ = start(skerry, work)
print("-- three nodes register and take pods")
agents = nodes("--count", "3")
until("three nodes", lambda: len(items("/api/v1/nodes?labelSelector=skerry.io/hollow")) == 3)
assert api.call("POST", "/apis/apps/v1/namespaces/default/deployments", deployment("a", 6))[0] == 201
until("six pods run", lambda: wait_ready(api, time.monotonic() + 1))
pods = items("/api/v1/namespaces/default/pods")
assert len({p["status"]["podIP"] for p in pods}) == 6 and all(p["spec"]["nodeName"].startswith("hollow-") for p in pods)
assert len(items("/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases")) == 3
print("-- a job ends")
job = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "j"}, "spec": {"completions": 2, "template": {"spec": {"restartPolicy": "Never", "containers": [{"name": "c", "image": "i"}]}}}}
assert api.call("POST", "/apis/batch/v1/namespaces/default/jobs", job)[0] == 201
until("the job is complete", lambda: items("/apis/batch/v1/namespaces/default/jobs")[0].get("status", {}).get("succeeded") == 2)
print("-- the server restarts under the nodes")
process.terminate()
process.wait(30)
process, api, _ = start(skerry, work)
assert api.call("POST", "/apis/apps/v1/namespaces/default/deployments", deployment("b", 4))[0] == 201
until("four more pods run", lambda: wait_ready(api, time.monotonic() + 1))
print("-- the nodes restart under the server")
agents.terminate()
assert agents.wait(30) == 0
api.call("DELETE", "/apis/apps/v1/namespaces/default/deployments/a")
agents = nodes("--count", "3")
until("the deleted pods are gone", lambda: len([p for p in items("/api/v1/namespaces/default/pods") if p["metadata"]["labels"].get("app") == "a"]) == 0)
assert api.call("POST", "/apis/apps/v1/namespaces/default/deployments", deployment("c", 4))[0] == 201
until("pods run again", lambda: wait_ready(api, time.monotonic() + 1))
running = [p["status"]["podIP"] for p in items("/api/v1/namespaces/default/pods") if p["status"]["phase"] == "Running"]
assert len(running) == len(set(running)), "an address twice"
for p in (agents, process):
    p.terminate()
    assert p.wait(30) == 0
END
echo "hollow nodes: passed"
