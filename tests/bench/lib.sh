# Sourced by the benches, after `cd` to the root of the repository. A bench prints rows "figure|ours|peer or raw|ratio|bar" and whatever else
# on stderr; `run.sh` makes one table of them. Nothing is asserted: a figure that misses its bar is a row like any other.
source tests/e2e/lib.sh
build=$(readlink -f "${BUILD:-build/release}")
export SKERRY=${SKERRY:-$build/skerry}
load=$build/skerry_load
rounds=${ROUNDS:-5}

need() { # need TOOL...: a bench without its peer says so and ends
  for tool in "$@"; do
    command -v "$tool" >/dev/null || { row "$(basename "$0" .sh)" "not measured: $tool is not installed" - - -; exit 0; }
  done
}
row() { echo "$1|$2|$3|$4|$5"; }
say() { echo "   $*" >&2; }
field() { sed -n "s/.*\\b$1=\\([^ ]*\\).*/\\1/p" <<<"$2"; }          # field NAME "a=1 b=2"
median() { sort -n "$1" | awk '{v[NR] = $1} END {print v[int((NR + 1) / 2)]}'; }
least() { sort -n "$1" | head -1; }
calc() { awk "BEGIN {printf \"${2:-%.2f}\", $1}"; }
keep() { echo "$2" >>"$work/sample.$1"; }                           # keep NAME VALUE: one more sample
of() { median "$work/sample.$1"; }
pss() { awk '/^Pss:/ {s += $2} END {print s}' /proc/"$1"/smaps_rollup; }   # KiB
ticks() { awk '{print $14 + $15 + $16 + $17}' "/proc/$1/stat"; }
processes_below() { # of the appliance and what it started, conmon and its containers left out: their parent is not skerry
  local all=$1 next=$1
  while [ -n "$next" ]; do
    next=$(for p in $next; do cat /proc/"$p"/task/*/children 2>/dev/null; done | tr -s ' \n' ' ' | sed 's/ $//')
    all="$all $next"
  done
  echo $all
}
settled() { # no CPU used for half a second: controllers and compaction have done what the set-up gave them to do
  local before
  before=$(ticks "$appliance")
  sleep 0.5
  [ "$(ticks "$appliance")" = "$before" ]
}
listening() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

admin=administrator-of-the-bench
user=ordinary-user-of-the-bench
token_file() { printf '%s,bench-admin,1,"system:masters"\n%s,bench,2,"benchers"\n' $admin $user >"$work/tokens"; }

# The appliance with two tokens: an administrator's, and a user's whose rights come from a role (what RBAC costs is in the figures).
start_server() {
  token_file
  start_appliance --token-auth-file "$work/tokens" --log-level warn "$@"
  kubectl create namespace bench >/dev/null
  kubectl create clusterrole bench --verb='*' --resource=configmaps,pods,pods/status,deployments.apps,services >/dev/null
  kubectl create rolebinding bench -n bench --clusterrole=bench --group=benchers >/dev/null
}
stop_server() {
  kill "$appliance"
  wait "$appliance" 2>/dev/null || true
}
api=https://127.0.0.1:6443
requests() { "$load" requests --url $api --token $user --pid "$appliance" "$@"; }   # as the ordinary user
certificate() { openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$work/key" -out "$work/crt" -subj /CN=bench -days 2 2>/dev/null && cat "$work/crt" "$work/key" >"$work/pem"; }

# config_map BYTES FILE: an object of about that many bytes of JSON
config_map() { printf '{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"c{n}","namespace":"bench","labels":{"app":"bench"}},"data":{"value":"%s"}}' "$(head -c $(($1 - 140)) /dev/zero | tr '\0' x)" >"$2"; }
