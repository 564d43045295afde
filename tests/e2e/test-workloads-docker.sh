#!/usr/bin/env bash
# Workloads on a Docker engine.
RUNTIME=docker exec "$(dirname "$0")/test-workloads.sh" "$@"
