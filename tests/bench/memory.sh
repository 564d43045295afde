#!/usr/bin/env bash
# Resident memory with 100 000 objects of 1 KB, after they were made and after a restart: once of text that repeats itself, once of noise
# (base64 of its own in every object), which no compression makes much smaller.
# usage: tests/bench/memory.sh    OBJECTS (100000), CONTENT ("text noise")
set -euo pipefail
cd "$(dirname "$0")/../.."
source tests/bench/lib.sh
hermetic bash "$0" "$@"
set_up_host
objects=${OBJECTS:-100000}
rss() { awk '/^VmRSS/ {print $2}' "/proc/$appliance/status"; }
for content in ${CONTENT:-text noise}; do
  start_server --runtime none
  config_map 1024 "$work/object"
  [ $content = text ] || sed -i 's/"value":"[^"]*"/"value":"{noise}"/' "$work/object"
  before=$(rss)
  say "$(requests --connections 32 --count "$objects" --warmup 0 --method POST --path /api/v1/namespaces/bench/configmaps --body "$work/object" --header 'content-type: application/json')"
  await 60 settled
  made=$(rss)
  stop_server
  start_appliance --token-auth-file "$work/tokens" --log-level warn --runtime none
  await 60 settled
  row "memory with $objects objects of 1 KB of $content" "$(calc "$made / 1024" %.0f) MB RSS when made, $(calc "$(rss) / 1024" %.0f) MB after a restart" "empty $(calc "$before / 1024" %.0f) MB" - "issue 4: <= 150 MB"
  stop_server
  rm -rf "$work/data"
done
