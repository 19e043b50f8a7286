# shellcheck shell=bash
# A registry on loopback, and images that are put together from archives: nothing but tar, gzip, sha256sum and curl.
# Sourced by the demo, after stage.sh.

# Debian's docker-registry, as `make guest` unpacked it.
guest_cache=$(dirname "${program:?}")/../guest-cache

start_registry() {
  cat >"${root:?}/registry.yml" <<YAML
version: 0.1
storage: {filesystem: {rootdirectory: $root/registry}}
http: {addr: "127.0.0.1:0"}
YAML
  OTEL_TRACES_EXPORTER=none "$guest_cache/registry/usr/bin/docker-registry" serve "$root/registry.yml" \
    >"$root/registry.log" 2>&1 &
  pids+=($!)
  wait_until grep -q "listening on" "$root/registry.log"
  registry=$(sed -n 's/.*listening on \(127[.0-9:]*\).*/\1/p' "$root/registry.log" | head -n 1)
  echo "listening on $registry"
}

# Speaks to the registry, whatever proxy there is for others.
registry_call() { curl --noproxy '*' --silent --show-error --fail "$@"; }

# Uploads the file $2 to the repository $1. Prints how a manifest names it, with the media type $3.
upload() {
  local digest place
  digest=sha256:$(sha256sum "$2" | cut -d ' ' -f 1)
  place=$(registry_call -X POST -D - -o /dev/null "http://$registry/v2/$1/blobs/uploads/" |
    tr -d '\r' | sed -n 's/^[Ll]ocation: //p')
  case $place in *\?*) place+="&digest=$digest" ;; *) place+="?digest=$digest" ;; esac
  registry_call -X PUT -H 'Content-Type: application/octet-stream' --data-binary "@$2" "$place"
  printf '{"mediaType": "%s", "digest": "%s", "size": %d}' "$3" "$digest" "$(stat -c %s "$2")"
}

# Makes the image $1 ($REPOSITORY:$TAG) of a base archive $2 and a folder $3 that lies over it.
make_image() {
  local repository=${1%:*} tag=${1##*:} work=$root/image base folder config
  local oci=application/vnd.oci.image
  rm -rf "$work" && mkdir "$work"
  gzip -n -c "$2" >"$work/base.tar.gz"
  tar -C "$3" --format=ustar --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner -c . | gzip -n >"$work/folder.tar.gz"
  cat >"$work/config.json" <<JSON
{"architecture": "amd64", "os": "linux", "config": {}, "rootfs": {"type": "layers", "diff_ids": [
  "sha256:$(sha256sum "$2" | cut -d ' ' -f 1)", "sha256:$(gzip -dc "$work/folder.tar.gz" | sha256sum | cut -d ' ' -f 1)"]}}
JSON
  base=$(upload "$repository" "$work/base.tar.gz" $oci.layer.v1.tar+gzip)
  folder=$(upload "$repository" "$work/folder.tar.gz" $oci.layer.v1.tar+gzip)
  config=$(upload "$repository" "$work/config.json" $oci.config.v1+json)
  printf '{"schemaVersion": 2, "mediaType": "%s", "config": %s, "layers": [%s, %s]}' \
    $oci.manifest.v1+json "$config" "$base" "$folder" >"$work/manifest.json"
  registry_call -X PUT -H "Content-Type: $oci.manifest.v1+json" --data-binary "@$work/manifest.json" \
    "http://$registry/v2/$repository/manifests/$tag"
  echo "made $registry/$1"
}
