#!/usr/bin/env bash
# Starts the appliance (unless it runs), deploys the sample and shows where it answers. `make run` calls it.
#   DATA_DIR, LISTEN, REGISTRY, HTTP, HTTPS, RUNTIME: other places than the defaults (tests use them)
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
skerry=${SKERRY:-$here/../../build/release/skerry}
data=${DATA_DIR:-/var/lib/skerry}
registry=${REGISTRY:-127.0.0.1:5000}
http=${HTTP:-0.0.0.0:80}
flags=(--data-dir "$data" --listen "${LISTEN:-0.0.0.0:6443}" --registry-listen "$registry" --router-http "$http" --router-https "${HTTPS:-0.0.0.0:443}" --runtime "${RUNTIME:-auto}")
[ -z "${DOCKER_SOCKET:-}" ] || flags+=(--docker-socket "$DOCKER_SOCKET")
[ "$(id -u)" = 0 ] || { echo "run it with sudo: containers need root" >&2; exit 1; }

layout=$(mktemp -d)
trap 'rm -rf "$layout"' EXIT
"$here/sample/build-image.sh" "$layout/hello"

log=${LOG:-/var/log/skerry.log}
begin=$(date +%s%N)
if "$skerry" status --data-dir "$data" >/dev/null; then
  echo "skerry runs already"
else
  : >"$log"
  setsid "$skerry" start "${flags[@]}" >"$log" 2>&1 </dev/null &
  pid=$!
  for _ in $(seq 300); do
    grep -q "is ready after" "$log" && break
    kill -0 $pid 2>/dev/null || { cat "$log" >&2; exit 1; }
    sleep 0.05
  done
  cat "$log"
fi
export KUBECONFIG=$layout/kubeconfig
"$skerry" kubeconfig --data-dir "$data" >"$KUBECONFIG"
skopeo copy -q --dest-tls-verify=false "oci:$layout/hello:hello:1" "docker://$registry/hello:1"
sed "s|127.0.0.1:5000/|$registry/|" "$here/sample/hello.yaml" | kubectl apply -f -
port=${http##*:}
for _ in $(seq 600); do
  answer=$(curl -s --max-time 2 -H "Host: hello.apps.localhost" "http://127.0.0.1:$port/" || true)
  case $answer in hello*) break ;; esac
  sleep 0.05
done
end=$(date +%s%N)
case $answer in
  hello*) echo "$answer" ;;
  *) echo "the sample did not answer:" >&2; kubectl get pods,events >&2; tail -20 "$log" >&2; exit 1 ;;
esac
echo "start to answered request: $(((end - begin) / 1000000)) ms"
echo
echo "  http://hello.apps.localhost$([ "$port" = 80 ] || echo ":$port")/   (Ingress)"
echo "  https://hello-route.apps.localhost$([ "${HTTPS:-:443}" = :443 ] || [ "${HTTPS##*:}" = 443 ] || echo ":${HTTPS##*:}")/   (Route)"
# A link that logs in is for a person, not for a log.
[ ! -t 1 ] || echo "  $("$skerry" console --data-dir "$data")   (the console; this link opens once)"
