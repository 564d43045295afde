#!/usr/bin/env bash
# Replays the recorded answers of a real control plane. An area below its floor (oracle/floors.json) fails; floors only rise.
#   test-oracle.sh [AREA...]    SHOW=n prints n scenarios that differ. Without areas: all of them, on a server for each group beside each other.
set -euo pipefail
cd "$(dirname "$0")/../.."
# Most of the first two is waiting. Scheduling comes first on its server: its messages count the nodes of the whole cluster.
groups=(
  "scheduling"
  "controllers watches"
  "objects-create objects-update objects-invalid tables protobuf patch-json patch-merge patch-strategic apply fieldvalidation delete subresources"
  "lists discovery rbac admission crd-cel"
)
if [ $# = 0 ]; then
  running=() failed=0
  for group in "${groups[@]}"; do
    # shellcheck disable=SC2086
    "$0" $group &
    running+=($!)
  done
  for pid in "${running[@]}"; do wait "$pid" || failed=1; done
  exit $failed
fi
source tests/e2e/lib.sh
hermetic bash "$0" "$@"
set_up_host
start_appliance --runtime none --log-level warn
code=0
python3 tests/api/oracle/replay.py --kubeconfig "$KUBECONFIG" --floors tests/api/oracle/floors.json --await-s "${AWAIT_S:-20}" --jobs 8 --show "${SHOW:-0}" "$@" || code=$?
kill -0 "$appliance" || { echo "the server ended during the replay:"; tail -50 "$work/log"; exit 1; }
exit $code
