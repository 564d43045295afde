#!/usr/bin/env python3
"""What jobs that have finished cost: processor time and bytes at rest, and what a new job costs beside them. Prints figures, asserts
nothing.  usage: jobs.py SKERRY DIRECTORY [count]   (see jobs.sh, which gives it a network namespace)"""
import concurrent.futures, os, sys, time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from hollow import at_rest, start, used

skerry, work = sys.argv[1], sys.argv[2]
count = int(sys.argv[3]) if len(sys.argv) > 3 else 10000
NEW, SECONDS = 20, 30
JOBS = "/apis/batch/v1/namespaces/default/jobs"


def job(name):
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name},
            "spec": {"template": {"spec": {"restartPolicy": "Never", "automountServiceAccountToken": False, "containers": [{"name": "c", "image": "registry.example/app:1"}]}}}}


def run(name):
    """One job of one pod on a hollow node, which takes a second by itself."""
    api.call("POST", JOBS, job(name))
    while not api.call("GET", f"{JOBS}/{name}")[1].get("status", {}).get("completionTime"): time.sleep(0.02)


def new_jobs(label):
    cpu, began = used(process.pid)[0], time.monotonic()
    for i in range(NEW): run(label.replace(" ", "-") + str(i))
    seconds, now = time.monotonic() - began, used(process.pid)
    print(f"{label}: a new job ends after {seconds / NEW:.2f} s with {1e3 * (now[0] - cpu) / NEW:.1f} ms of processor; memory {now[1]} MB", flush=True)


def finish(i):
    """A job that is over before anybody has begun it."""
    wanted = job(f"done{i}")
    wanted["spec"]["suspend"] = True
    made = api.call("POST", JOBS, wanted)[1]
    now = made["metadata"]["creationTimestamp"]
    made["metadata"].pop("resourceVersion")
    met = {"status": "True", "reason": "CompletionsReached", "message": "Reached expected number of succeeded pods", "lastProbeTime": now, "lastTransitionTime": now}
    made["status"] = {"startTime": now, "completionTime": now, "succeeded": 1, "conditions": [{"type": "SuccessCriteriaMet", **met}, {"type": "Complete", **met}]}
    status, answer = api.call("PUT", f"{JOBS}/done{i}/status", made)
    if status != 200: sys.exit(f"{status} {answer}")


process, api, _ = start(skerry, work, "--hollow-nodes", "5")
new_jobs("alone")
began, cpu = time.monotonic(), used(process.pid)[0]
with concurrent.futures.ThreadPoolExecutor(4) as pool: list(pool.map(finish, range(count)))
_, now = at_rest(process.pid, began)
print(f"{count} finished jobs made with {1e3 * (now - cpu) / count:.2f} ms of processor each; memory {used(process.pid)[1]} MB", flush=True)
before = used(process.pid)
time.sleep(SECONDS)
after = used(process.pid)
print(f"at rest: {100 * (after[0] - before[0]) / SECONDS:.2f} % of a core, {(after[2] - before[2]) // 1024} KB written in {SECONDS} s", flush=True)
new_jobs("beside them")
process.terminate()
process.wait(60)
process, api, took = start(skerry, work, "--hollow-nodes", "5")
settled, cpu = at_rest(process.pid, time.monotonic())
print(f"restarted in {took:.2f} s, at rest {settled:.1f} s later with {cpu:.1f} s of processor in all; memory {used(process.pid)[1]} MB")
process.terminate()
process.wait(60)
