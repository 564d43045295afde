#!/usr/bin/env bash
# Update, merge patch, strategic merge patch and server-side apply of a Deployment (over TLS, RBAC): server CPU an operation. Each changes a label
# of the Deployment, which its controller looks at and has nothing to write for; that look is part of the figure. 16 clients, each with a
# Deployment of its own.
# usage: tests/bench/update.sh    ROUNDS (5), COUNT (3000)
set -euo pipefail
cd "$(dirname "$0")/../.."
source tests/bench/lib.sh
hermetic bash "$0" "$@"
set_up_host
start_server --runtime none
deployment() { python3 - "$@" <<'P'
import json, sys
c = {"name": "web", "image": "registry.example.com/web:1", "ports": [{"containerPort": 8080}], "env": [{"name": f"SETTING_{i}", "value": f"value-{i}"} for i in range(10)],
     "resources": {"limits": {"cpu": "500m", "memory": "256Mi"}, "requests": {"cpu": "100m", "memory": "64Mi"}},
     "readinessProbe": {"httpGet": {"path": "/", "port": 8080}}, "volumeMounts": [{"name": "config", "mountPath": "/etc/web"}]}
annotations = {"deployment.kubernetes.io/revision": "1"} if len(sys.argv) > 2 else {}   # what its controller wrote: who updates has read it
d = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web{c}", "namespace": "bench", "labels": {"app": "web", "turn": sys.argv[1]}, "annotations": annotations},
     "spec": {"replicas": 0, "selector": {"matchLabels": {"app": "web"}}, "template": {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [c], "volumes": [{"name": "config", "configMap": {"name": "web"}}]}}}}
print(json.dumps(d))
P
}
path=/apis/apps/v1/namespaces/bench/deployments
deployment 0 >"$work/first"
deployment 'turn-{n}' >"$work/object"
deployment 'turn-{n}' read >"$work/whole"
requests --connections 16 --count 16 --warmup 0 --method POST --path $path --body "$work/first" --header 'content-type: application/json' >/dev/null
echo '{"metadata":{"labels":{"turn":"m-{n}"}}}' >"$work/merge"
echo '{"metadata":{"labels":{"turn":"s-{n}"}},"spec":{"template":{"spec":{"containers":[{"name":"web","imagePullPolicy":"IfNotPresent"}]}}}}' >"$work/strategic"
count=${COUNT:-3000}
first=1
op() { # op NAME METHOD QUERY BODY TYPE
  local out
  out=$(requests --connections 16 --count "$count" --warmup 160 --first $first --method "$2" --path "$path/web{c}$3" --body "$work/$4" --header "content-type: $5")
  first=$(field next "$out")
  say "$1: $out"
  keep "$1" "$(field cpu_us "$out")"
}
for _ in $(seq "$rounds"); do
  op update PUT '' whole application/json
  op merge PATCH '' merge application/merge-patch+json
  op strategic PATCH '' strategic application/strategic-merge-patch+json
  op apply PATCH '?fieldManager=bench&force=true' object application/apply-patch+yaml
done
row "update of a Deployment: CPU an operation" "$(of update) us" - - "issue 4: <= 300 us"
row "merge patch of a Deployment" "$(of merge) us" - - "issue 4: <= 300 us"
row "strategic merge patch of a Deployment" "$(of strategic) us" - - "issue 4: <= 300 us"
row "server-side apply of a Deployment" "$(of apply) us" - - "issue 4: <= 300 us"
stop_server
