#!/usr/bin/env bash
# Memory after work: 100 watches stand, 10 000 objects are created and deleted, 60 s of rest; then PSS of the process and its helpers.
# usage: tests/bench/idle-memory.sh    OBJECTS (10000), REST (60 s)
set -euo pipefail
cd "$(dirname "$0")/../.."
source tests/bench/lib.sh
hermetic bash "$0" "$@"
set_up_host
start_server --runtime oci
await 60 settled
say "at first: $(pss "$appliance") KiB"
config_map 1024 "$work/object"
sed 's/"value":"/"value":"mark-{n}-/; s/"c{n}"/"watched"/' "$work/object" >"$work/mark"
json=(--header 'content-type: application/json')
path=/api/v1/namespaces/bench/configmaps
requests --count 1 --warmup 0 --method POST --path $path --body "$work/mark" "${json[@]}" >/dev/null
"$load" watch --url $api --token $user --watchers 100 --rounds 1 --hold 10000 --path "$path?watch=1" --change-path $path/watched --change-body "$work/mark" --change-type application/json >"$work/watches" & watches=$!
await 30 grep -q watchers= "$work/watches"
objects=${OBJECTS:-10000}
made=$(requests --connections 32 --count "$objects" --warmup 0 --method POST --path $path --body "$work/object" "${json[@]}")
requests --connections 32 --count "$objects" --warmup 0 --method DELETE --path "$path/c{n}" >/dev/null
say "after the work: $(pss "$appliance") KiB; $made"
sleep "${REST:-60}"
total=0
for p in $(processes_below "$appliance"); do total=$((total + $(pss "$p"))); done
say "after the rest: $total KiB, $(processes_below "$appliance" | wc -w) processes"
grep -E '^(Rss|Pss_|Private|Shared)' /proc/"$appliance"/smaps_rollup >&2
row "idle memory after $objects creates and deletes, 100 watches, ${REST:-60} s" "$(calc "$total / 1024" %.1f) MB PSS" - - "<= 64 MB"
kill $watches
stop_server
