#!/usr/bin/env bash
# A full disk under the whole appliance: reads and deletions go on, writes are answered with a Status, the process lives, and all is well
# again by itself when there is room.
set -euo pipefail
cd "$(dirname "$0")/../.."
source tests/e2e/lib.sh
hermetic bash "$0" "$@"
set_up_host
mkdir -p "$work/data"
mount -t tmpfs -o size=192m none "$work/data"
start_appliance
key=$work/key.pem cert=$work/cert.pem
kubectl config view --raw -o jsonpath='{.users[0].user.client-key-data}' | base64 -d >"$key"
kubectl config view --raw -o jsonpath='{.users[0].user.client-certificate-data}' | base64 -d >"$cert"
ask() { curl -sk --max-time 60 --key "$key" --cert "$cert" "$@"; }
tests/e2e/sample/build-image.sh "$work/hello"
for i in $(seq 10); do kubectl create configmap "before-$i" --from-literal=i=$i >/dev/null; done
{
  printf '{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"generateName": "big-"}, "data": {"v": "'
  head -c 200000 /dev/urandom | base64 -w0
  printf '"}}'
} >"$work/big.json"
write_big() {
  status=$(ask -H 'Content-Type: application/json' --data-binary "@$work/big.json" -o "$work/answer" -w '%{http_code}' https://127.0.0.1:6443/api/v1/namespaces/default/configmaps)
}

step "the disk is filled up"
dd if=/dev/zero of="$work/data/filler" bs=1M 2>/dev/null || true
refused=no
for _ in $(seq 400); do   # some fit into what files had reserved
  write_big
  [ "$status" = 201 ] || { refused=yes; break; }
done
equal "a write is refused at last" yes $refused

step "writes get a Status, reads and deletions go on"
[ "$status" -ge 500 ] || fail "status $status: $(cat "$work/answer")"
contains "the answer" '"kind": "Status"' "$(cat "$work/answer")"
contains "the answer" '"status": "Failure"' "$(cat "$work/answer")"
contains "the answer" "disk" "$(cat "$work/answer")"
equal "a read" 5 "$(kubectl get configmap before-5 -o jsonpath='{.data.i}')"
for i in 1 2 3 4 5; do kubectl delete configmap "before-$i" --timeout=20s >/dev/null; done
contains "what was deleted" NotFound "$(kubectl get configmap before-5 2>&1 || true)"
equal "liveness" 200 "$(ask -o /dev/null -w '%{http_code}' https://127.0.0.1:6443/livez)"
equal "readiness" 500 "$(ask -o /dev/null -w '%{http_code}' https://127.0.0.1:6443/readyz)"
cat /dev/zero >>"$work/data/filler" 2>/dev/null || true   # deletions made some room
! skopeo copy -q --dest-tls-verify=false "oci:$work/hello:hello:1" docker://127.0.0.1:5000/hello:1 2>"$work/push" || fail "a push was accepted on a full disk"
kill -0 "$appliance" || fail "the appliance is gone"

step "room comes back"
rm "$work/data/filler"
written() { write_big && [ "$status" = 201 ]; }
await 60 written
ready() { [ "$(ask https://127.0.0.1:6443/readyz)" = ok ]; }
await 30 ready
skopeo copy -q --dest-tls-verify=false "oci:$work/hello:hello:1" docker://127.0.0.1:5000/hello:1
equal "what was there" 6 "$(kubectl get configmap before-6 -o jsonpath='{.data.i}')"
kubectl create -f - >/dev/null <<EOF
{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "hello"}, "spec": {"terminationGracePeriodSeconds": 1, "tolerations": [{"operator": "Exists"}],
 "containers": [{"name": "c", "image": "127.0.0.1:5000/hello:1"}]}}
EOF
kubectl wait --for=condition=Ready pod/hello --timeout=60s >/dev/null

step "nothing acknowledged is lost over a restart"
kubectl get configmaps -o name | sort >"$work/before"
kubectl delete pod hello --timeout=60s >/dev/null
"$skerry" stop --data-dir "$work/data" >/dev/null
await 10 gone "$appliance"
start_appliance
kubectl get configmaps -o name | sort | diff "$work/before" - || fail "config maps differ after the restart"
"$skerry" stop --data-dir "$work/data" >/dev/null
echo "disk full: all steps passed"
