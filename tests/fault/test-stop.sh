#!/usr/bin/env bash
# A request that is still in the agent when the server has given up on its client: the stop waits for it, and it reads nothing that is gone.
set -euo pipefail
cd "$(dirname "$0")/../.."
source tests/e2e/lib.sh
# Fault points are compiled out of releases; with ASan a late read is told where it happens.
[ -n "${SKERRY:-}" ] || for preset in dev asan; do [ ! -x build/$preset/skerry ] || export SKERRY=$PWD/build/$preset/skerry; done
export ASAN_OPTIONS=${ASAN_OPTIONS:+$ASAN_OPTIONS:}detect_leaks=0
hermetic bash "$0" "$@"
set_up_host
threads() { cat /proc/"$appliance"/task/*/comm; }
no_workers() { ! grep -qx api <(threads); }

mkfifo "$work/hold"
SKERRY_FAULT_HOLD=usage.before_read:$work/hold start_appliance
grep -qx api <(threads) || fail "the threads that serve requests have another name: $(threads | sort -u | tr '\n' ' ')"

step "a request for metrics that hangs"
kubectl get --raw /apis/metrics.k8s.io/v1beta1/nodes >"$work/answer" 2>&1 &
client=$!
exec 9>"$work/hold"   # opens when the request's thread has come to the place
kill "$appliance"
if wait "$client"; then fail "it was answered: $(cat "$work/answer")"; fi
step "its client was cut off"
await 60 no_workers   # by now everything that does not wait for the request is gone
grep -qx pod-streams <(threads) || fail "the stop did not wait for the request"
exec 9>&-
code=0
wait "$appliance" || code=$?
[ "$code" = 0 ] || fail "exit code $code"
echo "stop: a request in the agent was waited for"
