# Sourced by the tests of this folder: a control plane of their own on a free port.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
top=$(cd "$here/../.." && pwd)
skerry=${SKERRY:-$top/build/release/skerry}
work=$(mktemp -d)
port=$(python3 -c 'import socket; s=socket.socket(); s.bind(("127.0.0.1",0)); print(s.getsockname()[1])')
pid=
start_server() {
  : >"$work/log"
  "$skerry" start --runtime=none --data-dir "$work/data" --listen "127.0.0.1:$port" >>"$work/log" 2>&1 &
  pid=$!
  for _ in $(seq 200); do
    grep -q "is ready after" "$work/log" && return
    kill -0 $pid 2>/dev/null || break
    sleep 0.05
  done
  cat "$work/log" >&2
  exit 1
}
stop_server() {
  [ -z "$pid" ] || { kill "$pid" 2>/dev/null || true; wait "$pid" 2>/dev/null || true; pid=; }
}
finish() {
  local code=$?
  stop_server
  [ $code = 0 ] || tail -20 "$work/log" >&2
  rm -rf "$work"
  exit $code
}
trap finish EXIT
need() { # tool: a missing one is a visible skip for users and a failure in CI
  command -v "$1" >/dev/null && return
  echo "SKIPPED: $1 is not installed"
  [ "${CI:-}" != true ] || exit 1
  exit 0
}
# Restarts the server each time the program writes a line to the file: for informers that must survive it.
restart_on_request() {
  local file=$1 program=$2
  while kill -0 "$program" 2>/dev/null; do
    if [ -s "$file" ]; then
      : >"$file"
      stop_server
      start_server
    fi
    sleep 0.1
  done
}
