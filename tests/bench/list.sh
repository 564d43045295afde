#!/usr/bin/env bash
# LIST of 5000 pods of about 6 KB over TLS beside nginx sending the same bytes over TLS; then gzip, Table and protobuf, the first time (cold,
# after a change of every object) and again (warm). Resident memory is sampled while answers are on their way.
# usage: tests/bench/list.sh    ROUNDS (5), PODS (5000)
set -euo pipefail
cd "$(dirname "$0")/../.."
source tests/bench/lib.sh
hermetic bash "$0" "$@"
set_up_host
need nginx
pods=${PODS:-5000}
start_server --runtime none
certificate
python3 tests/bench/pods.py >"$work/pod"
json=(--header 'content-type: application/json')
requests --connections 16 --count "$pods" --warmup 0 --method POST --path /api/v1/namespaces/bench/pods --body "$work/pod" "${json[@]}" >"$work/made"
say "pods: $(cat "$work/made")"
path=/api/v1/namespaces/bench/pods
await 60 settled
mkdir -p "$work/www"
curl -sfk -H "Authorization: Bearer $user" "$api$path?pretty=false" >"$work/www/list"
say "the list: $(stat -c %s "$work/www/list") bytes"
cat >"$work/nginx.conf" <<C
daemon off; master_process off; pid $work/nginx.pid; error_log $work/nginx.log;
events { }
http { access_log off; client_body_temp_path $work/t1; proxy_temp_path $work/t2; fastcgi_temp_path $work/t3; uwsgi_temp_path $work/t4; scgi_temp_path $work/t5;
  server { listen 127.0.0.1:7002 ssl; ssl_certificate $work/crt; ssl_certificate_key $work/key; root $work/www; } }
C
nginx -c "$work/nginx.conf" 2>/dev/null & nginx=$!
await 10 listening 7002
table='accept: application/json;as=Table;v=v1;g=meta.k8s.io'
proto='accept: application/vnd.kubernetes.protobuf'
one() { requests --connections 1 --count "$1" --warmup "$2" --path $path "${@:3}"; }
# Every pod gets a new label value: whatever was kept of its old form is of no use.
number=1
touch_all() {
  printf '{"metadata":{"labels":{"turn":"%s"}}}' "$1" >"$work/patch"
  requests --connections 16 --count "$pods" --warmup 0 --first 1 --method PATCH --path "$path/p{n}" --body "$work/patch" --header 'content-type: application/merge-patch+json' >>"$work/made"
  await 60 settled   # what controllers and compaction do about it is not the list's
}
for i in $(seq "$rounds"); do
  ours=$(one 5 1)
  peer=$("$load" requests --url https://127.0.0.1:7002 --pid $nginx --connections 1 --count 5 --warmup 1 --path /list)
  say "list:  $ours"; say "nginx: $peer"
  keep list "$(field p50_ms "$ours")"; keep nginx "$(field p50_ms "$peer")"; keep ratio "$(calc "$(field p50_ms "$ours") / $(field p50_ms "$peer")" %.3f)"
  keep list-cpu "$(calc "$(field cpu_us "$ours") / 1000")"; keep nginx-cpu "$(calc "$(field cpu_us "$peer") / 1000")"
  keep rss "$(field rss_rise_kib "$ours")"
  touch_all "a$i"; keep json-cold "$(calc "$(field cpu_us "$(one 1 0)") / 1000")"
  cold=$(one 1 0 --header "$table"); keep table-cold "$(calc "$(field cpu_us "$cold") / 1000")"; say "table cold: $cold"
  warm=$(one 5 0 --header "$table"); keep table-warm "$(calc "$(field cpu_us "$warm") / 1000")"; say "table warm: $warm"
  cold=$(one 1 0 --header "$proto"); keep proto-cold "$(calc "$(field cpu_us "$cold") / 1000")"; keep proto-rss "$(field rss_rise_kib "$cold")"; say "protobuf cold: $cold"
  warm=$(one 5 0 --header "$proto"); keep proto-warm "$(calc "$(field cpu_us "$warm") / 1000")"; say "protobuf warm: $warm"
  zip=$(one 1 0 --header 'accept-encoding: gzip'); keep gzip "$(calc "$(field cpu_us "$zip") / 1000")"; say "gzip: $zip"
done
row "LIST $pods pods x 6 KB: time" "$(of list) ms" "nginx $(of nginx) ms" "$(of ratio)" "<= 1.5 (issue 4: 1.2)"
row "LIST: CPU" "$(of list-cpu) ms" "nginx $(of nginx-cpu) ms" "$(calc "$(of list-cpu) / $(of nginx-cpu)")" -
row "LIST: rise of resident memory" "$(calc "$(of rss) / 1024" %.1f) MB" - - "<= 8 MB"
row "LIST gzip: CPU" "$(of gzip) ms" "plain $(of list-cpu) ms" "$(calc "$(of gzip) / $(of list-cpu)")" printed
row "LIST Table cold: CPU" "$(of table-cold) ms" "warm $(of table-warm) ms" - "printed (issue 4: 60 ms)"
row "LIST protobuf cold: CPU" "$(of proto-cold) ms" "JSON after a change of all $(of json-cold) ms" "$(calc "$(of proto-cold) / $(of json-cold)")" "printed (issue 4: <= 3)"
row "LIST protobuf warm: CPU" "$(of proto-warm) ms" "JSON $(of list-cpu) ms" "$(calc "$(of proto-warm) / $(of list-cpu)")" "printed (issue 4: <= 1)"
kill $nginx
stop_server
