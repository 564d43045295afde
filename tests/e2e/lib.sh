# Sourced by the end-to-end tests. `hermetic "$0" "$@"` runs the script again in its own network, mount and process namespaces: it meets no
# other instance, its ports are free, and whatever it leaves running dies with it. Wants root.
hermetic() {
  [ -z "${SKERRY_E2E_INSIDE:-}" ] || return 0
  [ "$(id -u)" = 0 ] || { echo "end-to-end tests need root" >&2; exit 1; }
  work=$(mktemp -d "${TMPDIR:-/tmp}/skerry-e2e.XXXXXX")
  local code=0
  SKERRY_E2E_INSIDE=$work timeout --kill-after=10 "${E2E_SECONDS:-600}" unshare --net --mount --pid --fork --kill-child --mount-proc "$@" || code=$?
  if [ $code = 0 ]; then rm -rf "$work"; else echo "left for inspection: $work" >&2; fi
  exit $code
}

# A host with one link to the outside, as far as the appliance can tell.
set_up_host() {
  work=$SKERRY_E2E_INSIDE
  export HOME=$work KUBECONFIG=$work/data/kubeconfig
  skerry=${SKERRY:-$PWD/build/release/skerry}
  ip link set lo up
  ip link add uplink type veth peer name outside
  for link in uplink outside; do echo 1 >/proc/sys/net/ipv6/conf/$link/disable_ipv6; done   # its addresses would appear some time later
  ip link set outside up
  ip addr add 192.0.2.10/24 dev uplink
  ip link set uplink up
  ip route add default via 192.0.2.1
}

# An engine of our own: no other container is met, and it goes with the process namespace.
runtime=${RUNTIME:-oci}
docker_socket=
start_dockerd() {
  command -v dockerd >/dev/null || { echo "SKIPPED: dockerd is not installed"; [ "${CI:-}" != true ] || exit 1; exit 0; }
  docker_socket=$work/docker.sock
  export DOCKER_HOST=unix://$docker_socket
  dockerd -H "$DOCKER_HOST" -p "$work/dockerd.pid" --data-root "$work/docker" --exec-root "$work/docker-exec" >"$work/dockerd.log" 2>&1 </dev/null &
  await 60 docker version
}

step() { echo "-- $*"; }

fail() {
  echo "FAILED: $*" >&2
  [ ! -e "$work/log" ] || tail -30 "$work/log" >&2
  [ ! -e "$KUBECONFIG" ] || kubectl get pods,events -A >&2 || true
  exit 1
}

# await SECONDS COMMAND...: until it succeeds
await() {
  local end=$((SECONDS + $1))
  shift
  until "$@" >/dev/null 2>&1; do
    [ $SECONDS -lt $end ] || fail "not in time: $*"
    sleep 0.1
  done
}

equal() { [ "$2" = "$3" ] || fail "$1: expected \"$2\", got \"$3\""; }
found() { grep "$@" >/dev/null; }   # at the end of a pipe; unlike grep -q it reads all: a reader that leaves early fails the writer
contains() { grep -qF -- "$2" <<<"$3" || fail "$1: \"$2\" is not in: $3"; }

start_appliance() {
  : >"$work/log"   # before anything looks for the line of readiness: that of an earlier start must not be found
  setsid "$skerry" start --data-dir "$work/data" --listen 127.0.0.1:6443 --registry-listen 127.0.0.1:5000 --router-http 127.0.0.1:80 \
    --router-https 127.0.0.1:443 --runtime "$runtime" --docker-socket "$docker_socket" "$@" >"$work/log" 2>&1 </dev/null &
  appliance=$!
  await 60 ready_or_dead
  kill -0 "$appliance" 2>/dev/null || fail "the appliance did not start"
}
ready_or_dead() { grep -q "is ready after" "$work/log" || gone "$appliance"; }
gone() { ! kill -0 "$1" 2>/dev/null; }
