part delete
works "orphans" k delete deployment web --cascade=orphan
says "what is orphaned stays" "web-" k get replicasets
works "replica sets" k delete replicasets --all --cascade=foreground
works "forced" k delete pods --all --grace-period=0 --force
says "by file" 'configmap "settings" deleted' k delete -f "$here/files/web.yaml" --ignore-not-found
says "by label" "No resources found" k delete configmaps -l nothing=here
refuses "not found" NotFound k delete configmap absent
works "namespace" kubectl delete namespace "$ns" --timeout=80s
refuses "the namespace" NotFound kubectl get namespace "$ns"
