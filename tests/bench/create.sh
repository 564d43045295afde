#!/usr/bin/env bash
# A durable create of 1 KB over TLS as a user whose rights come from RBAC: server CPU an operation, and the rate of 64 clients beside a bare
# etcd that stores the same bytes (gRPC without TLS, fsync on), driven by the same program on the same disk.
# usage: tests/bench/create.sh    ROUNDS (5), SECONDS_EACH (4)
set -euo pipefail
cd "$(dirname "$0")/../.."
source tests/bench/lib.sh
hermetic bash "$0" "$@"
set_up_host
need etcd kubectl
start_server --runtime none
config_map 1024 "$work/object"
etcd --data-dir "$work/etcd" --listen-client-urls http://127.0.0.1:2379 --advertise-client-urls http://127.0.0.1:2379 --listen-peer-urls http://127.0.0.1:2380 \
  --initial-advertise-peer-urls http://127.0.0.1:2380 --initial-cluster default=http://127.0.0.1:2380 --quota-backend-bytes 8000000000 --log-level error >"$work/etcd.log" 2>&1 &
etcd=$!
await 20 listening 2379
first=1
for _ in $(seq "$rounds"); do
  ours=$(requests --connections 64 --seconds "${SECONDS_EACH:-4}" --method POST --path /api/v1/namespaces/bench/configmaps --body "$work/object" --header 'content-type: application/json' --first $first)
  peer=$("$load" requests --url http://127.0.0.1:2379 --pid $etcd --connections 64 --seconds "${SECONDS_EACH:-4}" --grpc-put 1 --path '/registry/configmaps/bench/c{n}' --body "$work/object" --first $first)
  first=$(($(field next "$ours") + $(field next "$peer")))
  say "create: $ours"
  say "etcd:   $peer"
  keep cpu "$(field cpu_us "$ours")"; keep rate "$(field rate "$ours")"; keep p50 "$(field p50_ms "$ours")"
  keep peer-cpu "$(field cpu_us "$peer")"; keep peer-rate "$(field rate "$peer")"
  keep ratio "$(calc "$(field rate "$ours") / $(field rate "$peer")" %.3f)"
done
row "create 1 KB, TLS + RBAC: CPU an operation" "$(of cpu) us" "etcd alone $(of peer-cpu) us" "$(calc "$(of cpu) / $(of peer-cpu)")" "<= 200 us (issue 4: 100)"
row "create 1 KB, 64 clients: rate" "$(of rate)/s" "etcd $(of peer-rate)/s" "$(of ratio)" ">= 1 (issue 4: 1.5)"
kill $etcd
stop_server
