#!/usr/bin/env bash
# What an operator or a client can get wrong: one line with cause and remedy and an exit code, a proper Status, or an event; the state
# stays intact and a running appliance goes on.
set -euo pipefail
cd "$(dirname "$0")/../.."
source tests/e2e/lib.sh
hermetic bash "$0" "$@"
set_up_host
data=$work/data
control_plane=(--runtime=none --listen 127.0.0.1:6443)

# refused WHAT CODE TEXT COMMAND…: the exit code, and one line on stderr that holds the text
refused() {
  local what=$1 code=$2 text=$3 got=0
  shift 3
  timeout 60 "$@" >"$work/out" 2>"$work/err" </dev/null || got=$?
  [ $got = "$code" ] || fail "$what: exit code $got instead of $code: $(cat "$work/err")"
  [ "$(grep -c '^skerry: ' "$work/err")" = 1 ] || fail "$what: not one line: $(cat "$work/err")"
  contains "$what" "$text" "$(grep '^skerry: ' "$work/err")"
}
start() { refused "$1" "$2" "$3" "$skerry" start --data-dir "$data" "${@:4}"; }

step "usage"
refused "a verb" 2 'unknown verb "begin"' "$skerry" begin
start "a flag" 2 "unknown flag --port" --port=1
start "a value" 2 "expected one of" --runtime=podman
start "no value" 2 "--listen needs a value" --listen
start "a configuration file" 2 "no-such-file" --config=/no-such-file
echo 'nonsense: 1' >"$work/config"
start "an option in the file" 2 'unknown option "nonsense"' --config="$work/config"
printf 'a: [\n' >"$work/config"
start "bad YAML" 2 "$work/config" --config="$work/config"
start "an address" 1 "missing port" --runtime=none --listen=nowhere
start "a range" 2 "expected an IPv4 range" --runtime=none --service-cidr=10.43.0.0/99
start "overlapping ranges" 2 "overlap" --runtime=none --service-cidr=10.42.0.0/16
start "a node address" 2 "expected an IPv4 address" --runtime=none --node-ip=here

step "privilege and what the machine lacks"
chmod 755 "$work"
as_nobody=(setpriv --reuid=65534 --regid=65534 --clear-groups)
install -m 755 "$skerry" "$work/skerry"
refused "not root" 6 "needs root" "${as_nobody[@]}" "$work/skerry" start --data-dir "$data"
refused "a directory of somebody else" 6 "choose another --data-dir" "${as_nobody[@]}" "$work/skerry" start --data-dir "$data" "${control_plane[@]}"
mkdir "$work/readonly"
mount -t tmpfs -o ro none "$work/readonly"
refused "a read-only file system" 6 "choose another --data-dir" "$skerry" start --data-dir "$work/readonly/data" "${control_plane[@]}"
umount "$work/readonly"
programs=$(command -v crun runc)
for program in $programs; do mount --bind /dev/null "$program"; done   # in this namespace alone
start "no container runtime" 6 "neither crun nor runc" --runtime=oci
umount $programs
start "no engine" 6 "name its socket with --docker-socket" --runtime=docker --docker-socket="$work/docker.sock"
refused "no network administration" 6 "CAP_NET_ADMIN" setpriv --bounding-set -net_admin --inh-caps -net_admin "$skerry" start --data-dir "$data"

step "ports and directories in use"
start_appliance "${control_plane[@]}" --registry-listen none
refused "the port" 4 "choose another --listen" "$skerry" start --data-dir "$work/other" "${control_plane[@]}"
start "the directory" 4 "another skerry (process $appliance)" --runtime=none --listen 127.0.0.1:0
refused "a backup onto what exists" 1 "exists" "$skerry" backup --data-dir "$data" --to "$work/readonly"
refused "a restore while it runs" 4 "stop it first" "$skerry" restore --data-dir "$data" --from "$work/readonly"
kubectl create configmap kept --from-literal=a=b >/dev/null

