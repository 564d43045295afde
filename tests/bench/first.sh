#!/usr/bin/env bash
# First application: `skerry start` on an empty directory that has the image in its registry, `kubectl apply` of the sample, until it answers
# through the router. What kubectl takes is part of it.
# usage: tests/bench/first.sh    ROUNDS (5)
set -euo pipefail
cd "$(dirname "$0")/../.."
source tests/bench/lib.sh
hermetic bash "$0" "$@"
set_up_host
need skopeo kubectl
tests/e2e/sample/build-image.sh "$work/hello"
answers() { curl -s --max-time 2 -H 'Host: hello.apps.localhost' http://127.0.0.1/ | found '^hello from'; }
start_appliance --runtime oci --log-level warn
skopeo copy -q --dest-tls-verify=false "oci:$work/hello:hello:1" docker://127.0.0.1:5000/hello:1
for _ in $(seq "$rounds"); do
  stop_server
  "$skerry" uninstall --data-dir "$work/data" --keep-images >/dev/null 2>&1 || rm -rf "$work/data/state" "$work/data/pki" "$work/data/kubeconfig"
  begin=$(date +%s%N)
  start_appliance --runtime oci --log-level warn
  kubectl apply -f tests/e2e/sample/hello.yaml >/dev/null
  await 60 answers
  keep first "$((($(date +%s%N) - begin) / 1000000))"
  say "first application: $(tail -1 "$work/sample.first") ms"
  kubectl delete -f tests/e2e/sample/hello.yaml --wait=true >/dev/null
done
row "first application, image present" "$(of first) ms (least $(least "$work/sample.first"), load $(cut -d' ' -f1 /proc/loadavg))" - - "<= 3000 ms"
stop_server
