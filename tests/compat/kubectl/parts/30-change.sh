part label
says "label" labeled k label configmap settings owner=me
refuses "label without overwrite" "already has a value" k label configmap settings owner=you
works "overwrite" k label configmap settings owner=you --overwrite
prints "label" you k get configmap settings -o jsonpath='{.metadata.labels.owner}'
works "remove" k label configmap settings owner-
prints "label removed" "" k get configmap settings -o jsonpath='{.metadata.labels.owner}'
says "annotate" annotated k annotate configmap settings note='a b'
prints "annotation" "a b" k get configmap settings -o jsonpath='{.metadata.annotations.note}'
works "label by selector" k label pods -l app=web seen=yes

part patch
says "strategic" patched k patch deployment web -p '{"spec":{"template":{"spec":{"containers":[{"name":"web","env":[{"name":"A","value":"1"}]}]}}}}'
prints "strategic keeps the rest" "127.0.0.1:5000/hello:1 1" k get deployment web -o jsonpath='{.spec.template.spec.containers[0].image} {.spec.template.spec.containers[0].env[0].value}'
says "merge" patched k patch configmap settings --type merge -p '{"data":{"size":"2","colour":null}}'
prints "merged" '{"size":"2"}' k get configmap settings -o jsonpath='{.data}'
says "json" patched k patch configmap settings --type json -p '[{"op":"test","path":"/data/size","value":"2"},{"op":"replace","path":"/data/size","value":"3"}]'
prints "patched" 3 k get configmap settings -o jsonpath='{.data.size}'
refuses "a failed test" "" k patch configmap settings --type json -p '[{"op":"test","path":"/data/size","value":"9"}]'
says "no change" "patched (no change)" k patch configmap settings --type merge -p '{"data":{"size":"3"}}'
at_least 24 && says "subresource" patched k patch deployment web --subresource scale --type merge -p '{"spec":{"replicas":1}}'

part replace
k get configmap settings -o json | sed 's/"size": "3"/"size": "4"/' >"$dir/replace.json"
says "replace" replaced k replace -f "$dir/replace.json"
refuses "replace of an old version" "the object has been modified" k replace -f "$dir/replace.json"
says "replace --force" replaced k replace --force -f - <<<'{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"settings","labels":{"app":"web"}},"data":{"size":"5"}}'

part edit
printf '#!/bin/sh\nsed -i "s/size: .*/size: \\"6\\"/" "$1"\n' >"$dir/editor"
chmod +x "$dir/editor"
says "edit" edited env EDITOR="$dir/editor" "$PATH_TO_KUBECTL" -n "$ns" edit configmap settings
prints "edited" 6 k get configmap settings -o jsonpath='{.data.size}'
says "edit without a change" "no changes made" env EDITOR=true "$PATH_TO_KUBECTL" -n "$ns" edit configmap settings

part set
works "image" k set image deployment/web web=127.0.0.1:5000/hello:1
works "env" k set env deployment/web B=2
says "env list" "B=2" k set env deployment/web --list
works "resources" k set resources deployment web -c web --requests=cpu=20m
prints "requests" 20m k get deployment web -o jsonpath='{.spec.template.spec.containers[0].resources.requests.cpu}'
works "serviceaccount" k create serviceaccount robot
works "set serviceaccount" k set serviceaccount deployment web robot

part create
works "secret" k create secret generic s --from-literal=password=hush
prints "secret" aHVzaA== k get secret s -o jsonpath='{.data.password}'
works "docker secret" k create secret docker-registry pull --docker-server=registry.invalid --docker-username=u --docker-password=p
printf 'one\n' >"$dir/one.txt"
works "configmap of a file" k create configmap file --from-file="$dir/one.txt"
prints "configmap of a file" one k get configmap file -o jsonpath='{.data.one\.txt}'
works "role" k create role reader --verb=get,list --resource=pods,configmaps
works "role binding" k create rolebinding reads --role=reader --serviceaccount="$ns:robot"
works "cluster role" kubectl create clusterrole "reader-$name" --verb=get --resource=nodes
works "quota" k create quota limits --hard=count/configmaps=100
works "service" k create service clusterip other --tcp=80:8080
works "node port" k create service nodeport outside --tcp=80:8080
works "external name" k create service externalname alias --external-name=example.com
works "job" k create job once --image=127.0.0.1:5000/hello:1 -- true
works "ingress" k create ingress site --rule="$name.apps.localhost/*=web:80"
works "priority class" kubectl create priorityclass "high-$name" --value=1000
works "expose" k expose deployment web --name=exposed --port=80 --target-port=8080
works "autoscale" k autoscale deployment web --min=1 --max=2 --cpu-percent=80
works "delete the autoscaler" k delete hpa web
at_least 21 && works "cron job" k create cronjob nightly --schedule='0 0 * * *' --image=127.0.0.1:5000/hello:1 -- true
at_least 21 && works "budget" k create poddisruptionbudget guard --selector=app=web --min-available=0
refuses "a second create" "already exists" k create serviceaccount robot
works "delete cluster objects" kubectl delete clusterrole/"reader-$name" priorityclass/"high-$name"
