#!/usr/bin/env bash
# A change of a service among 1000: from the API write (its selector turns to another pod) until a new connection to the cluster address is
# answered by that pod.
# usage: tests/bench/service.sh    CHANGES (20), SERVICES (1000)
set -euo pipefail
cd "$(dirname "$0")/../.."
source tests/bench/lib.sh
hermetic bash "$0" "$@"
set_up_host
need skopeo kubectl
tests/e2e/sample/build-image.sh "$work/hello"
start_server --runtime oci
skopeo copy -q --dest-tls-verify=false "oci:$work/hello:hello:1" docker://127.0.0.1:5000/hello:1
for name in left right; do
  kubectl apply -f - >/dev/null <<Y
{"apiVersion":"v1","kind":"Pod","metadata":{"name":"$name","namespace":"bench","labels":{"side":"$name"}},"spec":{"terminationGracePeriodSeconds":1,"containers":[{"name":"c","image":"127.0.0.1:5000/hello:1"}]}}
Y
done
kubectl wait -n bench --for=condition=Ready pod/left pod/right --timeout=60s >/dev/null
services=${SERVICES:-1000}
echo '{"apiVersion":"v1","kind":"Service","metadata":{"name":"s{n}","namespace":"bench"},"spec":{"selector":{"side":"left"},"ports":[{"port":80,"targetPort":8080}]}}' >"$work/service"
requests --connections 8 --count "$services" --warmup 0 --method POST --path /api/v1/namespaces/bench/services --body "$work/service" --header 'content-type: application/json' >/dev/null
await 60 settled
address=$(kubectl get service -n bench s1 -o jsonpath='{.spec.clusterIP}')
echo '{"spec":{"selector":{"side":"{expect}"}}}' >"$work/change"
out=$("$load" switch --url $api --token $user --pid "$appliance" --rounds "${CHANGES:-20}" --change-path /api/v1/namespaces/bench/services/s1 --change-body "$work/change" \
  --change-type application/merge-patch+json --expect 'right|left' --probe "http://$address:80")
say "$out"
row "service change at $services services: until a packet goes to the new pod" "$(field p50_ms "$out") ms (CPU $(field cpu_ms "$out") ms)" - - printed
stop_server
