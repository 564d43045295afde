#!/usr/bin/env bash
# suite.sh NAME DIR: what people do with kubectl, one assertion after the other, in a namespace of its own. PATH_TO_KUBECTL is the
# binary, KUBECONFIG the cluster. A failed check is told and the rest goes on: one run shows everything that is wrong.
set -uo pipefail
name=$1 dir=$2
here=$(cd "$(dirname "$0")" && pwd)
export HOME=$dir ns=kubectl-$name   # its discovery cache is its own
problems=0
background=()
trap 'kill "${background[@]}" 2>/dev/null' EXIT
kubectl() { timeout 90 "$PATH_TO_KUBECTL" "$@"; }
k() { kubectl -n "$ns" "$@"; }
minor=$(kubectl version --client 2>/dev/null | grep -o 'v1\.[0-9]*' | head -1 | cut -d. -f2)
at_least() { [ "$minor" -ge "$1" ]; }

problem() { echo "  WRONG ($part): $*" | cut -c1-2000; problems=$((problems + 1)); }
part=
part() { part=$1; }
# says WHAT TEXT COMMAND…: it succeeds and prints the text somewhere
says() {
  local what=$1 text=$2 out
  shift 2
  out=$("$@" 2>&1) || { problem "$what: failed: $out"; return; }
  grep -qF -- "$text" <<<"$out" || problem "$what: no \"$text\" in: $out"
}
# prints WHAT TEXT COMMAND…: its standard output is exactly that
prints() {
  local what=$1 text=$2 out
  shift 2
  out=$("$@" 2>"$dir/stderr") || { problem "$what: failed: $out $(cat "$dir/stderr")"; return; }
  [ "$out" = "$text" ] || problem "$what: expected \"$text\", got \"$out\""
}
# refuses WHAT TEXT COMMAND…: it fails and says why
refuses() {
  local what=$1 text=$2 out
  shift 2
  out=$("$@" 2>&1) && { problem "$what: was accepted: $out"; return; }
  grep -qF -- "$text" <<<"$out" || problem "$what: no \"$text\" in: $out"
}
works() { local what=$1 out; shift; out=$("$@" 2>&1) || problem "$what: $out"; }
# soon WHAT COMMAND…: succeeds within a minute
soon() {
  local what=$1 end=$((SECONDS + 60))
  shift
  until "$@" >/dev/null 2>&1; do
    [ $SECONDS -lt $end ] || { problem "not in time: $what"; return; }
    sleep 0.1
  done
}
field() { k get "$1" -o jsonpath="$2"; }
is() { [ "$(field "$1" "$2")" = "$3" ]; }

works "create namespace" kubectl create namespace "$ns"
for f in "$here"/parts/*.sh; do source "$f"; done
[ $problems = 0 ] || { echo "kubectl $name: $problems problems"; exit 1; }
