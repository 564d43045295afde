#!/usr/bin/env bash
# client-go, once speaking JSON and once protobuf, against a server of its own.
source "$(dirname "$0")/lib.sh"
prepare client-go
start_server 127.0.0.1:0
for encoding in json protobuf; do run_with_restart "$clients/client-go" @KUBECONFIG@ "$work/restart" $encoding; done
