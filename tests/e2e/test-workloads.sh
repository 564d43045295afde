#!/usr/bin/env bash
# Workloads with real containers, as people handle them: a rolling update under load, a drain against a disruption budget, a stateful set
# through the death of its pods and of the appliance, jobs that fail, a clock, a daemon set, figures of what is used and an autoscaler that
# goes by them. RUNTIME=docker: on an engine of its own (test-workloads-docker.sh).
set -euo pipefail
cd "$(dirname "$0")/../.."
source tests/e2e/lib.sh
hermetic bash "$0" "$@"
set_up_host
[ "$runtime" != docker ] || start_dockerd
here=tests/e2e/workloads
trap 'kill $(jobs -p) 2>/dev/null || true' EXIT

get() { kubectl get "$1" -o jsonpath="$2"; }
is() { [ "$(get "$1" "$2" 2>/dev/null)" = "$3" ]; }
pods_of() { kubectl get pods -l "app=$1" --no-headers 2>/dev/null | awk '$2 == "1/1" && $3 == "Running" {print $1}' | sort; }
have_ready() { [ "$(pods_of "$1" | wc -l)" = "$2" ]; }
rolled() { kubectl rollout status "$@" --timeout=90s >/dev/null || fail "not rolled out: $*"; }
waited() { kubectl wait "$@" >/dev/null || fail "waited in vain: $*"; }
told() { kubectl get events --field-selector "involvedObject.name=$1" -o jsonpath='{range .items[*]}{.reason}: {.message}{"\n"}{end}' 2>/dev/null | found -F -- "$2"; }

start_appliance
tests/e2e/sample/build-image.sh "$work/hello"
skopeo copy -q --dest-tls-verify=false "oci:$work/hello:hello:1" docker://127.0.0.1:5000/hello:1
await 30 kubectl get serviceaccount default
node=$(kubectl get nodes -o jsonpath='{.items[0].metadata.name}')
kubectl apply -f $here/slow.yaml >/dev/null
kubectl autoscale deployment burner --cpu-percent=50 --min=1 --max=3
kubectl patch hpa burner --type merge -p '{"spec":{"behavior":{"scaleDown":{"stabilizationWindowSeconds":0}}}}' >/dev/null
kubectl apply -f $here/web.yaml >/dev/null
rolled deployment web

