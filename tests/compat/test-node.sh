#!/usr/bin/env bash
# The JavaScript client library (npm "@kubernetes/client-node") against a server of its own.
source "$(dirname "$0")/lib.sh"
prepare node
start_server 127.0.0.1:0
run_with_restart node "$clients/node/client.mjs" @KUBECONFIG@ "$work/restart"
