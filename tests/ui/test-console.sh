#!/usr/bin/env bash
# The console in a real browser: its unit tests, then a person who logs in, watches pods come and go, reads logs that follow, loses the
# connection and gets it back, may see little or nothing, and uses the keyboard alone.
#   SHOTS=DIR   also writes pictures of the pages there, to be looked at
set -euo pipefail
cd "$(dirname "$0")/../.."
source tests/e2e/lib.sh
if [ -z "${SKERRY_E2E_INSIDE:-}" ]; then
  chromium=$(command -v chromium || true)
  [ -n "$chromium" ] || { [ -z "${CI:-}" ] || { echo "chromium is missing: vagrant/provision.sh test" >&2; exit 1; }; echo "SKIPPED: no chromium (vagrant/provision.sh test installs it)"; exit 0; }
  node ui-static/build.mjs --test >/tmp/skerry-console-unit.$$ 2>&1 || { cat /tmp/skerry-console-unit.$$; rm -f /tmp/skerry-console-unit.$$; exit 1; }
  grep -E '^# (tests|pass|fail) ' /tmp/skerry-console-unit.$$ && rm -f /tmp/skerry-console-unit.$$
  tests/e2e/sample/build-image.sh "${image:=$(mktemp -d)}/hello"
  export SKERRY_UI_IMAGE=$image
  trap 'rm -rf "$image"' EXIT
fi
hermetic bash "$0" "$@"
set_up_host
start_appliance --runtime auto
skopeo copy -q --dest-tls-verify=false "oci:$SKERRY_UI_IMAGE/hello:hello:1" docker://127.0.0.1:5000/hello:1
kubectl create namespace shop >/dev/null
kubectl create serviceaccount viewer -n shop >/dev/null
kubectl create rolebinding viewer -n shop --clusterrole=view --serviceaccount=shop:viewer >/dev/null
export SKERRY_BIN=$skerry DATA_DIR=$work/data WORK=$work APPLIANCE_LOG=$work/log
# The browser's side asks for a restart by a file, and waits for its answer.
serve_restarts() {
  while [ ! -e "$work/done" ]; do
    if [ -e "$work/kill" ]; then
      kill -9 "$appliance"
      while kill -0 "$appliance" 2>/dev/null; do sleep 0.02; done
      mv "$work/kill" "$work/killed"
    fi
    if [ -e "$work/start" ]; then
      start_appliance --runtime auto
      mv "$work/start" "$work/started"
    fi
    sleep 0.05
  done
}
{ node tests/ui/console.mjs && touch "$work/passed" || true; touch "$work/done"; } &
serve_restarts
[ -e "$work/passed" ] || fail "the browser's side failed"
echo "console: all steps passed"
