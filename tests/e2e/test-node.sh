#!/usr/bin/env bash
# What pods may expect of their node, with real containers: attaching, names of the host, finalizers, redirects of probes, tokens.
set -euo pipefail
cd "$(dirname "$0")/../.."
source tests/e2e/lib.sh
hermetic bash "$0" "$@"
set_up_host
start_appliance
tests/e2e/sample/build-image.sh "$work/hello"
skopeo copy -q --dest-tls-verify=false "oci:$work/hello:hello:1" docker://127.0.0.1:5000/hello:1
await 30 kubectl get serviceaccount default
image=127.0.0.1:5000/hello:1
pod() { # NAME SPEC_MEMBERS CONTAINER_MEMBERS [METADATA_MEMBERS]
  kubectl create -f - >/dev/null <<END
{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "$1"${4:-}}, "spec": {"terminationGracePeriodSeconds": 1, $2 "containers": [{"name": "c", "image": "$image", $3}]}}
END
}
field() { kubectl get pod "$1" -o jsonpath="$2"; }
is() { [ "$(field "$1" "$2")" = "$3" ]; }
logged() { kubectl logs "$1" | found -F -- "$2"; }

step "an attachment whose input ends leaves a process that keeps its own"
pod keeps '' '"stdin": true, "command": ["sh", "-c", "cat; echo closed"]'
await 60 is keeps '{.status.phase}' Running
printf 'abcd\n' | timeout 60 kubectl attach -q -i keeps >/dev/null || fail "attach did not end"
await 10 logged keeps abcd
is keeps '{.status.containerStatuses[0].state.running.startedAt}' "" && fail "the process has ended"
! logged keeps closed || fail "its input was closed"

step "and one whose input was the process's ends with it"
pod once '"restartPolicy": "Never",' '"stdin": true, "stdinOnce": true, "command": ["sh", "-c", "cat; echo closed"]'
await 60 is once '{.status.phase}' Running
contains "output after the input's end" closed "$(printf 'abcd\n' | timeout 60 kubectl attach -q -i once)"
await 30 is once '{.status.phase}' Succeeded

step "a pod on the host's network has the host's names and its own aliases"
pod host '"hostNetwork": true, "hostAliases": [{"ip": "192.0.2.99", "hostnames": ["aliased"]}],' '"command": ["sleep", "1000"]'
await 60 is host '{.status.phase}' Running
names=$(kubectl exec host -- cat /etc/hosts)
contains "aliases" aliased "$names"
[ ! -s /etc/hosts ] || contains "the host's file" "$(head -1 /etc/hosts)" "$names"

step "a deleted pod that a finalizer keeps stays as it ended"
pod kept '"restartPolicy": "Always",' '"command": ["sh", "-c", "trap \"exit 0\" TERM; sleep 1000 & wait"]' ', "finalizers": ["test.example.com/kept"]'
await 60 is kept '{.status.phase}' Running
kubectl delete pod kept --wait=false >/dev/null
await 60 is kept '{.metadata.deletionGracePeriodSeconds}' 0
await 30 is kept '{.status.containerStatuses[0].state.terminated.reason}' Completed
kubectl patch pod kept --type=merge -p '{"metadata": {"finalizers": null}}' >/dev/null
await 30 bash -c '! kubectl get pod kept'

step "a pod's token is for its user alone"
pod token '"securityContext": {"runAsUser": 1000},' '"command": ["sh", "-c", "ls -lnL /var/run/secrets/kubernetes.io/serviceaccount/token; sleep 1000"]'
await 60 logged token "-rw-------"
kubectl logs token | grep -Eq '^-rw------- +1 1000 ' || fail "$(kubectl logs token)"

step "a pod with one container that cannot start yet is pending"
kubectl create -f - >/dev/null <<END
{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "half"}, "spec": {"terminationGracePeriodSeconds": 1, "containers": [
  {"name": "c", "image": "$image", "command": ["sleep", "1000"]}, {"name": "d", "image": "127.0.0.1:5000/absent:1"}]}}
END
await 60 is half '{.status.containerStatuses[?(@.name=="d")].state.waiting.reason}' ImagePullBackOff
await 60 bash -c "[ -n \"\$(kubectl get pod half -o jsonpath='{.status.containerStatuses[?(@.name==\"c\")].state.running.startedAt}')\" ]"
is half '{.status.phase}' Pending || fail "phase $(field half '{.status.phase}')"

step "the appliance's own counters are readable"
contains "metrics" skerry_dns_queries_total "$(kubectl get --raw /metrics)"
"$skerry" uninstall --data-dir "$work/data" >/dev/null
echo "node: all steps passed"
