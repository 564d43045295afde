part prune
mkdir -p "$dir/tree"
for n in a b c; do printf 'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: pruned-%s, labels: {tree: "yes"}}\ndata: {n: %s}\n' $n $n >"$dir/tree/$n.yaml"; done
works "apply a folder" k apply -f "$dir/tree"
works "another one's" k create configmap bystander
works "its label" k label configmap bystander tree=yes
rm "$dir/tree/c.yaml"
# By name of the kinds: the old one's own list has kinds that no current server has.
prune_kinds=--prune-allowlist=core/v1/ConfigMap
at_least 26 || prune_kinds=--prune-whitelist=core/v1/ConfigMap
says "prune, dry run" "configmap/pruned-c pruned (server dry run)" k apply --dry-run=server --prune -l tree=yes $prune_kinds -f "$dir/tree"
works "still there" k get configmap pruned-c
says "prune" "configmap/pruned-c pruned" k apply --prune -l tree=yes $prune_kinds -f "$dir/tree"
refuses "what was pruned" NotFound k get configmap pruned-c
prints "what is not its own stays" "$(printf 'configmap/%s\n' bystander pruned-a pruned-b)" k get configmaps -l tree=yes -o name
if at_least 27; then
  works "a set" env KUBECTL_APPLYSET=true timeout 90 "$PATH_TO_KUBECTL" -n "$ns" apply --applyset=tree --prune -f "$dir/tree/a.yaml" -f "$dir/tree/b.yaml"
  says "prune of a set" "configmap/pruned-b pruned" env KUBECTL_APPLYSET=true timeout 90 "$PATH_TO_KUBECTL" -n "$ns" apply --applyset=tree --prune -f "$dir/tree/a.yaml"
  says "the set's parent" "applyset.kubernetes.io/id" k get secret tree -o jsonpath='{.metadata.labels}'
fi

part server-side
printf 'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: declared}\ndata: {a: "1", b: "2"}\n' >"$dir/declared.yaml"
says "created" "configmap/declared serverside-applied" k apply --server-side -f "$dir/declared.yaml"
works "no difference" k diff --server-side -f "$dir/declared.yaml"
sed -i 's/, b: "2"//' "$dir/declared.yaml"
refuses "a difference" '-  b: "2"' k diff --server-side -f "$dir/declared.yaml"
says "given up" "serverside-applied" k apply --server-side -f "$dir/declared.yaml"
prints "given up" '{"a":"1"}' k get configmap declared -o jsonpath='{.data}'
sed 's/a: "1"/a: "9"/' "$dir/declared.yaml" >"$dir/other.yaml"
refuses "a conflict" 'conflict with "kubectl": .data.a' k apply --server-side --field-manager=other -f "$dir/other.yaml"
says "forced" "serverside-applied" k apply --server-side --field-manager=other --force-conflicts -f "$dir/other.yaml"
says "dry run" "configmap/declared serverside-applied (server dry run)" k apply --server-side --force-conflicts --dry-run=server -f "$dir/declared.yaml"
prints "after the dry run" 9 k get configmap declared -o jsonpath='{.data.a}'
if at_least 21; then
  prints "managers: the other one owned nothing else" "other" bash -c '"$PATH_TO_KUBECTL" -n "$ns" get configmap declared --show-managed-fields -o jsonpath="{.metadata.managedFields[*].manager}" | tr " " "\n" | sort | xargs'
  prints "managers are hidden" 0 bash -c '"$PATH_TO_KUBECTL" -n "$ns" get configmap declared -o yaml | grep -c managedFields || true'
fi

part last-applied
says "set" "configured" k apply set-last-applied --create-annotation -f "$dir/declared.yaml"
printf '#!/bin/sh\nsed -i "s/a: .*/a: \\"5\\"/" "$1"\n' >"$dir/editor-last"
chmod +x "$dir/editor-last"
says "edit" edited env EDITOR="$dir/editor-last" "$PATH_TO_KUBECTL" -n "$ns" apply edit-last-applied configmap/declared
says "edited" '"a": "5"' k apply view-last-applied configmap declared -o json

part "dry run"
says "create" "(server dry run)" k create configmap imagined --dry-run=server --from-literal=a=b
refuses "what was imagined" NotFound k get configmap imagined
refuses "a wrong one" "metadata.name" k create configmap Wrong_Name --dry-run=server
says "patch" "patched" k patch configmap declared --dry-run=server --type merge -p '{"data":{"a":"7"}}'
says "label" "labeled" k label configmap declared imagined=yes --dry-run=server
says "annotate" "annotated" k annotate configmap declared imagined=yes --dry-run=server
says "scale" "scaled" k scale deployment web --replicas=9 --dry-run=server
says "set image" "(server dry run)" k set image deployment/web web=registry.invalid/x:1 --dry-run=server
k get configmap declared -o json | sed 's/"a": "9"/"a": "8"/' >"$dir/imagined.json"
says "replace" "(server dry run)" k replace --dry-run=server -f "$dir/imagined.json"
says "delete" "(server dry run)" k delete configmap declared --dry-run=server
prints "nothing changed" 9 k get configmap declared -o jsonpath='{.data.a}{.metadata.labels.imagined}{.metadata.annotations.imagined}'

