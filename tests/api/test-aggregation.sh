#!/usr/bin/env bash
# An aggregated API server, played by a program of this test: availability, requests, discovery, namespaces.
set -euo pipefail
cd "$(dirname "$0")/../.."
source tests/e2e/lib.sh
hermetic bash "$0" "$@"
set_up_host
start_appliance --runtime none --log-level warn
python3 tests/api/aggregation.py "$KUBECONFIG" 192.0.2.10
