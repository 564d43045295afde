#!/usr/bin/env bash
# A thousand simulated clusters on the optimized build, as many at a time as there are processors: test-thousand.sh [first seed] [count]
set -euo pipefail
cd "$(dirname "$0")/../.."
first=${1:-1} count=${2:-1000}
make --no-print-directory sim
work=$(mktemp -d "${TMPDIR:-/tmp}/skerry-sim.XXXXXX")
trap 'rm -rf "$work"' EXIT
part=50 failed=0
# Parts are small: a worker that is done takes the next.
seq "$first" $part $((first + count - 1)) | xargs -P "${JOBS:-$(nproc)}" -I{} bash -c '
  n=$(('"$first + $count"' - {})); [ $n -le '$part' ] || n='$part'
  SIM_FIRST={} SIM_SEEDS=$n build/release/skerry_sim "[seeds]" >"'"$work"'/{}" 2>&1 || { cp "'"$work"'/{}" "'"$work"'/{}.failed"; exit 1; }' || failed=1
cat "$work"/[0-9]* | awk '
  / worlds from / { worlds += $1 }
  { text = text " " $0 }
  END {
    while (match(text, /[0-9]+ writes by controllers for [0-9]+ objects, at most [0-9]+ to one/)) {
      split(substr(text, RSTART, RLENGTH), f, " "); writes += f[1]; objects += f[6]; if (f[10] > most) most = f[10]
      text = substr(text, RSTART + RLENGTH)
    }
    printf "%d worlds: %d writes by controllers for %d objects that converged, %.1f each, at most %d to one\n", worlds, writes, objects, writes / (objects ? objects : 1), most
  }'
[ $failed = 0 ] || { cat "$work"/*.failed; exit 1; }
