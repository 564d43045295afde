part rollout
works "status" k rollout status deployment web --timeout=60s
works "scale" k scale deployment web --replicas=3
works "status" k rollout status deployment web --timeout=60s
prints "replicas" 3 k get deployment web -o jsonpath='{.status.readyReplicas}'
refuses "scale with a wrong precondition" "Expected replicas to be 7, was 3" k scale deployment web --current-replicas=7 --replicas=1
works "env" k set env deployment/web COLOUR=blue
k annotate deployment web kubernetes.io/change-cause=blue --overwrite >/dev/null
works "status" k rollout status deployment web --timeout=90s
says "history" blue k rollout history deployment web
prints "in the pod" blue k exec deploy/web -- sh -c 'echo $COLOUR'
says "undo" "rolled back" k rollout undo deployment web
works "status after the undo" k rollout status deployment web --timeout=90s
prints "undone" "" k exec deploy/web -- sh -c 'echo $COLOUR'
says "pause" paused k rollout pause deployment web
says "resume" resumed k rollout resume deployment web
works "restart" k rollout restart deployment web
works "status after the restart" k rollout status deployment web --timeout=90s
works "scale down" k scale --replicas=1 deployment web
one_pod() { [ "$(k get pods -l app=web --no-headers 2>/dev/null | wc -l)" = 1 ]; }
soon "one pod is left" one_pod
