#!/usr/bin/env bash
# The JavaScript client library (npm "@kubernetes/client-node") against a server of its own.
source "$(dirname "$0")/lib.sh"
need npm
dir=$top/build/compat/node
mkdir -p "$dir"
cp "$here"/node/* "$dir/"
(cd "$dir" && { [ -d node_modules/@kubernetes/client-node ] || npm install --silent --no-audit --no-fund; })
start_server
touch "$work/restart"
node "$dir/client.mjs" "$work/data/kubeconfig" "$work/restart" &
program=$!
restart_on_request "$work/restart" $program
wait $program
