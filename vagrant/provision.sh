#!/usr/bin/env bash
# Sets up a Debian 12 machine for skerry: installs what is missing and says what. Idempotent.
#   provision.sh run    what building and running the appliance needs
#   provision.sh test   the same plus what the tests need
#   provision.sh bench  the same plus the peers that the benchmarks compare with
set -euo pipefail
what=${1:-run}

build=(g++ cmake ninja-build ccache mold pkg-config python3
  libboost1.81-dev libboost-context1.81-dev librocksdb-dev libssl-dev libnghttp2-dev nlohmann-json3-dev catch2
  libcurl4-openssl-dev libyaml-dev zlib1g-dev libzstd-dev liblz4-dev libsnappy-dev libbz2-dev libarchive-dev libre2-dev libgoogle-perftools-dev)
run=(ca-certificates curl iproute2 nftables runc crun conmon skopeo busybox-static)
tests=(docker.io containerd conntrack dnsutils jq fuse3 libfuse3-dev python3-yaml python3-venv openssl socat git make procps util-linux)
bench=(etcd-server haproxy nginx-light docker-registry wrk nghttp2-client)

wanted=("${build[@]}" "${run[@]}")
case $what in
  run) ;;
  test) wanted+=("${tests[@]}") ;;
  bench) wanted+=("${tests[@]}" "${bench[@]}") ;;
  *) echo "usage: provision.sh run|test|bench" >&2; exit 2 ;;
esac
command -v node >/dev/null || wanted+=(nodejs)   # these two build the console
command -v npm >/dev/null || wanted+=(npm)
# The console is tested in a real browser.
[ "$what" = run ] || command -v chromium >/dev/null || wanted+=(chromium fonts-dejavu-core)
# kubernetes-client conflicts with a kubectl from elsewhere: whatever is on the PATH is used.
command -v kubectl >/dev/null || wanted+=(kubernetes-client)
# Builds a current kubectl, helm and programs on client-go, controller-runtime and helm's library; fetches a newer toolchain as a module when it needs one.
command -v go >/dev/null || [ "$what" = run ] || wanted+=(golang-go)
command -v docker >/dev/null && wanted=("${wanted[@]/docker.io/}")
command -v dockerd >/dev/null || { [ "$what" = run ] || wanted+=(docker.io); }

missing=()
for p in "${wanted[@]}"; do
  [ -n "$p" ] || continue
  [ "$(dpkg-query -W -f='${db:Status-Status}' "$p" 2>/dev/null || true)" = installed ] || missing+=("$p")
done
if [ ${#missing[@]} -eq 0 ]; then
  echo "set-up: nothing to install"
else
  [ "$(id -u)" = 0 ] || { echo "set-up: these packages are missing and need root to install: ${missing[*]}" >&2; exit 1; }
  echo "set-up: installing ${missing[*]}"
  # No daemon that a package brings is started: the product does not need them and tests start their own.
  guard=
  if [ ! -e /usr/sbin/policy-rc.d ]; then
    guard=/usr/sbin/policy-rc.d
    printf '#!/bin/sh\nexit 101\n' > "$guard"
    chmod 755 "$guard"
  fi
  trap '[ -z "$guard" ] || rm -f "$guard"' EXIT
  export DEBIAN_FRONTEND=noninteractive
  apt-get update -q >/dev/null
  apt-get install -y -q --no-install-recommends "${missing[@]}" >/dev/null
fi

# Stock clients of other makers, from their registries.
[ "$what" = run ] || "$(dirname "$0")/../tests/compat/clients.sh" kubectl-debian kubectl-current client-go watchlist operator helm helmlib probed cel python node
