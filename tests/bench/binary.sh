#!/usr/bin/env bash
# Size of the stripped binary with the console.
# usage: tests/bench/binary.sh
set -euo pipefail
cd "$(dirname "$0")/../.."
source tests/bench/lib.sh
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
strip -o "$work/skerry" "$SKERRY"
size -A -d "$work/skerry" | awk '$2 > 500000 {print "   " $1, $2}' >&2
row "binary, stripped" "$(calc "$(stat -c %s "$work/skerry") / 1000000" %.1f) MB ($(calc "$(stat -c %s "$work/skerry") / 1048576" %.1f) MiB)" - - "<= 20 MB"
