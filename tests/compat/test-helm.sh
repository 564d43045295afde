#!/usr/bin/env bash
# A chart of ours with a definition, hooks and a test, against the whole appliance with real containers: helm's library (3) and its program (4).
set -euo pipefail
cd "$(dirname "$0")/../.."
source tests/e2e/lib.sh
if [ -z "${SKERRY_E2E_INSIDE:-}" ]; then
  tests/compat/clients.sh helm helmlib || { code=$?; [ $code = 77 ] && [ "${CI:-}" != true ] && exit 0; exit 1; }
fi
hermetic bash "$0" "$@"
set_up_host
start_appliance
tests/e2e/sample/build-image.sh "$work/hello"
skopeo copy -q --dest-tls-verify=false "oci:$work/hello:hello:1" docker://127.0.0.1:5000/hello:1
chart=$PWD/tests/compat/helm/site

step "the library"
build/compat/helmlib "$KUBECONFIG" "$chart"

step "the program"
export HELM_NAMESPACE=helm-program HELM_CACHE_HOME=$work/helm HELM_CONFIG_HOME=$work/helm HELM_DATA_HOME=$work/helm
helm() { timeout 120 "$PWD/build/compat/helm" "$@"; }
k() { kubectl -n "$HELM_NAMESPACE" "$@"; }
has() { # WHAT TEXT COMMAND…
  local what=$1 text=$2 out
  shift 2
  out=$("$@" 2>&1) || fail "$what: $out"
  contains "$what" "$text" "$out"
}
lacks() { # WHAT TEXT COMMAND…: it fails and says why
  local what=$1 text=$2 out
  shift 2
  out=$("$@" 2>&1) && fail "$what was accepted: $out"
  contains "$what" "$text" "$out"
}
data() { k get configmap shop -o jsonpath="{.data.$1}"; }
has "lint" "0 chart(s) failed" helm lint "$chart"
helm package "$chart" -d "$work" >/dev/null
has "push into the registry" "charts/site:1.2.3" helm push "$work/site-1.2.3.tgz" oci://127.0.0.1:5000/charts --plain-http
has "show" "signs.helm.skerry.example" helm show crds oci://127.0.0.1:5000/charts/site --plain-http
has "template by the server" 'budgets: "true"' helm template shop "$chart" --dry-run=server
has "install from the registry" "STATUS: deployed" helm install shop oci://127.0.0.1:5000/charts/site --version 1.2.3 --plain-http --create-namespace --wait --timeout 90s
equal "applied by the server" Apply "$(k get configmap shop --show-managed-fields -o jsonpath='{.metadata.managedFields[?(@.manager=="helm")].operation}')"
has "the notes" "The site shop is red (revision 1)." helm status shop
has "list" '"chart":"site-1.2.3"' helm list -o json
has "test" "the site answers" helm test shop --logs --timeout 60s
has "upgrade" "REVISION: 2" helm upgrade --install shop "$chart" --set colour=green --set replicas=2 --set extra=false --wait --timeout 90s
equal "green" green "$(data colour)"
equal "both are ready" 2 "$(k get deployment shop -o jsonpath='{.status.readyReplicas}')"
lacks "what the chart has no more" NotFound k get configmap shop-extra
has "values" '{"colour":"green","extra":false,"replicas":2}' helm get values shop -o json
has "manifest" "kind: Sign" helm get manifest shop
has "hooks" "shop-prepare" helm get hooks shop
k apply --server-side --force-conflicts --field-manager=somebody -f - <<<'{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"shop"},"data":{"colour":"pink"}}' >/dev/null
lacks "an upgrade over somebody's field" 'conflict with "somebody": .data.colour' helm upgrade shop "$chart" --reuse-values --set colour=white --timeout 60s
has "a forced one" "STATUS: deployed" helm upgrade shop "$chart" --reuse-values --set colour=white --force-conflicts --timeout 60s
equal "white" white "$(data colour)"
lacks "an upgrade whose hook fails" "pre-upgrade hooks failed" helm upgrade shop "$chart" --set broken=true --rollback-on-failure --timeout 60s
equal "still white" white "$(data colour)"
has "an upgrade by the client" "STATUS: deployed" helm upgrade shop "$chart" --server-side=false --set colour=blue --wait --timeout 90s
equal "blue" blue "$(data colour)"
has "rollback" "Rollback was a success" helm rollback shop 1 --wait --timeout 90s
equal "red again" red "$(data colour)"
has "history" "Rollback to 1" helm history shop
has "uninstall" 'release "shop" uninstalled' helm uninstall shop --wait --cascade foreground --timeout 90s
lacks "the deployment" NotFound k get deployment shop
equal "no revision is left" "" "$(k get secrets -l owner=helm -o name)"
has "the definition stays" signs.helm kubectl get crd signs.helm.skerry.example -o name
equal "what the hook after the deletion makes, as rendered for the first revision" 1 "$(k get configmap shop-left -o jsonpath='{.data.revision}')"
"$skerry" stop --data-dir "$work/data"
echo "helm: ok"
