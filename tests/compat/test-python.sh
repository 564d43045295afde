#!/usr/bin/env bash
# The Python client library (PyPI "kubernetes") against a server of its own.
source "$(dirname "$0")/lib.sh"
prepare python
start_server 127.0.0.1:0
run_with_restart "$clients/python/bin/python" "$here/python/client.py" @KUBECONFIG@ "$work/restart"
