#!/usr/bin/env bash
# From exec until an authenticated create is accepted and the node is Ready: with an empty data directory, and with one that holds 10 000 objects.
# usage: tests/bench/ready.sh    ROUNDS (5), OBJECTS (10000)
set -euo pipefail
cd "$(dirname "$0")/../.."
source tests/bench/lib.sh
hermetic bash "$0" "$@"
set_up_host
token_file
config_map 1024 "$work/object"
objects=${OBJECTS:-10000}
measure() { # measure DATA_DIR -> one line; the server is stopped afterwards
  "$load" ready --url $api --token $admin --create-path /api/v1/namespaces/default/configmaps --body <(sed 's/"namespace":"bench"/"namespace":"default"/; s/"name":"c{n}"/"generateName":"r"/' "$work/object") \
    --header 'content-type: application/json' --path /api/v1/nodes --log "$work/log" -- \
    "$skerry" start --data-dir "$1" --listen 127.0.0.1:6443 --registry-listen 127.0.0.1:5000 --router-http 127.0.0.1:80 --router-https 127.0.0.1:443 --runtime oci --token-auth-file "$work/tokens" --log-level warn
}
measure "$work/data" >/dev/null   # the binary is in the page cache, as in all later rounds
start_server --runtime none
requests --connections 32 --count "$objects" --warmup 0 --method POST --path /api/v1/namespaces/bench/configmaps --body "$work/object" --header 'content-type: application/json' >/dev/null
stop_server
for i in $(seq "$rounds"); do
  empty=$(measure "$work/empty-$i")
  "$skerry" uninstall --data-dir "$work/empty-$i" >/dev/null 2>&1 || true
  full=$(measure "$work/data")
  say "empty: $empty"; say "$objects objects: $full"
  keep empty "$(field ready_ms "$empty")"; keep full "$(field ready_ms "$full")"; keep empty-cpu "$(field cpu_ms "$empty")"; keep full-cpu "$(field cpu_ms "$full")"
  keep stop "$(field stop_ms "$full")"
done
least_of() { least "$work/sample.$1"; }
row "ready, empty directory" "$(of empty) ms (least $(least_of empty), CPU $(of empty-cpu) ms, load $(cut -d' ' -f1 /proc/loadavg))" - - "<= 150 ms"
row "ready, $objects objects" "$(of full) ms (least $(least_of full), CPU $(of full-cpu) ms)" - - "<= 400 ms"
row "stop, $objects objects" "$(of stop) ms" - - printed
