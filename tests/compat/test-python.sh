#!/usr/bin/env bash
# The Python client library (PyPI "kubernetes") against a server of its own.
source "$(dirname "$0")/lib.sh"
need python3
venv=$top/build/compat/python
[ -x "$venv/bin/python" ] || python3 -m venv "$venv"
"$venv/bin/python" -c 'import kubernetes' 2>/dev/null || "$venv/bin/pip" install -q --disable-pip-version-check 'kubernetes==33.1.0'
start_server
touch "$work/restart"
"$venv/bin/python" "$here/python/client.py" "$work/data/kubeconfig" "$work/restart" &
program=$!
restart_on_request "$work/restart" $program
wait $program
