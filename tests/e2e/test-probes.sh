#!/usr/bin/env bash
# Probes against servers of other makers: gRPC health and HTTPS of Go's libraries.
set -euo pipefail
cd "$(dirname "$0")/../.."
source tests/e2e/lib.sh
if [ -z "${SKERRY_E2E_INSIDE:-}" ]; then
  tests/compat/clients.sh probed || { code=$?; [ $code = 77 ] && [ "${CI:-}" != true ] && exit 0; exit 1; }
fi
hermetic bash "$0" "$@"
set_up_host
start_appliance
mkdir -p "$work/root"
cp build/compat/probed "$work/root/probed"
tests/support/make-image.sh "$work/root" "$work/probed" probed:1 '{"Cmd":["/probed"],"User":"1000","WorkingDir":"/"}'
skopeo copy -q --dest-tls-verify=false "oci:$work/probed:probed:1" docker://127.0.0.1:5000/probed:1
await 30 kubectl get serviceaccount default
pod() { # NAME READINESS
  kubectl create -f - >/dev/null <<EOF
{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "$1"}, "spec": {"terminationGracePeriodSeconds": 1, "containers": [{"name": "c", "image": "127.0.0.1:5000/probed:1",
  "startupProbe": {"tcpSocket": {"port": 9000}, "periodSeconds": 1, "failureThreshold": 60},
  "livenessProbe": {"httpGet": {"scheme": "HTTPS", "port": 8443, "path": "/live"}, "periodSeconds": 1, "failureThreshold": 2, "timeoutSeconds": 5},
  "readinessProbe": {"grpc": $2, "periodSeconds": 1, "failureThreshold": 1, "timeoutSeconds": 5}}]}}
EOF
}
ready() { [ "$(kubectl get pod "$1" -o jsonpath='{.status.conditions[?(@.type=="Ready")].status}')" = "$2" ]; }
restarts() { [ "$(kubectl get pod "$1" -o jsonpath='{.status.containerStatuses[0].restartCount}')" = "$2" ]; }
told() { kubectl get events --field-selector "involvedObject.name=$1,reason=Unhealthy" -o jsonpath='{range .items[*]}{.message}{"\n"}{end}' | found -- "$2"; }
steer() { curl -sf --max-time 10 "http://$(kubectl get pod "$1" -o jsonpath='{.status.podIP}'):8080/set?$2"; }

step "both kinds succeed"
pod good '{"port": 9000, "service": "ready"}'
await 60 ready good True
restarts good 0 || fail "restarted"

step "a service that does not serve takes the pod out"
steer good ready=false
await 30 ready good False
await 30 told good "Readiness probe failed: service unhealthy"
restarts good 0 || fail "readiness restarted the container"

step "a service that the server does not know"
pod unknown '{"port": 9000, "service": "other"}'
await 60 told unknown "Readiness probe failed: health rpc to"
ready unknown False || fail "ready without the service"

step "an HTTPS answer of 500 restarts the container, which is fine again"
steer good live=false
await 60 restarts good 1
told good "Liveness probe failed: HTTP probe failed with statuscode: 500" || fail "not told"
await 60 ready good True
step "the host moves to another address: certificate, node, the API's endpoints and the way to pods follow"
python3 - >"$work/ca.crt" <<EOF
import base64, re
print(base64.b64decode(re.search("certificate-authority-data: (.*)", open("$work/data/kubeconfig").read())[1]).decode())
EOF
ip addr add 198.51.100.7/24 dev uplink
ip addr del 192.0.2.10/24 dev uplink
ip route replace default via 198.51.100.1
is() { [ "$(kubectl get "$1" "$2" -o jsonpath="$3" --namespace default)" = 198.51.100.7 ]; }
await 20 is endpoints kubernetes '{.subsets[0].addresses[0].ip}'
await 20 is endpointslice kubernetes '{.endpoints[0].addresses[0]}'
await 30 is node "$(kubectl get nodes -o jsonpath={.items[0].metadata.name})" '{.status.addresses[?(@.type=="InternalIP")].address}'
named() { openssl s_client -connect 127.0.0.1:6443 -CAfile "$work/ca.crt" -verify_ip 198.51.100.7 -verify_return_error </dev/null; }
await 20 named
steer good live=true
await 30 ready good True
"$skerry" uninstall --data-dir "$work/data" >/dev/null
echo "probes: all steps passed"
