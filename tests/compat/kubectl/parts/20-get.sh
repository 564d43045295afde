part get
pod=$(field pods '{.items[0].metadata.name}')
says "get" "1/1" k get deployment web
says "wide" "app=web" k get deployment web -o wide
says "pods wide" "$(hostname)" k get pods -o wide
prints "name" "pod/$pod" k get pods -l app=web -o name
prints "jsonpath range" "web:web" k get deployment,service -l app=web -o jsonpath='{.items[0].metadata.name}:{.items[1].metadata.name}'
prints "jsonpath filter" 8080 k get pod "$pod" -o jsonpath='{.spec.containers[?(@.name=="web")].ports[0].containerPort}'
prints "go-template" web k get deployment web -o go-template='{{.metadata.name}}'
prints "custom columns" "$(printf 'NAME   COLOUR\nsettings   green' | column -t | sed 's/  */ /')" bash -c '"$PATH_TO_KUBECTL" -n "$ns" get configmap settings -o custom-columns=NAME:.metadata.name,COLOUR:.data.colour | sed "s/  */ /"'
says "yaml" "colour: green" k get configmap settings -o yaml
says "json" '"colour": "green"' k get configmap settings -o json
prints "field selector" "pod/$pod" k get pods --field-selector "metadata.name=$pod,status.phase=Running" -o name
prints "negative selector" "" k get pods -l 'app notin (web)' -o name
says "show-labels" "app=web,tier=front" k get deployment web --show-labels
says "label columns" front k get deployment web -L tier
says "all" "replicaset.apps/web-" k get all
for i in 1 2 3 4 5; do works "create for chunks" k create configmap "chunk-$i" --from-literal=i=$i; done
prints "chunks" "5 4 3 2 1 " bash -c '"$PATH_TO_KUBECTL" -n "$ns" get configmaps --chunk-size=2 --sort-by=.metadata.name -o jsonpath="{range .items[*]}{.data.i}{\"\\n\"}{end}" | grep . | sort -r | head -5 | tr "\n" " "'
prints "sorted by creation" "configmap/chunk-5" bash -c '"$PATH_TO_KUBECTL" -n "$ns" get configmaps --sort-by=.metadata.creationTimestamp -o name | grep chunk | sort | tail -1'
says "all namespaces" kube-system kubectl get serviceaccounts -A
says "raw" '"gitVersion"' kubectl get --raw /version
says "raw list" '"kind":"PodList"' kubectl get --raw "/api/v1/namespaces/$ns/pods"
prints "raw health" ok kubectl get --raw /readyz
prints "ignore-not-found" "" k get configmap absent --ignore-not-found
refuses "not found" 'configmaps "absent" not found' k get configmap absent
refuses "unknown resource" "the server doesn't have a resource type \"nothings\"" k get nothings
says "node" Ready kubectl get nodes
says "component of another group" "web" k get endpointslices

part watch
k get configmaps -w --no-headers >"$dir/watch" 2>&1 &
background+=($!)
soon "the watch shows what there is" grep -q settings "$dir/watch"
works "create" k create configmap watched --from-literal=a=b
soon "the watch shows what is new" grep -q watched "$dir/watch"
k get pods -w --output-watch-events >"$dir/watch-pods" 2>&1 &
background+=($!)
soon "the watch of pods shows what there is" grep -q "ADDED.*$pod" "$dir/watch-pods"
works "delete the pod" k delete pod "$pod"
soon "the watch shows the deletion" grep -q "DELETED.*$pod" "$dir/watch-pods"
soon "the watch shows the successor" bash -c "grep ADDED '$dir/watch-pods' | grep -qv $pod"
works "rollout status" k rollout status deployment web --timeout=60s
