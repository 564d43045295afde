#!/usr/bin/env bash
# What an appliance at rest costs: ten pods with an HTTP readiness and a TCP liveness probe every 10 s; bytes that the process wrote to disks, CPU.
# usage: tests/bench/idle-cost.sh    MINUTES (20)
set -euo pipefail
cd "$(dirname "$0")/../.."
source tests/bench/lib.sh
minutes=${MINUTES:-20}
E2E_SECONDS=$((minutes * 60 + 300)) hermetic bash "$0" "$@"
set_up_host
need skopeo kubectl
tests/e2e/sample/build-image.sh "$work/hello"
start_appliance --runtime oci --log-level warn
skopeo copy -q --dest-tls-verify=false "oci:$work/hello:hello:1" docker://127.0.0.1:5000/hello:1
sed 's/replicas: 1/replicas: 10/; s/periodSeconds: 2/periodSeconds: 10\n        livenessProbe:\n          tcpSocket: {port: 8080}\n          periodSeconds: 10/' tests/e2e/sample/hello.yaml | kubectl apply -f - >/dev/null
kubectl rollout status deployment hello --timeout=120s >/dev/null
sleep 60   # the last writes of the start, compaction included
written() { awk '/^write_bytes/ {print $2}' "/proc/$1/io"; }
bytes=$(written "$appliance") cpu=$(ticks "$appliance")
sleep $((minutes * 60))
spent=$(($(ticks "$appliance") - cpu)) wrote=$(($(written "$appliance") - bytes))
share=$(calc "$spent / $(getconf CLK_TCK) / ($minutes * 60) * 100" %.3f)
say "$spent ticks, $wrote bytes in $minutes minutes; restarts: $(kubectl get pods --no-headers | awk '{print $4}' | sort | uniq -c | tr '\n' ' ')"
row "idle cost, $minutes minutes, ten probed pods" "$wrote B written, $share % of a core" - - "0 B, <= 0.2 %"
stop_server
