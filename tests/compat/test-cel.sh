#!/usr/bin/env bash
# The expression language's own conformance cases (google/cel-spec). They come with the Go module of its definitions and are not kept here.
source "$(dirname "$0")/lib.sh"
need go
tests=
for build in release asan dev; do [ -n "$tests" ] || [ ! -x "$top/build/$build/skerry_tests" ] || tests=$top/build/$build/skerry_tests; done
[ -n "$tests" ] || { echo "no test program is built"; exit 1; }
folder=$(cd "$work" && go mod download -json cel.dev/expr@v0.25.1 | python3 -c 'import json,sys; print(json.load(sys.stdin)["Dir"])')
SKERRY_CEL_CASES="$folder/tests/simple/testdata" SKERRY_CEL_FLOOR=1484 "$tests" "[.cel-conformance]"
