#!/usr/bin/env bash
# Every test, cheapest first. Each stage prints its time; the first failure ends the run. LONG=1 runs the full counts.
set -euo pipefail
cd "$(dirname "$0")/.."
stage() {
  local name=$1 begin=$SECONDS
  shift
  echo "== $name"
  "$@" || { echo "== $name FAILED after $((SECONDS - begin)) s"; exit 1; }
  echo "== $name: $((SECONDS - begin)) s"
}
stage "layer lint" python3 tests/lint/check_layers.py .
stage "build (asan)" make --no-print-directory asan
stage "unit tests (asan, ubsan)" build/asan/skerry_tests '~[slow]'
if [ -n "${LONG:-}" ]; then stage "slow unit tests" build/asan/skerry_tests '[slow]'; fi
stage "build (release)" make --no-print-directory build
echo "size: $(stat -c %s build/release/skerry) bytes, stripped $(strip -o /dev/stdout build/release/skerry | wc -c) bytes"
for t in tests/*/test-*.sh; do
  [ -e "$t" ] || continue
  stage "$t" "$t"
done
echo "all tests passed"
