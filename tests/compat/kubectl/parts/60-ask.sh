part describe
pod=$(field pods '{.items[?(@.metadata.labels.app=="web")].metadata.name}' | awk '{print $1}')
for text in "Successfully assigned $ns/$pod" "Started container web" "Readiness:" "Ready             True" "kube-api-access-"; do says "pod" "$text" k describe pod "$pod"; done
says "deployment" "NewReplicaSet:" k describe deployment web
says "service" "Endpoints:" k describe service web
says "node" "Allocated resources:" kubectl describe node
says "node" "containerRuntimeVersion: skerry-oci://" kubectl get node -o yaml
says "namespace" "Resource Quotas" kubectl describe namespace "$ns"
says "secret hides" "password:  4 bytes" k describe secret s
says "ingress" "$name.apps.localhost" k describe ingress site
says "events" "Scheduled" k get events
at_least 23 && says "events verb" "Scheduled" k events

part discovery
for text in "deployments" "horizontalpodautoscalers" "routes"; do says "api-resources" "$text" kubectl api-resources; done
prints "api-resources by verb" "pods" bash -c '"$PATH_TO_KUBECTL" api-resources --namespaced --verbs=list,watch,patch --api-group="" -o name | grep -x pods'
says "api-versions" "apps/v1" kubectl api-versions
says "explain" "FIELDS:" kubectl explain pod
says "explain deep" "imagePullPolicy <string>" kubectl explain deployment.spec.template.spec.containers.imagePullPolicy
says "explain recursive" "readinessProbe" kubectl explain pod.spec --recursive
says "explain of a version" "rules" kubectl explain ingress.spec --api-version=networking.k8s.io/v1
refuses "explain of nothing" 'field "nothing" does not exist' kubectl explain pod.spec.nothing
at_least 27 && says "explain by OpenAPI v2" "restartPolicy" kubectl explain pod.spec --output=plaintext-openapiv2
says "api-resources, wide" "patch" kubectl api-resources -o wide --sort-by=kind
prints "api-resources of the cluster" "nodes" bash -c '"$PATH_TO_KUBECTL" api-resources --namespaced=false -o name | grep -x nodes'
says "version" "Server Version" kubectl version
says "cluster-info" "is running at" kubectl cluster-info

part auth
prints "can-i" yes kubectl auth can-i delete nodes
prints "can-i as another" yes k auth can-i list pods --as="system:serviceaccount:$ns:robot"
out=$(k auth can-i delete pods --as="system:serviceaccount:$ns:robot" 2>/dev/null)
[ "$out" = no ] || problem "can-i of what is not allowed: $out"
says "can-i --list" "pods" k auth can-i --list --as="system:serviceaccount:$ns:robot"
refuses "what is not allowed" 'cannot delete resource "pods" in API group ""' k delete pod "$pod" --as="system:serviceaccount:$ns:robot"
says "reconcile" "rbac.authorization.k8s.io/extra reconciled" k auth reconcile -f - <<<"{\"apiVersion\":\"rbac.authorization.k8s.io/v1\",\"kind\":\"Role\",\"metadata\":{\"name\":\"extra\",\"namespace\":\"$ns\"},\"rules\":[{\"apiGroups\":[\"\"],\"resources\":[\"pods\"],\"verbs\":[\"get\"]}]}"
if at_least 24; then
  token=$(k create token robot --duration=10m) || problem "create token"
  server=$(kubectl config view --raw -o jsonpath='{.clusters[0].cluster.server}')
  kubectl config view --raw -o jsonpath='{.clusters[0].cluster.certificate-authority-data}' | base64 -d >"$dir/ca"
  robot() { env -u KUBECONFIG "$PATH_TO_KUBECTL" --kubeconfig=/dev/null --server="$server" --certificate-authority="$dir/ca" --token="$token" -n "$ns" "$@"; }
  says "with the token" "$pod" robot get pods
  refuses "with the token" "system:serviceaccount:$ns:robot" robot get secrets
fi
at_least 28 && says "whoami" "kubernetes-admin" kubectl auth whoami
prints "can-i of a subresource" yes kubectl auth can-i get pods --subresource=log -n "$ns"
prints "can-i of a path" yes kubectl auth can-i get /healthz
k auth can-i list secrets --as="system:serviceaccount:$ns:robot" --quiet && problem "can-i --quiet of what is not allowed"
if at_least 24; then
  prints "a token's life" 7200 bash -c 'part=$("$PATH_TO_KUBECTL" -n "$ns" create token robot --duration=2h | cut -d. -f2 | tr _- /+); printf "%s%s" "$part" "$(printf "%$(((4 - ${#part} % 4) % 4))s" | tr " " =)" | base64 -d | jq ".exp - .iat"'
  says "a token for somebody" "" k create token robot --audience=somebody --bound-object-kind=Pod --bound-object-name="$pod"
  refuses "a token bound to nothing" "not found" k create token robot --bound-object-kind=Pod --bound-object-name=absent
fi

part wait
works "condition" k wait --for=condition=Available deployment/web --timeout=60s
works "job" k wait --for=condition=Complete job/once --timeout=60s
at_least 23 && works "jsonpath" k wait --for=jsonpath='{.status.phase}'=Running "pod/$pod" --timeout=60s
at_least 31 && works "what is there already" k wait --for=create deployment/web --timeout=60s
works "several" k wait --for=condition=Ready pods -l app=web --timeout=60s
refuses "in vain" "timed out waiting" k wait --for=condition=Nothing deployment/web --timeout=1s
k create configmap leaving >/dev/null
# The waiter must have seen the object before it goes; its own trace tells.
k wait --for=delete configmap/leaving --timeout=60s -v=6 >"$dir/wait-delete" 2>&1 &
waiter=$!
soon "the waiter looks" grep -q 'configmaps/leaving.*200' "$dir/wait-delete"
works "delete" k delete configmap leaving
wait $waiter || problem "wait for a deletion: $(cat "$dir/wait-delete")"

part node
node=$(kubectl get nodes -o jsonpath='{.items[0].metadata.name}')
works "cordon" kubectl cordon "$node"
says "cordoned" SchedulingDisabled kubectl get nodes
works "uncordon" kubectl uncordon "$node"
works "taint" kubectl taint node "$node" key=value:PreferNoSchedule
works "untaint" kubectl taint node "$node" key-
# The old one asks for a version of custom resource definitions that is gone from every current server.
at_least 22 && says "drain dry run" "(server dry run)" kubectl drain "$node" --ignore-daemonsets --delete-emptydir-data --force --dry-run=server --pod-selector=app=web
at_least 25 && says "debug" "Defaulting debug container name" k debug "$pod" --image=127.0.0.1:5000/hello:1 --target=web -- true