part lists
# What is asked for is what the flags mean, and a list in pieces holds everything once.
pieces() { "$PATH_TO_KUBECTL" -n "$ns" get configmaps --chunk-size=2 -o name -v=8 2>"$dir/pieces" | sort >"$dir/pieces.names"; }
pieces
k get configmaps --chunk-size=0 -o name | sort >"$dir/whole.names"
cmp -s "$dir/pieces.names" "$dir/whole.names" || problem "a list in pieces differs: $(diff "$dir/pieces.names" "$dir/whole.names")"
[ "$(grep -c 'GET.*configmaps?.*limit=2' "$dir/pieces")" -ge 3 ] || problem "the list was not cut"
grep -q 'GET.*continue=' "$dir/pieces" || problem "the list was not continued"
prints "field selector" "configmap/declared" k get configmaps --field-selector metadata.name=declared -o name
refuses "an unknown field" '"data.a" is not a known field selector' k get configmaps --field-selector data.a=1
prints "fields of another kind" "secret/s1" bash -c '"$PATH_TO_KUBECTL" -n "$ns" create secret generic s1 --type=example.com/t >/dev/null; "$PATH_TO_KUBECTL" -n "$ns" get secrets --field-selector type=example.com/t -o name'
prints "columns of a file" "$(printf 'NAME A\ndeclared 9')" bash -c 'printf "NAME A\nmetadata.name data.a\n" >"$1/columns"; "$PATH_TO_KUBECTL" -n "$ns" get configmap declared -o "custom-columns-file=$1/columns" | tr -s " "' - "$dir"
prints "columns without names" "declared   9" k get configmap declared --no-headers -o custom-columns=N:.metadata.name,A:.data.a
prints "jsonpath with a range" "a=9;" k get configmap declared -o jsonpath='{range .data}a={.a};{end}'
printf '{.kind}/{.metadata.name}' >"$dir/path"
prints "jsonpath of a file" ConfigMap/declared k get configmap declared -o "jsonpath-file=$dir/path"
says "several kinds" "secret/s1" k get configmaps,secrets -o name
says "by uid" "declared" k get configmaps --sort-by=.metadata.uid

part customization
mkdir -p "$dir/kustom"
printf 'resources: [base.yaml]\nnamePrefix: k-\nconfigMapGenerator: [{name: made, literals: [x=y]}]\n' >"$dir/kustom/kustomization.yaml"
cp "$dir/declared.yaml" "$dir/kustom/base.yaml"
says "apply -k" "configmap/k-declared created" k apply -k "$dir/kustom"
says "delete -k" 'configmap "k-declared" deleted' k delete -k "$dir/kustom"

part definitions
sed "s/NAME/$name/g" "$here/files/definition.yaml" >"$dir/definition.yaml"
says "a definition" created kubectl apply -f "$dir/definition.yaml"
works "wait" kubectl wait --for=condition=Established "crd/boats.$name.skerry.example" --timeout=60s
soon "its objects" k apply -f - <<<"{\"apiVersion\":\"$name.skerry.example/v1\",\"kind\":\"Boat\",\"metadata\":{\"name\":\"b\"},\"spec\":{\"mast\":2}}"
boat="{\"apiVersion\":\"$name.skerry.example/v1\",\"kind\":\"Boat\",\"metadata\":{\"name\":\"b\"},\"spec\":{\"mast\":3}}"
works "apply" k apply -f - <<<"$boat"
prints "columns" "b 3" bash -c '"$PATH_TO_KUBECTL" -n "$ns" get boats --no-headers | tr -s " " | cut -d" " -f1,2'
says "short name" boat. k get bt -o name
says "explain" "How many masts it has." kubectl explain boat.spec.mast
refuses "validation" "spec.mast" k patch boat b --type merge -p '{"spec":{"mast":-1}}'
refuses "a strategic patch" "" k patch boat b -p '{"spec":{"mast":4}}'
says "json patch" patched k patch boat b --type json -p '[{"op":"replace","path":"/spec/mast","value":4}]'
says "api-resources" "bt" kubectl api-resources --api-group="$name.skerry.example"
says "server side" serverside-applied k apply --server-side --force-conflicts -f - <<<"$boat"
works "the definition goes" kubectl delete -f "$dir/definition.yaml" --timeout=60s

part certificates
openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$dir/eve.key" -subj "/CN=eve-$name/O=visitors" -out "$dir/eve.csr" 2>/dev/null
printf 'apiVersion: certificates.k8s.io/v1\nkind: CertificateSigningRequest\nmetadata: {name: eve-%s}\nspec: {request: %s, signerName: kubernetes.io/kube-apiserver-client, usages: [client auth]}\n' \
  "$name" "$(base64 -w0 <"$dir/eve.csr")" >"$dir/csr.yaml"
works "request" kubectl create -f "$dir/csr.yaml"
says "approve" approved kubectl certificate approve "eve-$name"
issued() { [ -n "$(kubectl get csr "eve-$name" -o jsonpath='{.status.certificate}')" ]; }
soon "issued" issued
kubectl get csr "eve-$name" -o jsonpath='{.status.certificate}' | base64 -d >"$dir/eve.crt"
refuses "what eve may not" "User \"eve-$name\" cannot list resource \"pods\"" env -u KUBECONFIG timeout 90 "$PATH_TO_KUBECTL" --kubeconfig=/dev/null \
  --server="$(kubectl config view --raw -o jsonpath='{.clusters[0].cluster.server}')" --insecure-skip-tls-verify --client-certificate="$dir/eve.crt" --client-key="$dir/eve.key" get pods
works "done" kubectl delete csr "eve-$name"
