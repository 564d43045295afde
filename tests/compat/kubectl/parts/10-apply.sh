part apply
cp "$here/files/web.yaml" "$dir/web.yaml"
says "server dry run" "deployment.apps/web created (server dry run)" k apply --dry-run=server -f "$dir/web.yaml"
refuses "what the dry run made" NotFound k get deployment web
says "apply" "deployment.apps/web created" k apply -f "$dir/web.yaml"
says "apply again" "service/web unchanged" k apply -f "$dir/web.yaml"
says "apply again" "deployment.apps/web unchanged" k apply -f "$dir/web.yaml"
works "diff of what is the same" k diff -f "$dir/web.yaml"
sed -i 's/colour: red/colour: green/; /size:/d' "$dir/web.yaml"
refuses "diff" "+  colour: green" k diff -f "$dir/web.yaml"
says "apply a change" "configmap/settings configured" k apply -f "$dir/web.yaml"
prints "what apply took away" '{"colour":"green"}' k get configmap settings -o jsonpath='{.data}'
says "view-last-applied" '"colour": "green"' k apply view-last-applied configmap settings -o json
says "server-side apply" "configmap/settings serverside-applied" k apply --server-side --force-conflicts -f "$dir/web.yaml"
printf 'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings}\ndata: {colour: blue}\n' >"$dir/conflict.yaml"
refuses "a conflict of server-side appliers" ".data.colour" k apply --server-side --field-manager=other -f "$dir/conflict.yaml"
works "client-side apply afterwards" k apply -f "$dir/web.yaml"
refuses "an unknown field" "nonsense" k apply -f - <<<'{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"bad"},"nonsense":{"a":"b"}}'
refuses "an invalid object" "metadata.name" k apply -f - <<<'{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"Bad_Name"}}'
refuses "an unknown kind" "no matches for kind" k apply -f - <<<'{"apiVersion":"example.com/v1","kind":"Nothing","metadata":{"name":"x"}}'
# The old one asks for kinds that are gone from every current server.
at_least 26 && works "prune" k apply --prune -l app=web -f "$dir/web.yaml"
says "rollout status" "successfully rolled out" k rollout status deployment web --timeout=60s
