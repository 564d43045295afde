#!/usr/bin/env bash
# The life of the sample application on a Docker engine.
RUNTIME=docker exec "$(dirname "$0")/test-sample.sh" "$@"
