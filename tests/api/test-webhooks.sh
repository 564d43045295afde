#!/usr/bin/env bash
# Admission and conversion webhooks, answered by a program of this test.
set -euo pipefail
cd "$(dirname "$0")/../.."
source tests/e2e/lib.sh
hermetic bash "$0" "$@"
set_up_host
start_appliance --runtime none --log-level warn
python3 tests/api/webhooks.py "$KUBECONFIG" 192.0.2.10
