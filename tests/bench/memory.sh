#!/usr/bin/env bash
# Resident memory with 100 000 objects of 1 KB, after they were made and after a restart.
# usage: tests/bench/memory.sh    OBJECTS (100000)
set -euo pipefail
cd "$(dirname "$0")/../.."
source tests/bench/lib.sh
hermetic bash "$0" "$@"
set_up_host
start_server --runtime none
config_map 1024 "$work/object"
objects=${OBJECTS:-100000}
rss() { awk '/^VmRSS/ {print $2}' "/proc/$appliance/status"; }
before=$(rss)
say "$(requests --connections 32 --count "$objects" --warmup 0 --method POST --path /api/v1/namespaces/bench/configmaps --body "$work/object" --header 'content-type: application/json')"
await 60 settled
made=$(rss)
stop_server
start_appliance --token-auth-file "$work/tokens" --log-level warn --runtime none
await 60 settled
row "memory with $objects objects of 1 KB" "$(calc "$made / 1024" %.0f) MB RSS when made, $(calc "$(rss) / 1024" %.0f) MB after a restart" "empty $(calc "$before / 1024" %.0f) MB" - "issue 4: <= 150 MB"
stop_server
