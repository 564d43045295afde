#!/usr/bin/env bash
# What refusals say, to the byte: status, headers and body as a real control plane gave them.
set -euo pipefail
cd "$(dirname "$0")/../.."
source tests/e2e/lib.sh
hermetic bash "$0" "$@"
set_up_host
start_appliance --runtime none --log-level warn
python3 tests/api/errors.py "$KUBECONFIG" tests/api/errors.txt
