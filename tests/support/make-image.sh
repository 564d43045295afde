#!/usr/bin/env bash
# make-image.sh ROOTFS LAYOUT TAG CONFIG_JSON: an OCI image layout with one layer made of a directory. CONFIG_JSON is the image's "config"
# object ({"Cmd":["/x"]}). No registry, no daemon: tar, gzip, sha256sum.
set -euo pipefail
rootfs=$1 layout=$2 tag=$3 config=$4
blobs=$layout/blobs/sha256
mkdir -p "$blobs"
put() { # file -> digest
  local d
  d=$(sha256sum "$1" | cut -d' ' -f1)
  mv "$1" "$blobs/$d"
  echo "$d"
}
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
tar -C "$rootfs" --numeric-owner --owner=0 --group=0 --sort=name --mtime=@0 -cf "$tmp/layer.tar" .
diff_id=$(sha256sum "$tmp/layer.tar" | cut -d' ' -f1)
gzip -n -c "$tmp/layer.tar" >"$tmp/layer.tgz"
layer_size=$(stat -c %s "$tmp/layer.tgz")
layer=$(put "$tmp/layer.tgz")
printf '{"architecture":"amd64","os":"linux","config":%s,"rootfs":{"type":"layers","diff_ids":["sha256:%s"]}}' "$config" "$diff_id" >"$tmp/config"
config_size=$(stat -c %s "$tmp/config")
config_digest=$(put "$tmp/config")
printf '{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"sha256:%s","size":%d},"layers":[{"mediaType":"application/vnd.oci.image.layer.v1.tar+gzip","digest":"sha256:%s","size":%d}]}' \
  "$config_digest" "$config_size" "$layer" "$layer_size" >"$tmp/manifest"
manifest_size=$(stat -c %s "$tmp/manifest")
manifest=$(put "$tmp/manifest")
printf '{"imageLayoutVersion":"1.0.0"}' >"$layout/oci-layout"
printf '{"schemaVersion":2,"manifests":[{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"sha256:%s","size":%d,"annotations":{"org.opencontainers.image.ref.name":"%s"}}]}' \
  "$manifest" "$manifest_size" "$tag" >"$layout/index.json"
