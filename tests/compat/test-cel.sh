#!/usr/bin/env bash
# The expression language's own conformance cases (google/cel-spec): how many of those that apply here pass.
source "$(dirname "$0")/lib.sh"
touch "$work/log"
prepare cel
for build in release asan dev; do
  [ ! -x "$top/build/$build/skerry_tests" ] || { SKERRY_CEL_CASES=$clients/cel SKERRY_CEL_FLOOR=1484 "$top/build/$build/skerry_tests" "[.cel-conformance]"; exit; }
done
echo "no test program is built"
exit 1
