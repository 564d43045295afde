#!/usr/bin/env bash
# An operator on controller-runtime with webhooks, against a server of its own that restarts under it.
source "$(dirname "$0")/lib.sh"
prepare operator
start_server 127.0.0.1:0
run_with_restart "$clients/operator" @KUBECONFIG@ "$work/restart" 2>"$work/operator.log" || { tail -40 "$work/operator.log" >&2; exit 1; }
