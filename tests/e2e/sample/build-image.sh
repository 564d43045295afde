#!/usr/bin/env bash
# build-image.sh LAYOUT: the sample web image from Debian's busybox-static, as an OCI layout tagged "hello:1".
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
mkdir -p "$root"/{bin,etc,tmp,www/cgi-bin}
cp /bin/busybox "$root/bin/busybox"
for a in sh httpd cat echo ls sleep hostname id env ps wget nslookup mkdir rm touch tar head tail true false date kill printf test seq grep sed ip nc; do ln -s busybox "$root/bin/$a"; done
printf 'root:x:0:0:root:/:/bin/sh\nweb:x:1000:1000:web:/:/bin/sh\n' >"$root/etc/passwd"
printf 'root:x:0:\nweb:x:1000:\n' >"$root/etc/group"
chmod 1777 "$root/tmp"
cat >"$root/bin/serve" <<'S'
#!/bin/sh
# The page names the pod, so that a reader sees who answered.
mkdir -p /tmp/www
printf 'hello from %s\n' "$(hostname)" >/tmp/www/index.html
echo "serving as $(hostname)"
trap 'exit 0' TERM
httpd -f -p 8080 -h /tmp/www &
wait
S
chmod 755 "$root/bin/serve"
rm -rf "$1"
"$here/../../support/make-image.sh" "$root" "$1" hello:1 '{"Env":["PATH=/bin"],"Cmd":["/bin/serve"],"ExposedPorts":{"8080/tcp":{}},"User":"1000","WorkingDir":"/"}'
