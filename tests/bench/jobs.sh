#!/usr/bin/env bash
# Jobs that have finished: jobs.sh [count]. Wants root (a network namespace of its own).
set -euo pipefail
cd "$(dirname "$0")/../.."
source tests/e2e/lib.sh
export E2E_SECONDS=${E2E_SECONDS:-1800}
hermetic "$PWD/tests/bench/jobs.sh" "$@"
set_up_host
python3 -u tests/bench/jobs.py "$skerry" "$work" "$@"
