#!/usr/bin/env bash
# One change to 1000 watchers over TLS: until the last one is served, and the server's CPU. Then what an idle watch costs in memory beyond its
# connection: 10 000 watches on 100 HTTP/2 connections.
# usage: tests/bench/watch.sh    ROUNDS (5), WATCHERS (1000)
set -euo pipefail
cd "$(dirname "$0")/../.."
source tests/bench/lib.sh
hermetic bash "$0" "$@"
set_up_host
start_server --runtime none
config_map 1024 "$work/object"
sed -i 's/"value":"/"value":"mark-{n}-/; s/"c{n}"/"c"/' "$work/object"
json=(--header 'content-type: application/json')
sed 's/{n}/0/' "$work/object" >"$work/first"
requests --count 1 --warmup 0 --method POST --path /api/v1/namespaces/bench/configmaps --body "$work/first" "${json[@]}" >/dev/null
path='/api/v1/namespaces/bench/configmaps?watch=1&fieldSelector=metadata.name%3Dc'
change=(--change-method PUT --change-path /api/v1/namespaces/bench/configmaps/c --change-body "$work/object" --change-type application/json)
watchers=${WATCHERS:-1000}
first=1
for _ in $(seq "$rounds"); do
  h1=$("$load" watch --url $api --token $user --pid $appliance --watchers "$watchers" --rounds 20 --path "$path" "${change[@]}" --first $first)
  h2=$("$load" watch --url $api --token $user --pid $appliance --watchers "$watchers" --h2 1 --streams 100 --rounds 20 --path "$path" "${change[@]}" --first "$(field next "$h1")")
  first=$(field next "$h2")
  say "HTTP/1.1: $h1"; say "HTTP/2:   $h2"
  keep last "$(field p50_ms "$h1")"; keep cpu "$(field cpu_ms "$h1")"; keep last2 "$(field p50_ms "$h2")"; keep cpu2 "$(field cpu_ms "$h2")"
done
idle=$("$load" watch --url $api --token $user --pid $appliance --watchers 10000 --h2 1 --streams 100 --rounds 0 --path "$path" "${change[@]}" --first "$first")
say "idle: $idle"
row "watch: a change to $watchers watchers, the last one served" "$(of last) ms" "over 10 HTTP/2 connections $(of last2) ms" - printed
row "watch: CPU for a change to $watchers watchers" "$(of cpu) ms" "over 10 HTTP/2 connections $(of cpu2) ms" "$(calc "$(of cpu2) / $(of cpu)")" "printed (issue 4: 10 ms)"
row "watch: memory of an idle one beyond its connection" "$(field rss_each_bytes "$idle") B" - - "issue 4: <= 2048 B"
stop_server
