#!/usr/bin/env bash
# A corpus of hostile requests against a server with little memory and processor time to its name: each is refused, or does what it says,
# and the server goes on.
source "$(dirname "$0")/../compat/lib.sh"
command -v python3 >/dev/null || { echo "SKIPPED: python3 is not installed"; [ "${CI:-}" != true ] || exit 1; exit 0; }
ulimit -v $((6 << 20)) # address space in KiB: beyond it an allocation fails and the server ends
ulimit -t 600          # processor seconds
start_server 127.0.0.1:0
python3 "$top/tests/api/hostile.py" "$work/data/kubeconfig" "$pid" "$@"
