part top
node=$(kubectl get nodes -o jsonpath='{.items[0].metadata.name}')
says "nodes" "$node" kubectl top node
says "nodes by label" "$node" kubectl top node -l "kubernetes.io/hostname=$node"
used() { k top pod "$@" --no-headers 2>"$dir/stderr" | awk '{print $1, $2 ~ /^[0-9]+m$/, $3 ~ /^[0-9]+Mi$/}'; }
prints "pods by label" "$(k get pods -l app=web -o jsonpath='{.items[0].metadata.name}') 1 1" used -l app=web
says "containers" web k top pod --containers -l app=web
says "every namespace" "$ns" kubectl top pod -A
at_least 22 && says "the sum" "________" k top pod --sum
