#!/usr/bin/env bash
# Who gets in, what is written down, what lies on the disk: certificate requests, the audit log, sealed Secrets and their keys, quotas that
# are counted again, issuers of tokens, static tokens, authorization modes. A control plane without a node.
set -euo pipefail
cd "$(dirname "$0")/../.."
source tests/e2e/lib.sh
hermetic bash "$0" "$@"
set_up_host

stop_appliance() {
  kill "$appliance"
  await 30 gone "$appliance"
}
as() { kubectl --kubeconfig "$work/$1.kubeconfig" "${@:2}"; }
on_disk() { grep -rqaF -- "$1" "$work/data/state"; }

cat >"$work/audit.yaml" <<Y
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- {level: RequestResponse, resources: [{group: "", resources: [secrets]}]}
- {level: Metadata, verbs: [create, delete]}
Y
printf 'plain-token-of-ann,ann,uid-1,"team-a,team-b"\n' >"$work/tokens.csv"

step "audit log, static tokens, plug-ins by name"
start_appliance --runtime none --log-level warn --audit-policy-file "$work/audit.yaml" --audit-log-path "$work/audit/log.json" --token-auth-file "$work/tokens.csv" \
  --enable-admission-plugins AlwaysPullImages --disable-admission-plugins DefaultTolerationSeconds
kubectl create namespace a
kubectl create secret generic s -n a --from-literal=password=Sw0rdfishSw0rdfish
grep -q '"verb":"create".*"resource":"secrets"' "$work/audit/log.json" || fail "the audit log does not have the secret's creation"
if grep -qF "$(printf Sw0rdfishSw0rdfish | base64)" "$work/audit/log.json"; then fail "the audit log holds the secret"; fi
contains "the static token's user" '"username":"ann"' "$(curl -A test -sk -H 'Authorization: Bearer plain-token-of-ann' -H 'Content-Type: application/json' \
  -d '{"apiVersion":"authentication.k8s.io/v1","kind":"SelfSubjectReview"}' https://127.0.0.1:6443/apis/authentication.k8s.io/v1/selfsubjectreviews)"
kubectl apply -f - <<'Y'
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: {name: sizes}
spec:
  matchConstraints: {resourceRules: [{apiGroups: [""], apiVersions: [v1], operations: [CREATE], resources: [configmaps]}]}
  auditAnnotations: [{key: entries, valueExpression: "'entries: ' + string(size(object.data))"}]
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata: {name: sizes}
spec: {policyName: sizes, validationActions: [Audit]}
Y
recorded() {
  kubectl create configmap "sized-$((++sized))" --from-literal=x=1 --from-literal=y=2
  grep -q '"sizes/entries":"entries: 2"' "$work/audit/log.json"
}
sized=0
await 20 recorded
kubectl delete validatingadmissionpolicybindings,validatingadmissionpolicies sizes
kubectl create serviceaccount default -n a 2>/dev/null || true
await 10 kubectl get serviceaccount default -n a
kubectl run p -n a --image=registry.example/x:1 --restart=Never
equal "the pull policy" Always "$(kubectl get pod p -n a -o jsonpath='{.spec.containers[0].imagePullPolicy}')"
equal "tolerations" "" "$(kubectl get pod p -n a -o jsonpath='{.spec.tolerations}')"

step "answers name their priority level"
level=$(kubectl get prioritylevelconfiguration global-default -o jsonpath='{.metadata.uid}')
curl -ski -H 'Authorization: Bearer plain-token-of-ann' https://127.0.0.1:6443/api/v1/namespaces/default/pods | found -i "^X-Kubernetes-Pf-Prioritylevel-Uid: $level" || fail "no header names the priority level"
there() { [ "$(kubectl get flowschema catch-all -o jsonpath='{.status.conditions[0].type}={.status.conditions[0].status}')" = Dangling=False ]; }
await 10 there

step "a certificate request is approved, signed and lets its holder in"
openssl ecparam -name prime256v1 -genkey -noout -out "$work/jane.key"
openssl req -new -key "$work/jane.key" -subj "/CN=jane/O=dev" -out "$work/jane.csr"
kubectl apply -f - <<Y
apiVersion: certificates.k8s.io/v1
kind: CertificateSigningRequest
metadata: {name: jane}
spec: {request: $(base64 -w0 <"$work/jane.csr"), signerName: kubernetes.io/kube-apiserver-client, usages: [client auth], expirationSeconds: 3600}
Y
kubectl certificate approve jane
certificate() { kubectl get csr jane -o jsonpath='{.status.certificate}' | found .; }
await 10 certificate
kubectl get csr jane -o jsonpath='{.status.certificate}' | base64 -d >"$work/jane.crt"
kubectl config view --raw -o json | python3 -c "
import json,sys
c=json.load(sys.stdin); c['users'][0]['user']={'client-certificate':'$work/jane.crt','client-key':'$work/jane.key'}
json.dump(c,open('$work/jane.kubeconfig','w'))"
contains "jane" "jane" "$(as jane auth whoami)"
if as jane get pods 2>"$work/refused"; then fail "jane reads pods without a role"; fi
contains "the refusal" 'User "jane" cannot list resource "pods"' "$(cat "$work/refused")"