step "a rolling update and its undo under load: no request fails, through the service or the router"
service=$(get service/web '{.spec.clusterIP}')
python3 $here/load.py "$work/service.json" "http://$service/" &
loads=($!)
python3 $here/load.py "$work/router.json" "http://127.0.0.1/" web.apps.localhost &
loads+=($!)
await 30 test -e "$work/service.json.begun"
await 30 test -e "$work/router.json.begun"
first=$(pods_of web)
kubectl set env deployment web COLOUR=blue >/dev/null
rolled deployment web
equal "environment of the new pods" blue "$(kubectl exec "$(pods_of web | head -1)" -- sh -c 'echo $COLOUR')"
equal "pods of before that still run" "" "$(comm -12 <(echo "$first") <(pods_of web))"
equal "revisions" "1 2" "$(kubectl rollout history deployment web | awk '$1 ~ /^[0-9]+$/ {print $1}' | tr '\n' ' ' | sed 's/ $//')"
kubectl rollout undo deployment web >/dev/null
rolled deployment web
kubectl rollout restart deployment web >/dev/null
kubectl rollout pause deployment web >/dev/null
contains "what a paused rollout says of a restart" "paused" "$(kubectl rollout restart deployment web 2>&1 || true)"
kubectl rollout resume deployment web >/dev/null
rolled deployment web
figure() { kubectl get --raw "/apis/$1" | jq -e '.items | length == 1 and (.[0].value | tostring | test("^[1-9]"))'; }
await 10 figure custom.metrics.k8s.io/v1beta2/namespaces/default/ingresses.networking.k8s.io/web/requests-per-second
await 10 figure custom.metrics.k8s.io/v1beta1/namespaces/default/services/web/requests-per-second
await 10 figure "external.metrics.k8s.io/v1beta1/namespaces/default/requests-per-second?labelSelector=name%3Dweb"
pods_with_figure() { [ "$(kubectl get --raw "/apis/custom.metrics.k8s.io/v1beta2/namespaces/default/pods/*/requests-per-second?labelSelector=app%3Dweb" | jq '.items | length')" = "$1" ]; }
await 30 pods_with_figure 3
await 60 have_ready popular 2
told popular "SuccessfulRescale: New size: 2; reason: Ingress metric requests-per-second above target" || fail "$(kubectl get events | grep -i scale)"
for pid in "${loads[@]}"; do kill "$pid"; wait "$pid" || true; done
for way in service router; do
  echo "   $way: $(jq -c '[.requests, (.failures | length)]' "$work/$way.json") requests, failures"
  equal "failed requests through the $way" "[]" "$(jq -c '.failures[:3]' "$work/$way.json")"
  [ "$(jq .requests "$work/$way.json")" -ge 50 ] || fail "hardly any load: $(jq .requests "$work/$way.json")"
done

step "a stateful set keeps names and data through the death of a pod, of a container and of the appliance"
for i in 0 1; do
  kubectl create -f - >/dev/null <<Y
{"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": "disk-$i"}, "spec": {"capacity": {"storage": "1Mi"}, "accessModes": ["ReadWriteOnce"],
  "persistentVolumeReclaimPolicy": "Retain", "hostPath": {"path": "$work/disk-$i", "type": "DirectoryOrCreate"}}}
Y
done
kubectl apply -f $here/stateful.yaml >/dev/null
rolled statefulset store
data() { kubectl exec "store-$1" -- cat "/data/$2"; }
equal "owner of the first volume" store-0 "$(data 0 owner)"
equal "owner of the second volume" store-1 "$(data 1 owner)"
uid=$(get pod/store-0 '{.metadata.uid}')
kubectl delete pod store-0 --wait --timeout=60s >/dev/null
reborn() { have_ready store 2 && [ "$(get pod/store-0 '{.metadata.uid}')" != "$uid" ]; }
await 60 reborn
equal "owner after the pod's death" store-0 "$(data 0 owner)"
equal "starts on the first volume" 2 "$(data 0 starts | wc -l)"
kubectl exec store-1 -- kill 1
restarted() { is pod/store-1 '{.status.containerStatuses[0].restartCount}' 1 && have_ready store 2; }
await 60 restarted
equal "owner after the container's death" store-1 "$(data 1 owner)"
containers() { kubectl get pods -l app=store -o jsonpath='{range .items[*]}{.metadata.name} {.status.containerStatuses[0].containerID}{"\n"}{end}'; }
before=$(containers)
kill -9 "$(cat "$work/data/lock")"
await 10 gone "$appliance"
start_appliance
await 60 have_ready store 2
equal "containers after kill -9 of the appliance" "$before" "$(containers)"
equal "starts on the second volume" 2 "$(data 1 starts | wc -l)"
kubectl create -f - >/dev/null <<Y
{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "reader"}, "spec": {"restartPolicy": "Never", "volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": "data-store-0", "readOnly": true}}],
  "containers": [{"name": "c", "image": "127.0.0.1:5000/hello:1", "command": ["sh", "-c", "touch /data/x; cat /data/owner"], "securityContext": {"runAsUser": 0}, "volumeMounts": [{"name": "data", "mountPath": "/data"}]}]}}
Y
waited --for=jsonpath='{.status.phase}'=Succeeded pod/reader --timeout=60s
contains "what a reader may not" "Read-only file system" "$(kubectl logs reader)"
contains "what a reader may" "store-0" "$(kubectl logs reader)"
kubectl scale statefulset store --replicas=1 >/dev/null
await 60 have_ready store 1
equal "claims of a smaller set" 2 "$(kubectl get pvc --no-headers | grep -c Bound)"

step "jobs: a back-off limit, a failure policy, indexes"
kubectl apply -f $here/others.yaml >/dev/null
waited --for=condition=Failed job/refused --timeout=60s
equal "why the policy ended the job" PodFailurePolicy "$(get job/refused '{.status.conditions[?(@.type=="Failed")].reason}')"
equal "pods of the refused job" 1 "$(kubectl get pods -l batch.kubernetes.io/job-name=refused --no-headers | wc -l)"
waited --for=condition=Complete job/counted --timeout=90s
equal "indexes" "0-2" "$(get job/counted '{.status.completedIndexes}')"
contains "the log of an index" "index 2" "$(kubectl logs -l batch.kubernetes.io/job-completion-index=2)"
waited --for=condition=Failed job/hopeless --timeout=60s
equal "why the back-off limit ended the job" BackoffLimitExceeded "$(get job/hopeless '{.status.conditions[?(@.type=="Failed")].reason}')"
equal "tries" 2 "$(get job/hopeless '{.status.failed}')"

step "a daemon set is updated and set back"
rolled daemonset agent
colour() { kubectl exec "$(pods_of agent | head -1)" -- sh -c 'echo $COLOUR' 2>/dev/null; }
equal "colour before" red "$(colour)"
kubectl set env daemonset agent COLOUR=green >/dev/null
rolled daemonset agent
await 30 have_ready agent 1
equal "colour after" green "$(colour)"
kubectl rollout undo daemonset agent >/dev/null
rolled daemonset agent
await 30 have_ready agent 1
equal "colour after the undo" red "$(colour)"

step "a drain waits for the disruption budget"
waited --for=condition=Available deployment/guarded --timeout=60s
await 30 is pdb/guarded '{.status.disruptionsAllowed}' 1
kubectl drain "$node" --pod-selector=app=guarded --delete-emptydir-data --timeout=90s >"$work/drain" 2>&1 &
drain=$!
await 60 grep -q "violate the pod's disruption budget" "$work/drain"
have_ready guarded 1 || fail "the budget asks for one pod: $(kubectl get pods -l app=guarded)"
kubectl uncordon "$node" >/dev/null
wait $drain || fail "the drain failed: $(cat "$work/drain")"
contains "what the drain says" "drained" "$(cat "$work/drain")"
await 60 have_ready guarded 2

step "what is used"
contains "of the node" "$node" "$(kubectl top node --no-headers)"
kubectl top node "$node" --no-headers | grep -Eq "^$node +[0-9]+m +[0-9]+% +[0-9]+Mi +[0-9]+%" || fail "top node: $(kubectl top node)"
equal "pods of one label" 3 "$(kubectl top pod -l app=web --no-headers | grep -Ec '^web-\S+ +[0-9]+m +[0-9]+Mi')"
equal "pods that use memory" 3 "$(kubectl get --raw '/apis/metrics.k8s.io/v1beta1/namespaces/default/pods?labelSelector=app%3Dweb' | jq '[.items[].containers[].usage.memory | select(test("^[1-9]"))] | length')"
contains "of a container" "burner" "$(kubectl top pod --containers -l app=burner --no-headers | awk '{print $2}')"
equal "the sum's line" 1 "$(kubectl top pod -A --sum=true | grep -Ec '^ +[0-9]+m +[0-9]+Mi')"
contains "as a table" "WINDOW" "$(kubectl get pods.metrics.k8s.io -l app=web)"
equal "one pod" "$(pods_of burner | head -1)" "$(get "pods.metrics.k8s.io/$(pods_of burner | head -1)" '{.metadata.name}')"
contains "of a pod that is not there" 'pods "default/none" not found' "$(kubectl get pods.metrics.k8s.io none 2>&1 || true)"
contains "the agent's summary" "burner" "$(kubectl get --raw "/api/v1/nodes/$node/proxy/stats/summary" | jq -r '.pods[].containers[].name')"
contains "the node's disk" "$(df --output=size -B1 "$work" | tail -1)" "$(kubectl get --raw "/api/v1/nodes/$node/proxy/stats/summary" | jq .node.fs.capacityBytes)"
contains "the node's link" uplink "$(kubectl get --raw "/api/v1/nodes/$node/proxy/stats/summary" | jq -r .node.network.name)"
contains "cAdvisor's exposition" 'container_cpu_usage_seconds_total{cpu="total",container="burner",namespace="default"' "$(kubectl get --raw "/api/v1/nodes/$node/proxy/metrics/cadvisor")"
contains "the agent's exposition" 'container_cpu_usage_seconds_total{container="burner",namespace="default"' "$(kubectl get --raw "/api/v1/nodes/$node/proxy/metrics/resource")"
kubectl create clusterrolebinding viewers --clusterrole=view --group=viewers >/dev/null
viewer_may() { [ "$(kubectl auth can-i list pods.metrics.k8s.io --as=ann --as-group=viewers)" = yes ]; }
await 10 viewer_may

step "the autoscaler follows the processors up and down"
await 90 have_ready burner 3
told burner "SuccessfulRescale: New size: 3; reason: cpu resource utilization (percentage of request) above target" || fail "$(kubectl get events | grep -i scale)"
contains "what it says" "ScalingActive=True" "$(get hpa/burner '{range .status.conditions[*]}{.type}={.status} {end}')"
for pod in $(pods_of burner); do kubectl exec "$pod" -- rm -f /tmp/burn; done
await 90 have_ready burner 1
told burner "SuccessfulRescale: New size: 1; reason: All metrics below target" || fail "$(kubectl get events | grep -i scale)"
await 60 told unmeasured "FailedGetResourceMetric: failed to get cpu utilization: missing request for cpu in container c of Pod"
equal "of what cannot be measured" "FailedGetResourceMetric" "$(get hpa/unmeasured '{.status.conditions[?(@.type=="ScalingActive")].reason}')"

step "the clock has struck, and a hand-made run beside it"
kubectl create job by-hand --from=cronjob/minutely >/dev/null
waited --for=condition=Complete job/by-hand --timeout=60s
struck() { kubectl get jobs -o json | jq -e '[.items[] | select(.metadata.ownerReferences[0].kind == "CronJob" and .metadata.name != "by-hand" and .status.succeeded == 1)] | length > 0'; }
await 90 struck
equal "the log of a strike" struck "$(kubectl logs job/by-hand)"
contains "events in their order" "SawCompletedJob" "$(kubectl get events --sort-by=.lastTimestamp)"

"$skerry" uninstall --data-dir "$work/data" >/dev/null
echo "workloads: all steps passed in $SECONDS s"
