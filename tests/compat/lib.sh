# Sourced by the tests of this folder: a control plane of their own on a free port.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
top=$(cd "$here/../.." && pwd)
clients=$top/build/compat
skerry=${SKERRY:-$top/build/release/skerry}
work=$(mktemp -d)
pid=
start_server() { # address: 127.0.0.1:0 at first, then the one it had
  : >"$work/log"
  "$skerry" start --runtime=none --data-dir "$work/data" --listen "$1" >>"$work/log" 2>&1 &
  pid=$!
  for _ in $(seq 600); do
    if grep -q "is ready after" "$work/log"; then
      address=$(cat "$work/data/run/api-address")
      return
    fi
    kill -0 $pid 2>/dev/null || break
    sleep 0.05
  done
  cat "$work/log" >&2
  exit 1
}
stop_server() { # signal: TERM if not told
  [ -z "$pid" ] || { kill -"${1:-TERM}" "$pid" 2>/dev/null || true; wait "$pid" 2>/dev/null || true; pid=; }
}
finish() {
  local code=$?
  stop_server
  [ $code = 0 ] || tail -20 "$work/log" >&2
  rm -rf "$work"
  exit $code
}
trap finish EXIT
prepare() { # client: one that cannot be had is a visible skip for users and a failure in CI
  local code=0
  "$here/clients.sh" "$1" || code=$?
  [ $code != 77 ] || [ "${CI:-}" = true ] || exit 0
  [ $code = 0 ] || exit 1
}
# Runs a program with a kubeconfig and a file. When it writes to the file, the server is stopped (or killed, if that is the word), started
# again at its address, and FILE.done appears: informers must survive that.
run_with_restart() {
  local program code=0
  touch "$work/restart"
  rm -f "$work/restart.done"
  "${@//@KUBECONFIG@/$work/data/kubeconfig}" &
  program=$!
  while kill -0 "$program" 2>/dev/null; do
    if [ -s "$work/restart" ]; then
      local signal=TERM
      ! grep -q kill "$work/restart" || signal=KILL
      : >"$work/restart"
      stop_server $signal
      start_server "$address"
      touch "$work/restart.done"
    fi
    sleep 0.05
  done
  wait "$program" || code=$?
  [ $code = 0 ] && [ ! -e "$work/restart.done" ] && { echo "the program never asked for a restart" >&2; code=1; }
  return $code
}
