#!/usr/bin/env bash
# Pod start: from the create until a watch shows the container running, paired with a script that makes a network namespace, a veth pair and the
# same container without skerry: conmon and crun on a copy of the bundle (oci), or the Engine API (docker, a private dockerd).
# usage: tests/bench/pod-start.sh [oci|docker]...    PODS (15)
set -euo pipefail
cd "$(dirname "$0")/../.."
source tests/bench/lib.sh
hermetic bash "$0" "$@"
set_up_host
need skopeo kubectl conmon crun jq
mkdir -p /run/netns
mount -t tmpfs none /run/netns   # names of ours alone
pods=${PODS:-15}
tests/e2e/sample/build-image.sh "$work/hello"
echo '{"apiVersion":"v1","kind":"Pod","metadata":{"name":"p{n}","namespace":"bench"},"spec":{"terminationGracePeriodSeconds":1,"containers":[{"name":"c","image":"127.0.0.1:5000/hello:1"}]}}' >"$work/pod"
now() { date +%s%N; }
network() { # network NAME ATTACH...: a veth pair whose one end is in the namespace that ATTACH names
  ip link add "raw$1" type veth peer name eth0 netns "$2"
  ip link set "raw$1" up
}

prepare_oci() { # everything of the raw container that is there before a pod is asked for
  bundle=$(dirname "$(ls "$work"/data/run/runtime/containers/*/config.json | head -1)")
  program=(crun)
  [ ! -d /sys/fs/cgroup/unified ] || program=("$work/data/runtime/bin/wrap" /sys/fs/cgroup /sys/fs/cgroup/unified "$(command -v crun)")
  mkdir -p "$work/exits" "$work/rt"
}
raw_oci() { # raw_oci NUMBER -> nanoseconds
  local dir=$work/raw$1 begin arguments=() line
  mkdir -p "$dir"
  jq --arg net "/run/netns/raw$1" --arg group "/raw/$1" '.linux.cgroupsPath = $group | .linux.namespaces |= map(if .type == "network" then .path = $net elif .type == "mount" or .type == "pid" then . else del(.path) end)' "$bundle/config.json" >"$dir/config.json"
  for a in "${program[@]:1}" "--root=$work/rt"; do arguments+=("--runtime-arg=$a"); done
  mkfifo "$dir/sync"
  exec 8<>"$dir/sync"
  begin=$(now)
  ip netns add "raw$1"
  network "$1" "raw$1"
  _OCI_SYNCPIPE=8 conmon --api-version 1 --full-attach -c "raw$1" -u "raw$1" -n "raw$1" -b "$dir" -p "$dir/pidfile" -P "$dir/conmon.pid" --exit-dir "$work/exits" --persist-dir "$dir" --no-new-keyring \
    -l "k8s-file:$dir/log" -r "${program[0]}" "${arguments[@]}" >"$dir/out" 2>&1 || { cat "$dir/out" >&2; exit 1; }
  read -r -t 20 line <&8 || { cat "$dir/log" >&2; exit 1; }
  case $line in *'"data": -'* | *'"data":-'*) echo "$line" >&2; exit 1 ;; esac
  "${program[@]}" "--root=$work/rt" start "raw$1"
  echo $(($(now) - begin))
  exec 8>&-
}

prepare_docker() { :; }
engine() { curl -sf --unix-socket "$work/docker.sock" -H 'Content-Type: application/json' "$@"; }
raw_docker() {
  local begin pause pid id
  begin=$(now)
  pause=$(engine -X POST -d '{"Image":"127.0.0.1:5000/hello:1","Cmd":["/bin/sleep","1000"],"HostConfig":{"NetworkMode":"none","IpcMode":"shareable"}}' http://d/v1.41/containers/create | jq -r .Id)
  engine -X POST "http://d/v1.41/containers/$pause/start"
  pid=$(engine "http://d/v1.41/containers/$pause/json" | jq .State.Pid)
  network "d$1" "$pid"
  id=$(engine -X POST -d "{\"Image\":\"127.0.0.1:5000/hello:1\",\"HostConfig\":{\"NetworkMode\":\"container:$pause\",\"IpcMode\":\"container:$pause\"}}" http://d/v1.41/containers/create | jq -r .Id)
  engine -X POST "http://d/v1.41/containers/$id/start"
  echo $(($(now) - begin))
}

measure() { # measure DRIVER FLAGS...
  start_server "${@:2}"
  skopeo copy -q --dest-tls-verify=false "oci:$work/hello:hello:1" docker://127.0.0.1:5000/hello:1
  kubectl create serviceaccount default -n bench >/dev/null 2>&1 || true
  one() { "$load" started --url $api --token $user --pid "$appliance" --path /api/v1/namespaces/bench/pods --body "$work/pod" --count 1 --first "$1"; }
  say "$1, the first (pulls): $(one 1000)"
  prepare_"$1"
  for i in $(seq "$pods"); do
    ours=$(field p50_ms "$(one "$i")")
    raw=$(calc "$(raw_"$1" "$i") / 1000000" %.1f)
    say "$1: $ours ms, raw $raw ms"
    keep "$1" "$ours"; keep "$1-raw" "$raw"; keep "$1-more" "$(calc "$ours - $raw" %.1f)"
  done
  row "pod start p50, $1" "$(of "$1") ms (least $(least "$work/sample.$1"))" "raw $(of "$1-raw") ms (least $(least "$work/sample.$1-raw"))" "$(of "$1-more") ms more" "<= raw + 40 ms"
  kubectl delete pods -n bench --all --wait=true --timeout=60s >/dev/null 2>&1 || true
  stop_server
  "$skerry" uninstall --data-dir "$work/data" >/dev/null 2>&1 || rm -rf "$work/data"
}
[ $# -gt 0 ] || set -- oci docker
for driver in "$@"; do
  case $driver in
    oci) measure oci --runtime oci ;;
    docker)
      need dockerd
      dockerd -H "unix://$work/docker.sock" -p "$work/docker.pid" --data-root "$work/docker" --exec-root "$work/docker-exec" --bridge none --iptables=false >"$work/docker.log" 2>&1 &
      await 30 engine http://d/_ping
      measure docker --runtime docker --docker-socket "$work/docker.sock"
      kill "$(cat "$work/docker.pid")"
      await 30 test ! -e "$work/docker.pid" ;;
  esac
done
