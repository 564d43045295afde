#!/usr/bin/env bash
# All benches, one after the other, then one table: figure, ours, peer or raw limit, ratio, bar. Nothing is asserted. `make bench` calls it.
# usage: sudo tests/bench/run.sh [bench...]        names of the files beside this one, without .sh; none: all
#   ROUNDS (5)     samples of each figure, ours and the peer's in turns; medians are shown
#   MINUTES (20)   of idle-cost; 0 leaves it out
#   BUILD          build directory (build/release); TABLE: where the rows are kept as well
# Each bench also runs alone: tests/bench/get.sh. CPU time is of the server and its children, from /proc; times by the clock are as good as the
# machine is quiet (the load is printed).
set -euo pipefail
cd "$(dirname "$0")/../.."
build=${BUILD:-build/release}
cmake --build "$build" --target skerry skerry_benches >/dev/null
[ $# -gt 0 ] || set -- binary ready first idle-memory create get update list watch memory pod-start service registry router idle-cost
rows=$(mktemp)
trap 'rm -rf "$rows"' EXIT
for bench in "$@"; do
  [ "$bench" != idle-cost ] || [ "${MINUTES:-20}" != 0 ] || continue
  echo "== $bench (load $(cut -d' ' -f1 /proc/loadavg))" >&2
  "tests/bench/$bench.sh" >>"$rows" || echo "$bench|FAILED|-|-|-" >>"$rows"
done
[ -z "${TABLE:-}" ] || cp "$rows" "$TABLE"
echo
(echo "figure|ours|peer or raw|ratio|bar"; cat "$rows") | column -t -s '|'
