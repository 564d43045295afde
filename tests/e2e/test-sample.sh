#!/usr/bin/env bash
# The life of the sample application: it answers, scales, heals and rolls; it survives kill -9 and a stop of the appliance; nothing of all
# that is left after `skerry uninstall`. RUNTIME=docker: the same on an engine of its own (test-sample-docker.sh).
set -euo pipefail
cd "$(dirname "$0")/../.."
source tests/e2e/lib.sh
hermetic bash "$0" "$@"
set_up_host
[ "$runtime" != docker ] || start_dockerd

host_state() {
  nft list ruleset
  ip -o link 2>/dev/null | sed 's/^[0-9]*: \([^:@]*\).*/link \1/'
  ip -o addr 2>/dev/null | awk '{print "address", $2, $4}'
  ip route show table all
  cat /proc/sys/net/ipv4/ip_forward
  awk -v work="$work" 'index($5, work) == 1 || index($5, "/tmp/") != 1 {print "mount", $5}' /proc/self/mountinfo   # what others mount in /tmp is theirs
  ps -eo args= | grep -Ev '^(ps|grep|awk|sed|sort|bash|timeout|unshare|nft|ip|cat) ?' || true
  find /sys/fs/cgroup -type d -name 'pod*' | grep -F -f <(cat "$work"/uids 2>/dev/null || echo none) || true
  ls -d "$work/data" 2>/dev/null || true
  [ "$runtime" != docker ] || docker ps -a --format 'container {{.Names}}'
}
answer() { curl -s --max-time 5 -H "Host: hello.apps.localhost" http://127.0.0.1/; }
answers() { answer | found '^hello from hello-'; }
live_pods() { kubectl get pods -l app=hello --no-headers | awk '$2 == "1/1" && $3 == "Running" {print $1}' | sort; }
three_live() { [ "$(live_pods | wc -l)" = 3 ]; }
containers() { kubectl get pods -l app=hello -o jsonpath='{range .items[*]}{.metadata.name} {.status.containerStatuses[0].containerID} {.status.containerStatuses[0].restartCount}{"\n"}{end}' | sort; }
# The servers themselves: busybox's forks one for each connection.
processes() { ps -C httpd -o pid=,ppid= | awk '{parent[$1] = $2} END {for (p in parent) if (!(parent[p] in parent)) print p}' | sort -n | tr '\n' ' '; }
all_seen() {
  answer >>"$work/seen"
  [ "$(sed 's/^hello from //' "$work/seen" | sort -u)" = "$(live_pods)" ]
}
remember_uids() { kubectl get pods -A -o jsonpath='{range .items[*]}{.metadata.uid}{"\n"}{end}' >>"$work/uids"; }

host_state >"$work/before"

step "the sample answers"
SKERRY=$skerry DATA_DIR=$work/data LISTEN=127.0.0.1:6443 REGISTRY=127.0.0.1:5000 HTTP=127.0.0.1:80 HTTPS=127.0.0.1:443 LOG=$work/log RUNTIME=$runtime DOCKER_SOCKET=$docker_socket tests/e2e/run-sample.sh
answers || fail "no answer"
kubectl config view --raw -o jsonpath='{.clusters[0].cluster.certificate-authority-data}' | base64 -d >"$work/ca.pem"
route() { curl -s --max-time 5 --cacert "$work/ca.pem" --resolve hello-route.apps.localhost:443:127.0.0.1 --resolve hello-route.apps.localhost:80:127.0.0.1 "$1://hello-route.apps.localhost/" | found '^hello from hello-'; }
await 10 route https
await 10 route http
remember_uids

step "three replicas share the requests"
kubectl scale deployment hello --replicas=3
kubectl rollout status deployment hello --timeout=60s
three_live || fail "rolled out, but not three pods are live"
await 30 all_seen

step "a deleted pod is replaced; a watch shows its successor"
victim=$(live_pods | head -1)
survivors=$(live_pods | tail -2)
kubectl get pods -l app=hello --watch --output-watch-events --no-headers >"$work/watch" 2>&1 &
watch=$!
await 10 grep -q "ADDED.*$victim" "$work/watch"
kubectl delete pod "$victim" --timeout=60s
await 60 three_live
successor=$(live_pods | grep -vFf <(echo "$survivors"))
[ "$successor" != "$victim" ] || fail "$victim came back"
await 10 grep -q "ADDED.*$successor" "$work/watch"
await 10 grep -q "DELETED.*$victim" "$work/watch"
kill $watch
remember_uids

step "logs, exec, describe"
equal "log" "serving as $successor" "$(kubectl logs "$successor")"
equal "exec" "$successor" "$(kubectl exec "$successor" -- hostname)"
contains "describe" "Successfully assigned default/$successor" "$(kubectl describe pod "$successor")"

step "a rollout and its undo"
kubectl set env deployment hello COLOUR=blue
kubectl rollout status deployment hello --timeout=90s
equal "environment of the new pods" blue "$(kubectl exec "$(live_pods | head -1)" -- sh -c 'echo $COLOUR')"
remember_uids
kubectl rollout undo deployment hello
kubectl rollout status deployment hello --timeout=90s
equal "environment after the undo" "" "$(kubectl get deployment hello -o jsonpath='{.spec.template.spec.containers[0].env}')"
await 60 three_live
remember_uids

step "kill -9 in the middle of writes: pods go on, nothing acknowledged is lost, the same containers are taken over"
await 30 three_live
containers_before=$(containers)
processes_before=$(processes)
address=$(kubectl get pod "$(live_pods | head -1)" -o jsonpath='{.status.podIP}')
[ -n "$processes_before" ] && [ -n "$address" ] || fail "no processes or no address to look at"
pid=$(cat "$work/data/lock")
write_until_killed() {
  for i in $(seq 100000); do
    kubectl create configmap "written-$i" --from-literal=n=$i -o name >>"$work/acknowledged" 2>/dev/null || return 0
  done
}
# Half a request to the service, through the address translation; the other half follows when the appliance is back.
exec 3<>"/dev/tcp/$(kubectl get service hello -o jsonpath='{.spec.clusterIP}')/80"
printf 'GET / HTTP/1.0\r\nHost: hel' >&3
write_until_killed &
writer=$!
ten_acknowledged() { [ "$(wc -l <"$work/acknowledged")" -ge 10 ]; }
await 60 ten_acknowledged
kill -9 "$pid"
await 10 gone "$pid"
wait $writer
contains "a pod while the appliance is dead" "hello from hello-" "$(curl -s --max-time 5 "http://$address:8080/")"
equal "processes while the appliance is dead" "$processes_before" "$(processes)"
start_appliance
await 30 answers
await 30 three_live
equal "containers after kill -9" "$containers_before" "$(containers)"
equal "processes after kill -9" "$processes_before" "$(processes)"
printf 'lo\r\n\r\n' >&3
contains "a connection that was open all the time" "hello from hello-" "$(timeout 10 cat <&3 || true)"
exec 3>&-
kubectl get configmaps -o name | sort >"$work/found"
lost=$(sort "$work/acknowledged" | comm -23 - "$work/found")
equal "acknowledged writes that are lost" "" "$lost"

step "an idle appliance writes nothing"
kubectl create service clusterip lonely --tcp=80 # its slice is empty
quiet() { # nothing changes while each watch lives
  local path
  for path in /apis/discovery.k8s.io/v1/endpointslices /api/v1/endpoints /api/v1/services /api/v1/pods /apis/apps/v1/deployments /apis/apps/v1/replicasets; do
    kubectl get --raw "$path?watch=1&timeoutSeconds=1&resourceVersion=$(kubectl get --raw "$path?limit=1" | jq -r .metadata.resourceVersion)"
  done >"$work/changes" || return 1
  [ ! -s "$work/changes" ]
}
await 60 quiet

step "stop and start, with an exec whose client is gone"
kubectl exec "$(live_pods | head -1)" -- sleep 4321 &
client=$!
await 30 pgrep -x -f "sleep 4321"
kill -9 $client
"$skerry" stop --data-dir "$work/data"
await 10 gone "$appliance"
equal "processes while stopped" "$processes_before" "$(processes)"
start_appliance
await 30 answers
await 30 three_live
equal "containers after a stop" "$containers_before" "$(containers)"

step "a namespace goes with what is in it"
kubectl create namespace shortlived
kubectl create configmap inside -n shortlived --from-literal=a=b
kubectl delete namespace shortlived --timeout=60s
contains "the namespace" NotFound "$(kubectl get namespace shortlived 2>&1 || true)"
contains "what was in it" NotFound "$(kubectl get configmap inside -n shortlived 2>&1 || true)"

step "uninstall leaves the host as it was"
remember_uids
host_state >"$work/during"
! diff -q "$work/before" "$work/during" >/dev/null || fail "the comparison sees nothing of a running appliance"
"$skerry" uninstall --data-dir "$work/data"
wait "$appliance" || true
host_state >"$work/after"
diff "$work/before" "$work/after" || fail "uninstall left traces"
echo "sample: all steps passed"