step "an agent's request is approved by itself"
openssl req -new -key "$work/jane.key" -subj "/O=system:nodes/CN=system:node:n9" -out "$work/node.csr"
kubectl create clusterrolebinding agents --clusterrole=system:certificates.k8s.io:certificatesigningrequests:nodeclient --group=system:bootstrappers
kubectl create clusterrolebinding bootstrappers --clusterrole=system:node-bootstrapper --group=system:bootstrappers
kubectl apply --as=system:bootstrap:abcdef --as-group=system:bootstrappers --as-group=system:authenticated --validate=false -f - <<Y
apiVersion: certificates.k8s.io/v1
kind: CertificateSigningRequest
metadata: {name: n9}
spec: {request: $(base64 -w0 <"$work/node.csr"), signerName: kubernetes.io/kube-apiserver-client-kubelet, usages: [client auth, digital signature]}
Y
node_certificate() { kubectl get csr n9 -o jsonpath='{.status.certificate}' | found .; }
await 10 node_certificate
contains "its conditions" AutoApproved "$(kubectl get csr n9 -o jsonpath='{.status.conditions}')"

step "a bootstrap token lets in as long as its Secret is there"
kubectl create secret generic bootstrap-token-abc123 -n kube-system --type=bootstrap.kubernetes.io/token --from-literal=token-id=abc123 --from-literal=token-secret=0123456789abcdef \
  --from-literal=usage-bootstrap-authentication=true
whoami() { curl -sk -H "Authorization: Bearer $1" -H 'Content-Type: application/json' -d '{"apiVersion":"authentication.k8s.io/v1","kind":"SelfSubjectReview"}' \
  https://127.0.0.1:6443/apis/authentication.k8s.io/v1/selfsubjectreviews; }
contains "the token's user" system:bootstrap:abc123 "$(whoami abc123.0123456789abcdef)"
kubectl delete secret bootstrap-token-abc123 -n kube-system
contains "without its Secret" Unauthorized "$(whoami abc123.0123456789abcdef)"

step "a quota is counted, and counted again when something goes"
kubectl create quota q -n a --hard=configmaps=4,pods=2,count/secrets=5
counted() { [ "$(kubectl get quota q -n a -o jsonpath="{.status.used.$1}")" = "$2" ]; }
await 10 counted configmaps 2
kubectl create configmap one -n a
kubectl create configmap two -n a
if kubectl create configmap three -n a 2>"$work/refused"; then fail "the quota gave too much"; fi
contains "the refusal" "exceeded quota: q, requested: configmaps=1, used: configmaps=4, limited: configmaps=4" "$(cat "$work/refused")"
kubectl delete configmap one -n a
await 10 counted configmaps 3
kubectl create configmap three -n a
counted configmaps 4 || fail "the count after all: $(kubectl get quota q -n a -o yaml)"

step "Secrets are sealed on disk, and sealed again when keys change"
stop_appliance
if on_disk "$(printf Sw0rdfishSw0rdfish | base64)"; then fail "the Secret lies on the disk as it is"; fi
on_disk skerry-local || fail "nothing is sealed with our own key"
key() { head -c 32 /dev/urandom | base64 -w0; }
k1=$(key)
config() { printf 'apiVersion: apiserver.config.k8s.io/v1\nkind: EncryptionConfiguration\nresources:\n- resources: [secrets, configmaps]\n  providers: %s\n' "$1" >"$work/encryption.yaml"; }
config "[{aesgcm: {keys: [{name: first, secret: $k1}]}}, {identity: {}}]"
start_appliance --runtime none --log-level info --encryption-provider-config "$work/encryption.yaml"
contains "the log" "records sealed again" "$(cat "$work/log")"
equal "the Secret" "$(printf Sw0rdfishSw0rdfish | base64)" "$(kubectl get secret s -n a -o jsonpath='{.data.password}')"
stop_appliance
config "[{aesgcm: {keys: [{name: second, secret: $(key)}, {name: first, secret: $k1}]}}]"
start_appliance --runtime none --log-level info --encryption-provider-config "$work/encryption.yaml"
contains "the log" "records sealed again" "$(cat "$work/log")"
stop_appliance
sed -i 's/, {name: first[^}]*}//' "$work/encryption.yaml"
start_appliance --runtime none --log-level info --encryption-provider-config "$work/encryption.yaml"
equal "the Secret without the old key" "$(printf Sw0rdfishSw0rdfish | base64)" "$(kubectl get secret s -n a -o jsonpath='{.data.password}')"
stop_appliance
config "[{aesgcm: {keys: [{name: third, secret: $(key)}]}}]"
if "$skerry" start --runtime=none --data-dir "$work/data" --listen 127.0.0.1:6443 --encryption-provider-config "$work/encryption.yaml" >"$work/refused" 2>&1; then fail "it started without the key"; fi
contains "the reason" 'sealed with the key "second"' "$(cat "$work/refused")"

step "flags that cannot be meant are refused"
refused() {
  if "$skerry" start --runtime=none --data-dir "$work/other" --listen 127.0.0.1:6443 "${@:2}" >"$work/refused" 2>&1; then fail "accepted: ${*:2}"; fi
  contains "${*:2}" "$1" "$(cat "$work/refused")"
}
refused "admission plugin \"Nope\" is unknown" --enable-admission-plugins Nope
refused "authorization mode \"Nope\"" --authorization-mode RBAC,Nope
refused "unrecognized feature gate: Nope" --feature-gates Nope=true
refused "need each other" --audit-log-path /x
refused "--max-requests-inflight=many" --max-requests-inflight many
echo "access: all steps passed"
