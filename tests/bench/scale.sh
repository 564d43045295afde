#!/usr/bin/env bash
# Scale with hollow nodes: scale.sh [nodes] [pods,pods,...] [services]. Wants root (a network namespace of its own).
set -euo pipefail
cd "$(dirname "$0")/../.."
source tests/e2e/lib.sh
export E2E_SECONDS=${E2E_SECONDS:-1800}
hermetic "$PWD/tests/bench/scale.sh" "$@"
set_up_host
python3 -u tests/bench/scale.py "$skerry" "$work" "$@"
