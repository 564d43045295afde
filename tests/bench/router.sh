#!/bin/bash
# CPU time a request of the router beside haproxy, one thread each, plain and TLS, interleaved; medians of ROUNDS (5).
# Prints rows as run.sh wants them: figure|ours|peer|ratio|bar.
# usage: tests/bench/router.sh [path of skerry_router_bench]; needs root (a network namespace of its own), haproxy, wrk, openssl.
set -eu
cd "$(dirname "$0")/../.."
bench=$(readlink -f "${1:-build/release/skerry_router_bench}")
[ -x "$bench" ] || { echo "router: build it first: cmake --build build/release --target skerry_router_bench"; exit 1; }
for tool in haproxy wrk openssl; do command -v $tool >/dev/null || { echo "router: skipped, $tool is not installed"; exit 0; }; done
if [ "${ROUTER_BENCH_INSIDE:-}" != 1 ]; then ROUTER_BENCH_INSIDE=1 exec unshare -n "$0" "$bench"; fi
ip link set lo up
dir=$(mktemp -d)
pids=()
trap 'kill "${pids[@]}" 2>/dev/null; wait 2>/dev/null; rm -rf "$dir"' EXIT
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$dir/key" -out "$dir/crt" -subj /CN=bench -days 2 2>/dev/null
cat "$dir/crt" "$dir/key" >"$dir/pem"
common='global
  nbthread 1
defaults
  mode http
  timeout client 60s
  timeout server 60s
  timeout connect 5s
  timeout http-keep-alive 60s'
echo "$common
frontend backend
  bind 127.0.0.1:8001
  http-request return status 200 content-type text/plain string \"$(printf 'x%.0s' {1..100})\"" >"$dir/backend.cfg"
echo "$common
  option forwardfor
  http-reuse safe
frontend peer
  bind 127.0.0.1:8002
  bind 127.0.0.1:8003 ssl crt $dir/pem alpn http/1.1
  http-request set-header X-Forwarded-Proto http
  http-request set-header X-Forwarded-Host %[req.hdr(host)]
  default_backend b
backend b
  server s 127.0.0.1:8001" >"$dir/peer.cfg"
haproxy -q -f "$dir/backend.cfg" & pids+=($!)
haproxy -q -f "$dir/peer.cfg" & peer=$!; pids+=($peer)
"$bench" 127.0.0.1:8004 127.0.0.1:8005 127.0.0.1:8001 "$dir/pem" & ours=$!; pids+=($ours)
for port in 8001 8002 8003 8004 8005; do
  for _ in $(seq 100); do (exec 3<>/dev/tcp/127.0.0.1/$port) 2>/dev/null && break; sleep 0.05; done
done
ticks() { awk '{print $14 + $15}' "/proc/$1/stat"; }
one() { # pid url -> microseconds of CPU a request
  local before after n
  before=$(ticks "$1")
  n=$(wrk -t1 -c32 -d"${SECONDS_EACH:-3}" "$2" | awk '/requests in/ {print $1}')
  after=$(ticks "$1")
  awk -v t="$((after - before))" -v n="$n" -v hz="$(getconf CLK_TCK)" 'BEGIN {printf "%.2f\n", t * 1e6 / hz / n}'
}
for _ in $(seq "${ROUNDS:-5}"); do
  one "$peer" http://127.0.0.1:8002/ >>"$dir/peer-plain"
  one "$ours" http://127.0.0.1:8004/ >>"$dir/ours-plain"
  one "$peer" https://127.0.0.1:8003/ >>"$dir/peer-tls"
  one "$ours" https://127.0.0.1:8005/ >>"$dir/ours-tls"
done
median() { sort -n "$1" | awk '{v[NR] = $1} END {print v[int((NR + 1) / 2)]}'; }
for kind in plain tls; do
  a=$(median "$dir/ours-$kind"); b=$(median "$dir/peer-$kind")
  echo "router $kind: CPU a request|$a us|haproxy $b us|$(awk -v a="$a" -v b="$b" 'BEGIN {printf "%.2f", a / b}')|<= 1.3"
done
