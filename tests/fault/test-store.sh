#!/usr/bin/env bash
# What an acknowledged write is worth: kill -9, power cuts, a full disk. LONG=1 runs the full counts.
set -euo pipefail
cd "$(dirname "$0")/../.."
driver=build/asan/skerry_fault_store
[ -x "$driver" ] || driver=build/dev/skerry_fault_store
run() {
  local code=0
  "$driver" "$@" || code=$?
  # 77: this machine cannot (no root, no /dev/fuse). In CI that is a failure.
  [ $code = 0 ] || { [ $code = 77 ] && [ -z "${CI:-}" ]; }
}
if [ -n "${LONG:-}" ]; then kills=200 cuts=50; else kills=20 cuts=10; fi
run kill $kills
run powercut $cuts
run diskfull
