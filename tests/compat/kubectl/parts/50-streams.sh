part streams
pod=$(field pods '{.items[?(@.metadata.labels.app=="web")].metadata.name}' | awk '{print $1}')
works "ready" k wait --for=condition=Ready "pod/$pod" --timeout=60s
prints "logs" "serving as $pod" k logs "$pod"
prints "logs of a deployment" "serving as $pod" bash -c '"$PATH_TO_KUBECTL" -n "$ns" logs deploy/web 2>/dev/null'
says "logs with times" "Z serving as $pod" k logs "$pod" --timestamps
prints "tail" "" k logs "$pod" --tail=0
says "logs by label" "serving as" k logs -l app=web --prefix
refuses "logs of an unknown container" "container nothing is not valid for pod $pod" k logs "$pod" -c nothing
works "run" k run talker --image=127.0.0.1:5000/hello:1 --restart=Never --command -- sh -c 'for i in 1 2 3 4 5; do echo "line $i"; sleep 0.2; done'
soon "the talker starts" bash -c '[ "$("$PATH_TO_KUBECTL" -n "$ns" get pod talker -o jsonpath="{.status.phase}")" != Pending ]'
prints "logs -f to the end" "$(printf 'line %s\n' 1 2 3 4 5)" k logs -f talker
works "wait for the end" k wait --for=condition=Ready=false pod/talker --timeout=60s
soon "succeeded" is pod/talker '{.status.phase}' Succeeded

part exec
prints "exec" "$pod" k exec "$pod" -- hostname
prints "stdin" "from here" bash -c 'printf "from here" | "$PATH_TO_KUBECTL" -n "$ns" exec -i '"$pod"' -- cat'
k exec "$pod" -- sh -c 'echo out; echo err >&2; exit 7' >"$dir/out" 2>"$dir/err"
[ $? = 7 ] || problem "exit code of exec"
[ "$(cat "$dir/out")" = out ] || problem "stdout of exec: $(cat "$dir/out")"
grep -qx err "$dir/err" || problem "stderr of exec: $(cat "$dir/err")"
says "a terminal" "a terminal" script -qec "$PATH_TO_KUBECTL -n $ns exec -it $pod -- sh -c 'test -t 0 && echo a terminal'" /dev/null </dev/null
refuses "exec of what is not there" "not found" k exec "$pod" -- /bin/nothing
refuses "exec in an unknown container" "container nothing is not valid for pod $pod" k exec "$pod" -c nothing -- true
head -c 3000000 /dev/urandom >"$dir/big"
works "cp there" k cp "$dir/big" "$pod:/tmp/big"
prints "the copy" "$(wc -c <"$dir/big")" k exec "$pod" -- sh -c 'cat /tmp/big | head -c 9000000 | tail -c 9000000 | while read -r x; do :; done; ls -l /tmp/big | awk "{print \$5}" 2>/dev/null || true'
works "cp back" k cp "$pod:/tmp/big" "$dir/back"
cmp -s "$dir/big" "$dir/back" || problem "what came back from cp differs"
works "run attached" k run greeter --image=127.0.0.1:5000/hello:1 --restart=Never --rm -i --command -- sh -c 'read -r line; echo "heard $line"' <<<hi
k delete pod greeter --ignore-not-found --wait=false >/dev/null 2>&1

part port-forward
k port-forward "pod/$pod" :8080 >"$dir/forward" 2>&1 &
background+=($!)
soon "it listens" grep -q "Forwarding from 127.0.0.1" "$dir/forward"
port=$(grep -o '127.0.0.1:[0-9]*' "$dir/forward" | head -1 | cut -d: -f2)
for i in 1 2 3; do prints "request $i" "hello from $pod" curl -s --max-time 10 "http://127.0.0.1:$port/"; done
k port-forward service/web :80 >"$dir/forward-service" 2>&1 &
background+=($!)
soon "the one of the service listens" grep -q "Forwarding from 127.0.0.1" "$dir/forward-service"
prints "through the service" "hello from $pod" curl -s --max-time 10 "http://$(grep -o '127.0.0.1:[0-9]*' "$dir/forward-service" | head -1)/"

part proxy
kubectl proxy --port=0 >"$dir/proxy" 2>&1 &
background+=($!)
soon "it listens" grep -q "Starting to serve" "$dir/proxy"
address=$(grep -o '127.0.0.1:[0-9]*' "$dir/proxy" | head -1)
says "the API" PodList curl -s "http://$address/api/v1/namespaces/$ns/pods"
prints "a pod" "hello from $pod" curl -s --max-time 10 "http://$address/api/v1/namespaces/$ns/pods/$pod:8080/proxy/"
prints "a service by port name" "hello from $pod" curl -s --max-time 10 "http://$address/api/v1/namespaces/$ns/services/http:web:http/proxy/index.html"
prints "raw" "hello from $pod" kubectl get --raw "/api/v1/namespaces/$ns/services/web/proxy/"
