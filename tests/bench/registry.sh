#!/usr/bin/env bash
# The registry: pulling a blob beside nginx sending the same file, pushing and the manifest GET beside Debian's docker-registry; all per second of
# server CPU. Push = POST, PUT with digest of a fresh random blob; both sync to the same disk.
# usage: tests/bench/registry.sh    ROUNDS (5), MEGABYTES (64)
set -euo pipefail
cd "$(dirname "$0")/../.."
source tests/bench/lib.sh
hermetic bash "$0" "$@"
set_up_host
need nginx docker-registry
size=${MEGABYTES:-64}
start_appliance --runtime none --registry-listen 127.0.0.1:5002 --log-level warn
cat >"$work/peer.yml" <<C
version: 0.1
log: {level: error, accesslog: {disabled: true}}
storage: {filesystem: {rootdirectory: $work/peer}}
http: {addr: 127.0.0.1:5001}
C
docker-registry serve "$work/peer.yml" >"$work/peer.log" 2>&1 & peer=$!
mkdir -p "$work/www"
cat >"$work/nginx.conf" <<C
daemon off; master_process off; pid $work/nginx.pid; error_log $work/nginx.log;
events { }
http { access_log off; sendfile on; client_body_temp_path $work/t1; proxy_temp_path $work/t2; fastcgi_temp_path $work/t3; uwsgi_temp_path $work/t4; scgi_temp_path $work/t5;
  server { listen 127.0.0.1:7002; root $work/www; } }
C
nginx -c "$work/nginx.conf" 2>/dev/null & nginx=$!
await 20 listening 5001
await 20 listening 7002
push() { # push BASE FILE DIGEST
  local place
  place=$(curl -sf -X POST -o /dev/null -D - "$1/v2/bench/blobs/uploads/" | tr -d '\r' | sed -n 's/^[Ll]ocation: //p')
  case $place in /*) place=$1$place ;; esac
  case $place in *\?*) place="$place&" ;; *) place="$place?" ;; esac
  curl -sf -X PUT -H 'Content-Type: application/octet-stream' -T "$2" -o /dev/null "${place}digest=$3"
}
spent() { # spent NAME PID COMMAND...: seconds of CPU that the server took
  local before
  before=$(ticks "$2")
  "${@:3}"
  keep "$1" "$(calc "($(ticks "$2") - $before) / $(getconf CLK_TCK)" %.3f)"
}
printf '{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[]}}' >"$work/config"
config=sha256:$(sha256sum "$work/config" | cut -d' ' -f1)
for base in http://127.0.0.1:5002 http://127.0.0.1:5001; do push $base "$work/config" "$config"; done
for _ in $(seq "$rounds"); do
  head -c $((size << 20)) /dev/urandom >"$work/www/blob"
  digest=sha256:$(sha256sum "$work/www/blob" | cut -d' ' -f1)
  spent push "$appliance" push http://127.0.0.1:5002 "$work/www/blob" "$digest"
  spent peer-push $peer push http://127.0.0.1:5001 "$work/www/blob" "$digest"
  printf '{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"%s","size":%d},"layers":[{"mediaType":"application/vnd.oci.image.layer.v1.tar","digest":"%s","size":%d}]}' \
    "$config" "$(stat -c %s "$work/config")" "$digest" $((size << 20)) >"$work/manifest"
  for base in http://127.0.0.1:5002 http://127.0.0.1:5001; do
    curl -sf -X PUT -H 'Content-Type: application/vnd.oci.image.manifest.v1+json' --data-binary "@$work/manifest" -o /dev/null $base/v2/bench/manifests/1
  done
  ours=$("$load" requests --url http://127.0.0.1:5002 --pid "$appliance" --connections 1 --count 30 --warmup 2 --path "/v2/bench/blobs/$digest")
  raw=$("$load" requests --url http://127.0.0.1:7002 --pid $nginx --connections 1 --count 30 --warmup 2 --path /blob)
  say "pull:  $ours"; say "nginx: $raw"
  keep pull "$(field cpu_us "$ours")"; keep nginx "$(field cpu_us "$raw")"; keep pull-time "$(calc "$(field p50_ms "$raw") / $(field p50_ms "$ours")")"
  accept=(--header 'accept: application/vnd.oci.image.manifest.v1+json')
  ours=$("$load" requests --url http://127.0.0.1:5002 --pid "$appliance" --connections 16 --count 10000 --warmup 200 --path /v2/bench/manifests/1 "${accept[@]}")
  raw=$("$load" requests --url http://127.0.0.1:5001 --pid $peer --connections 16 --count 3000 --warmup 200 --path /v2/bench/manifests/1 "${accept[@]}")
  say "manifest: $ours"; say "docker-registry: $raw"
  keep manifest "$(field cpu_us "$ours")"; keep peer-manifest "$(field cpu_us "$raw")"
done
row "registry pull of $size MiB: CPU" "$(calc "$(of pull) / 1000") ms" "nginx $(calc "$(of nginx) / 1000") ms; speed by the clock $(of pull-time)" "$(calc "$(of nginx) / $(of pull)")" ">= 0.8"
row "registry push of $size MiB: CPU" "$(calc "$(of push) * 1000" %.0f) ms" "docker-registry $(calc "$(of peer-push) * 1000" %.0f) ms" "$(calc "$(of peer-push) / $(of push)")" ">= 2"
row "registry manifest GET: CPU" "$(of manifest) us" "docker-registry $(of peer-manifest) us" "$(calc "$(of peer-manifest) / $(of manifest)")" ">= 2"
kill $nginx $peer
stop_server