step "requests"
key=$work/key.pem cert=$work/cert.pem
kubectl config view --raw -o jsonpath='{.users[0].user.client-key-data}' | base64 -d >"$key"
kubectl config view --raw -o jsonpath='{.users[0].user.client-certificate-data}' | base64 -d >"$cert"
# asked WHAT STATUS TEXT CURL-ARGUMENTS…: the HTTP status and a text of the answer, whose reason is a Status object
asked() {
  local what=$1 status=$2 text=$3 got
  shift 3
  got=$(curl -sk --max-time 20 --key "$key" --cert "$cert" -o "$work/answer" -w '%{http_code}' "$@") || fail "$what: no answer"
  equal "$what: status" "$status" "$got"
  contains "$what" "$text" "$(cat "$work/answer")"
}
maps=https://127.0.0.1:6443/api/v1/namespaces/default/configmaps
json=(-H 'Content-Type: application/json')
asked "malformed JSON" 400 '"reason": "BadRequest"' "${json[@]}" -d '{"metadata":' "$maps"
asked "malformed YAML" 400 '"reason": "BadRequest"' -H 'Content-Type: application/yaml' --data-binary $'a: [\n' "$maps"
asked "malformed protobuf" 400 '"reason": "BadRequest"' -H 'Content-Type: application/vnd.kubernetes.protobuf' -d 'k8s nonsense' "$maps"
asked "an unknown field" 400 'unknown field \"nonsense\"' "${json[@]}" -d '{"kind":"ConfigMap","apiVersion":"v1","metadata":{"name":"x"},"nonsense":1}' "$maps?fieldValidation=Strict"
asked "a duplicate field" 400 'duplicate field \"data.a\"' "${json[@]}" -d '{"kind":"ConfigMap","apiVersion":"v1","metadata":{"name":"x"},"data":{"a":"1","a":"2"}}' "$maps?fieldValidation=Strict"
asked "an unknown media type" 415 '"reason": "UnsupportedMediaType"' -H 'Content-Type: text/html' -d x "$maps"
head -c 4000000 /dev/zero | tr '\0' ' ' >"$work/long"
asked "an oversized body" 413 '"reason": "RequestEntityTooLarge"' "${json[@]}" --data-binary "@$work/long" "$maps"
asked "an oversized header" 431 "" --http1.1 -H "X-Long: $(head -c 100000 "$work/long" | tr ' ' a)" "$maps"
asked "a path that leads nowhere" 404 "404 page not found" https://127.0.0.1:6443/nowhere
equal "what was there" b "$(kubectl get configmap kept -o jsonpath='{.data.a}')"
"$skerry" stop --data-dir "$data" >/dev/null
await 10 gone "$appliance"

