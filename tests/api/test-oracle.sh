#!/usr/bin/env bash
# Replays the recorded answers of a real control plane. An area below its floor (oracle/floors.json) fails; floors only rise.
set -euo pipefail
cd "$(dirname "$0")/../.."
source tests/e2e/lib.sh
hermetic bash "$0" "$@"
set_up_host
start_appliance --runtime none --log-level warn
python3 tests/api/oracle/replay.py --kubeconfig "$KUBECONFIG" --floors tests/api/oracle/floors.json --await-s 5 --show "${SHOW:-0}" \
  ${AREAS:-objects-create objects-update objects-invalid tables protobuf patch-json patch-merge patch-strategic apply fieldvalidation delete subresources lists discovery rbac}
kill -0 "$appliance" || { echo "the server ended during the replay:"; tail -50 "$work/log"; exit 1; }
