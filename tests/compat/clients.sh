#!/usr/bin/env bash
# clients.sh NAME…: prepares stock clients under build/compat from their registries: kubectl-debian kubectl-current client-go
# watchlist operator helm helmlib probed cel python node.
# vagrant/provision.sh calls it with all of them; a test calls it with its own, which is nothing to do then. 77: a tool is missing here.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
out=$here/../../build/compat
mkdir -p "$out"
out=$(cd "$out" && pwd)

need() { command -v "$1" >/dev/null || { echo "SKIPPED: $1 is not installed (vagrant/provision.sh test installs it)"; exit 77; }; }

# The module's Go. Debian's is too old to fetch a newer one by itself, but it can download it as a module.
with_go() {
  need go
  local wanted
  wanted=$(sed -n 's/^go //p' "$here/go/go.mod")
  export GOTOOLCHAIN=auto GOFLAGS=-buildvcs=false
  if [ "$(printf 'go1.21\n%s\n' "$(go env GOVERSION)" | sort -V | head -1)" != go1.21 ]; then
    local module=golang.org/toolchain@v0.0.1-go$wanted.linux-$(go env GOARCH) place
    place=$(go mod download -json "$module" | sed -n 's/.*"Dir": "\(.*\)".*/\1/p')
    find "$place/bin" "$place/pkg/tool" -type f -exec chmod u+x {} +
    export PATH=$place/bin:$PATH GOTOOLCHAIN=local
  fi
  (cd "$here/go" && go "$@")
}

for name in "$@"; do
  case $name in
    kubectl-debian)
      [ -x "$out/kubectl-debian" ] && continue
      need apt-get
      temporary=$(mktemp -d)
      chmod 755 "$temporary"
      (cd "$temporary" && apt-get -o APT::Sandbox::User=root download -qq kubernetes-client && dpkg-deb -x ./*.deb tree)   # beside any other kubectl: not installed
      install -m 755 "$temporary/tree/usr/bin/kubectl" "$out/kubectl-debian"
      rm -rf "$temporary" ;;
    kubectl-current)
      release=$(sed -n 's/.*k8s.io\/kubectl v0\.\([0-9]*\)\.\([0-9]*\)$/1.\1.\2/p' "$here/go/go.mod")
      minor=${release#1.}
      set_version="-X k8s.io/component-base/version.gitVersion=v$release -X k8s.io/component-base/version.gitMajor=1 -X k8s.io/component-base/version.gitMinor=${minor%.*}"
      with_go build -ldflags "$set_version" -o "$out/kubectl-current" ./kubectl ;;
    client-go) with_go build -o "$out/client-go" ./client ;;
    watchlist | operator | helmlib) with_go build -o "$out/$name" "./$name" ;;
    helm) with_go build -o "$out/helm" helm.sh/helm/v4/cmd/helm ;;
    probed) CGO_ENABLED=0 with_go build -o "$out/probed" ./probed ;;   # runs in a container without a libc
    cel)   # no client: the expression language's conformance cases, part of the Go module of its definitions
      [ -d "$out/cel" ] && continue
      need go
      place=$(cd "$out" && go mod download -json cel.dev/expr@v0.25.1 | sed -n 's/.*"Dir": "\(.*\)".*/\1/p')
      cp -r --no-preserve=mode "$place/tests/simple/testdata" "$out/cel.new"
      mv "$out/cel.new" "$out/cel" ;;
    python)
      need python3
      [ -x "$out/python/bin/python" ] || python3 -m venv "$out/python"
      "$out/python/bin/python" -c 'import kubernetes' 2>/dev/null || "$out/python/bin/pip" install -q --disable-pip-version-check 'kubernetes==33.1.0' ;;
    node)
      need npm
      mkdir -p "$out/node"
      cp "$here"/node/* "$out/node/"
      [ -d "$out/node/node_modules/@kubernetes/client-node" ] || (cd "$out/node" && npm ci --silent --no-audit --no-fund) ;;
    *) echo "clients.sh: unknown client $name" >&2; exit 2 ;;
  esac
done
