#!/usr/bin/env bash
# GET of a 1 KB object over TLS as a user whose rights come from RBAC, beside our own HTTP stack answering the same bytes: 32 at a time, over 32
# connections with HTTP/1.1, over 4 with HTTP/2.
# usage: tests/bench/get.sh    ROUNDS (5), COUNT (20000 requests each)
set -euo pipefail
cd "$(dirname "$0")/../.."
source tests/bench/lib.sh
hermetic bash "$0" "$@"
set_up_host
start_server --runtime none
certificate
config_map 1024 "$work/object"
requests --count 1 --warmup 0 --method POST --path /api/v1/namespaces/bench/configmaps --body "$work/object" --header 'content-type: application/json' >/dev/null
path=/api/v1/namespaces/bench/configmaps/c1
curl -sfk -H "Authorization: Bearer $user" "$api$path?pretty=false" >"$work/answer"
"$build/skerry_constant" 127.0.0.1:7001 "$work/pem" "$work/answer" & constant=$!
await 10 listening 7001
count=${COUNT:-20000}
for _ in $(seq "$rounds"); do
  ours=$(requests --connections 32 --count $count --warmup 500 --path $path)
  raw=$("$load" requests --url https://127.0.0.1:7001 --token $user --pid $constant --connections 32 --count $count --warmup 500 --path $path)
  ours2=$(requests --h2 1 --connections 4 --streams 8 --count $count --warmup 500 --path $path)
  raw2=$("$load" requests --h2 1 --url https://127.0.0.1:7001 --token $user --pid $constant --connections 4 --streams 8 --count $count --warmup 500 --path $path)
  say "GET:      $ours"; say "constant: $raw"; say "h2:       $ours2"
  keep h1 "$(field cpu_us "$ours")"; keep raw1 "$(field cpu_us "$raw")"; keep ratio1 "$(calc "$(field cpu_us "$ours") / $(field cpu_us "$raw")" %.3f)"
  keep h2 "$(field cpu_us "$ours2")"; keep raw2 "$(field cpu_us "$raw2")"; keep h2-h1 "$(calc "$(field cpu_us "$ours2") / $(field cpu_us "$ours")" %.3f)"
done
row "GET 1 KB, TLS + RBAC: CPU an operation" "$(of h1) us" "our HTTP stack, a constant $(of raw1) us" "$(of ratio1)" "<= 50 us, <= 1.5 (issue 4: 30 us, 1.3)"
row "GET over HTTP/2: CPU an operation" "$(of h2) us" "over HTTP/1.1 $(of h1) us (constant $(of raw2) / $(of raw1))" "$(of h2-h1)" "issue 4: <= 1"
kill $constant
stop_server
