#!/usr/bin/env bash
# Two kubectls against the whole appliance with real containers: Debian's (1.20) and a current one. KUBECTLS="name=path …" runs others.
set -euo pipefail
cd "$(dirname "$0")/../.."
source tests/e2e/lib.sh
clients=$PWD/build/compat
if [ -z "${SKERRY_E2E_INSIDE:-}" ] && [ -z "${KUBECTLS:-}" ]; then
  tests/compat/clients.sh kubectl-debian kubectl-current || { code=$?; [ $code = 77 ] && [ "${CI:-}" != true ] && exit 0; exit 1; }
fi
hermetic bash "$0" "$@"
set_up_host
kubectls=${KUBECTLS:-debian=$clients/kubectl-debian current=$clients/kubectl-current}
start_appliance
tests/e2e/sample/build-image.sh "$work/hello"
skopeo copy -q --dest-tls-verify=false "oci:$work/hello:hello:1" docker://127.0.0.1:5000/hello:1
failed=()
for entry in $kubectls; do
  name=${entry%%=*} binary=${entry#*=}
  step "kubectl $name: $("$binary" version --client 2>/dev/null | grep -o 'v1\.[0-9.]*' | head -1)"
  begin=$SECONDS
  mkdir -p "$work/$name"
  PATH_TO_KUBECTL=$binary tests/compat/kubectl/suite.sh "$name" "$work/$name" || failed+=("$name")
  echo "kubectl $name: $((SECONDS - begin)) s"
done
[ ${#failed[@]} = 0 ] || fail "these kubectls are not content: ${failed[*]}"
"$skerry" stop --data-dir "$work/data"
echo "kubectl: all suites passed"
