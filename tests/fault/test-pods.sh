#!/usr/bin/env bash
# kill -9 at each step of a pod's start and stop, with the whole appliance: the next one converges, and nothing is left of the pod at the end.
set -euo pipefail
cd "$(dirname "$0")/../.."
source tests/e2e/lib.sh
# Fault points are compiled out of releases.
[ -n "${SKERRY:-}" ] || for preset in dev asan; do [ ! -x build/$preset/skerry ] || export SKERRY=$PWD/build/$preset/skerry; done
export ASAN_OPTIONS=${ASAN_OPTIONS:+$ASAN_OPTIONS:}detect_leaks=0   # leaks are looked for where processes end by themselves
hermetic bash "$0" "$@"
set_up_host
start=(node.start.after_volumes oci.sandbox.after_cgroup oci.sandbox.after_namespaces podnet.attach.after_lease podnet.attach.after_link
  node.start.after_network volume.projected.before_switch volume.projected.after_switch oci.container.after_intent oci.container.after_mount
  oci.container.after_bundle oci.container.after_monitor oci.container.after_start)
stop=(node.stop.after_containers podnet.detach.after_link node.stop.after_network oci.container.destroy.after_kill node.stop.after_sandbox
  node.stop.after_volumes node.stop.before_delete)
# Every point of the sources is in a list: a new step cannot be forgotten.
for p in $(grep -rhoE 'SKERRY_FAULT\("(node|podnet|volume|oci\.(sandbox|container))\.[a-z_.]+"' core embedded-kube-shim --include='*.cc' | cut -d'"' -f2 | sort -u); do
  [[ " ${start[*]} ${stop[*]} " == *" $p "* ]] || fail "fault point $p is in no list of this test"
done

# What the host holds of pods: the same before the pod came and after it went.
leftovers() {
  ip -o link | sed 's/^[0-9]*: \([^:@]*\).*/link \1/'
  ip route show table all | grep -v '^broadcast'
  awk -v work="$work" 'index($5, work) == 1 {print "mount", $5}' /proc/self/mountinfo
  find /sys/fs/cgroup -type d -path "*kubepods*/pod*" -newer "$work/begin" -printf 'cgroup %p\n'
  find "$work/data/pods" "$work/data/logs" "$work/data/runtime/containers" "$work/data/runtime/sandboxes" "$work/data/run/runtime" -mindepth 1 \
    ! -path '*/images/*' -printf 'file %p\n' | grep -vE '/run/runtime/[a-z]+$' || true
  ps -eo comm=,args= | grep -E '^(conmon|crun|wrap|serve|httpd|busybox) ' || true
  nft list ruleset | grep -o 'elements = {.*10\.42\.[0-9.]*.*' || true
}
pod_is() { [ "$(kubectl get pod "$1" -o jsonpath='{.status.phase}')" = "$2" ]; }
absent() { [[ "$(kubectl get pod "$1" 2>&1 || true)" == *NotFound* ]]; }
as_before() { leftovers | diff "$work/before" - >"$work/diff"; }
create_pod() {
  kubectl create -f - >/dev/null <<EOF
{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "$1"}, "spec": {"terminationGracePeriodSeconds": 1,
 "volumes": [{"name": "scratch", "emptyDir": {"medium": "Memory"}}, {"name": "settings", "configMap": {"name": "settings"}}],
 "containers": [{"name": "c", "image": "127.0.0.1:5000/hello:1", "ports": [{"containerPort": 8080, "hostPort": 18080}],
  "volumeMounts": [{"name": "scratch", "mountPath": "/scratch"}, {"name": "settings", "mountPath": "/settings", "subPath": "key"}]}]}}
EOF
}
serves() { curl -s --max-time 5 "http://$(kubectl get pod "$1" -o jsonpath='{.status.podIP}'):8080/" | found -x "hello from $1"; }

start_appliance
tests/e2e/sample/build-image.sh "$work/hello"
skopeo copy -q --dest-tls-verify=false "oci:$work/hello:hello:1" docker://127.0.0.1:5000/hello:1
kubectl create configmap settings --from-literal=key=value >/dev/null
await 30 kubectl get serviceaccount default
touch "$work/begin"
# One whole life first: what images, caches and the first pod leave is not a pod's.
create_pod warm
await 60 pod_is warm Running
kubectl delete pod warm --timeout=60s >/dev/null
await 10 absent warm
leftovers >"$work/before"

stop_appliance() { "$skerry" stop --data-dir "$work/data" >/dev/null && await 10 gone "$appliance"; }
n=0
for point in "${start[@]}" "${stop[@]}"; do
  n=$((n + 1))
  pod=p$n
  begin=$(date +%s%N)
  stopping=no
  [[ " ${stop[*]} " != *" $point "* ]] || stopping=yes
  if [ $stopping = yes ]; then
    create_pod $pod
    await 60 pod_is $pod Running
  fi
  stop_appliance
  SKERRY_FAULT_POINT=$point start_appliance
  disown   # its end is no news
  if [ $stopping = yes ]; then
    kubectl delete pod $pod --wait=false >/dev/null || true
  else
    create_pod $pod || true   # it may die before it answers
  fi
  await 60 gone "$appliance"
  start_appliance
  if [ $stopping = no ]; then
    kubectl get pod $pod >/dev/null 2>&1 || create_pod $pod
    await 90 pod_is $pod Running
    await 30 serves $pod
    equal "$point: restarts" 0 "$(kubectl get pod $pod -o jsonpath='{.status.containerStatuses[0].restartCount}')"
    kubectl delete pod $pod --timeout=60s >/dev/null
  fi
  await 60 absent $pod
  for _ in $(seq 100); do as_before && break; sleep 0.1; done
  as_before || { cat "$work/diff" >&2; fail "$point: something is left"; }
  echo "$point: $((($(date +%s%N) - begin) / 1000000)) ms"
done
"$skerry" uninstall --data-dir "$work/data" >/dev/null
echo "pods: killed at $n steps, converged each time, nothing left"