step "a data directory that is damaged or of a newer version"
cp -a "$data" "$work/good"
damage() { # WHAT TEXT COMMAND…: in a fresh copy
  rm -rf "$data"
  cp -a "$work/good" "$data"
  (cd "$data/state" && "${@:3}")
  start "$1" 5 "$2" "${control_plane[@]}"
}
newer() { python3 -c 'import zlib; t = b"skerry-store 99 ready "; open("FORMAT", "wb").write(t + b"%08x\n" % zlib.crc32(t))'; }
newest() { ls -S db/*."$1" | head -1; }
cut_log() { f=$(newest log); python3 -c 'import sys; f = open(sys.argv[1], "r+b"); b = bytearray(f.read()); n = len(b) // 2; b[n:n + 8] = b"\xff" * 8; f.seek(0); f.write(b)' "$f"; }
damage "a newer version" "newer version" newer
damage "a cut format file" "damaged" truncate -s 10 FORMAT
damage "a lost manifest" "" rm -f db/CURRENT
damage "a log damaged in its middle" "" cut_log
rm -rf "$data"
cp -a "$work/good" "$data"
start_appliance "${control_plane[@]}" --registry-listen none
equal "what was there" b "$(kubectl get configmap kept -o jsonpath='{.data.a}')"
"$skerry" stop --data-dir "$data" >/dev/null
await 10 gone "$appliance"
rm -rf "$data"

step "workloads that ask for what is not there"
start_appliance "${control_plane[@]}" --registry-listen none
await 30 kubectl get serviceaccount default
kubectl create -f - >/dev/null <<'Y'
{"apiVersion": "v1", "kind": "List", "items": [
 {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "app"}, "spec": {"selector": {"matchLabels": {"a": "b"}}, "template": {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}}}},
 {"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": {"name": "lost"}, "spec": {"scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "none"}, "maxReplicas": 2}},
 {"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": {"name": "blind"}, "spec": {"scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "app"}, "maxReplicas": 2, "metrics": [
   {"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 50}}},
   {"type": "Object", "object": {"metric": {"name": "requests-per-second"}, "describedObject": {"apiVersion": "v1", "kind": "Service", "name": "s"}, "target": {"type": "Value", "value": "1"}}}]}},
 {"apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": "often"}, "spec": {"schedule": "@every 1s", "jobTemplate": {"spec": {"template": {"spec": {"restartPolicy": "Never", "containers": [{"name": "c", "image": "i"}]}}}}}}]}
Y
event_of() { kubectl get events --field-selector "involvedObject.name=$1" -o jsonpath='{range .items[*]}{.reason}: {.message}{"\n"}{end}' | grep -- "$2" >/dev/null; }
condition() { kubectl get hpa "$1" -o jsonpath="{.status.conditions[?(@.type==\"$2\")].reason}"; }
await 60 event_of lost 'FailedGetScale: deployments.apps "none" not found'
await 60 event_of blind 'FailedGetResourceMetric: failed to get cpu utilization: unable to get metrics for resource cpu: unable to fetch metrics from resource metrics API: the server could not find the requested resource (get pods.metrics.k8s.io)'
await 60 event_of blind 'FailedGetObjectMetric: unable to get metric requests-per-second: Service on default s/unable to fetch metrics from custom metrics API: no custom metrics API (custom.metrics.k8s.io) registered'
equal "condition without a target" FailedGetScale "$(condition lost AbleToScale)"
equal "condition without metrics" FailedGetResourceMetric "$(condition blind ScalingActive)"
contains "top" "Metrics API not available" "$(kubectl top pod 2>&1 || true)"
# Longer than a pass of the autoscaler takes to come round again: it changes nothing, and the clock's every strike costs a few writes.
changes() { # PATH SECONDS
  kubectl get --raw "$1?watch=1&timeoutSeconds=$2&resourceVersion=$(kubectl get --raw "$1?limit=1" | jq -r .metadata.resourceVersion)"
}
changes /apis/batch/v1/namespaces/default/cronjobs 10 >"$work/strikes" &
strikes=$!
equal "writes of autoscalers that can do nothing" "" "$(changes /apis/autoscaling/v2/namespaces/default/horizontalpodautoscalers 20)"
wait $strikes
[ "$(wc -l <"$work/strikes")" -le "$((3 * $(jq -r .object.status.lastScheduleTime "$work/strikes" | sort -u | wc -l)))" ] || fail "more writes than strikes of the clock explain: $(wc -l <"$work/strikes")"
[ "$(kubectl get jobs --no-headers | wc -l)" -ge 1 ] || fail "the clock has not struck"
"$skerry" stop --data-dir "$data" >/dev/null
await 10 gone "$appliance"
rm -rf "$data"

step "images"
start_appliance
tests/e2e/sample/build-image.sh "$work/hello"
skopeo copy -q --dest-tls-verify=false "oci:$work/hello:hello:1" docker://127.0.0.1:5000/hello:1
# The same image, but said to be for another machine.
tests/e2e/sample/other-architecture.py "$work/hello" s390x
skopeo copy -q --override-arch s390x --override-os linux --dest-tls-verify=false "oci:$work/hello:hello:1" docker://127.0.0.1:5000/foreign:1
upload=$(curl -s -o /dev/null -w '%header{location}' -X POST http://127.0.0.1:5000/v2/hello/blobs/uploads/)
asked "a wrong digest" 400 DIGEST_INVALID -X PUT --data-binary x "http://127.0.0.1:5000${upload#http://127.0.0.1:5000}?digest=sha256:$(printf '0%.0s' $(seq 64))"
asked "an unknown tag" 404 MANIFEST_UNKNOWN http://127.0.0.1:5000/v2/hello/manifests/nothing
asked "an unknown repository" 404 NAME_UNKNOWN http://127.0.0.1:5000/v2/nothing/tags/list
run_pod() { kubectl run "$1" --image="127.0.0.1:5000/$2" --restart=Never ${3:+--command -- $3} >/dev/null; }
event_says() { kubectl get events --field-selector "involvedObject.name=$1" -o jsonpath='{range .items[*]}{.reason}: {.message}{"\n"}{end}' | found -- "$2"; }
await 30 kubectl get serviceaccount default
run_pod unknown hello:nothing
run_pod digest "hello@sha256:$(printf '0%.0s' $(seq 64))"
run_pod foreign foreign:1
run_pod command hello:1 /bin/nothing
await 60 event_says unknown 'Failed: .*nothing'
await 60 event_says digest 'Failed: '
await 60 event_says foreign 'Failed: .*the image is for linux/s390x'
await 60 event_says command 'Failed: .*/bin/nothing'
for p in unknown digest foreign; do
  contains "state of $p" "Pull" "$(kubectl get pod $p -o jsonpath='{.status.containerStatuses[0].state.waiting.reason}')"
done
kubectl delete pods --all --timeout=60s >/dev/null

step "an address that changes"
kubectl run hello --image=127.0.0.1:5000/hello:1 >/dev/null
kubectl wait --for=condition=Ready pod/hello --timeout=60s >/dev/null
ip addr del 192.0.2.10/24 dev uplink
ip addr add 192.0.2.77/24 dev uplink
ip route replace default via 192.0.2.1
serves() { curl -s --max-time 5 "http://$(kubectl get pod hello -o jsonpath='{.status.podIP}'):8080/" | found -x "hello from hello"; }
kill -0 "$appliance" || fail "the appliance is gone"
equal "the API by another address" ok "$(asked "readiness" 200 ok https://127.0.0.1:6443/readyz && echo ok)"
"$skerry" stop --data-dir "$data" >/dev/null
await 10 gone "$appliance"
start_appliance
await 30 serves
equal "the API's endpoint" 192.0.2.77 "$(kubectl get endpoints kubernetes -o jsonpath='{.subsets[0].addresses[0].ip}')"
node_address() { [ "$(kubectl get node -o jsonpath='{.items[0].status.addresses[?(@.type=="InternalIP")].address}')" = 192.0.2.77 ]; }
await 30 node_address
equal "restarts of the pod" 0 "$(kubectl get pod hello -o jsonpath='{.status.containerStatuses[0].restartCount}')"
contains "the certificate" "192.0.2.77" "$(openssl s_client -connect 127.0.0.1:6443 </dev/null 2>/dev/null | openssl x509 -noout -ext subjectAltName)"
"$skerry" uninstall --data-dir "$data" >/dev/null
[ ! -e "$data" ] || fail "uninstall left the data directory"
echo "bad input: all steps passed"
