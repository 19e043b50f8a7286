#!/usr/bin/env bash
# Everything that aegisd needs on this machine to run guests: what is missing is installed or fetched, made once, and laid
# beside the programs as target/debug/guest and target/release/guest. Takes a second when everything is there.
set -euo pipefail
# shellcheck source=debian.sh
source "$(dirname "${BASH_SOURCE[0]}")/debian.sh"

[ "$(uname -m)" = x86_64 ] || fail "guests are x86-64 and this machine is $(uname -m)"
need qemu-system-x86_64 qemu-system-x86
need mkfs.ext4 e2fsprogs
need curl curl
# Tests give guests a place to reach out to.
need ip iproute2
# They also have the images checked by others.
need fsck.erofs erofs-utils
install_missing

if [ ! -d "$cache/kernel" ]; then
  unpack "$(dependency linux-image-cloud-amd64 '^linux-image-[0-9].*-cloud-amd64$')" "$cache/deb-kernel"
  mkdir -p "$cache/kernel.new/lib"
  mv "$cache/deb-kernel/boot" "$cache/kernel.new/boot"
  # Since Debian 13 modules are in usr/lib.
  mv "$cache"/deb-kernel/{usr/,}lib/modules "$cache/kernel.new/lib/" 2>/dev/null || true
  [ -d "$cache/kernel.new/lib/modules" ] || fail "the kernel package has no modules"
  mv "$cache/kernel.new" "$cache/kernel"
  rm -rf "$cache/deb-kernel"
fi
[ -x "$cache/busybox/bin/busybox" ] || [ -x "$cache/busybox/usr/bin/busybox" ] || unpack busybox-static "$cache/busybox"
# Tests and the demo pull from a registry of their own. Installed, it would be a service that listens.
[ -x "$cache/registry/usr/bin/docker-registry" ] || unpack docker-registry "$cache/registry"

base=$root/packaging/guest/base.sh
if [ ! -f "$cache/base.tar" ] || [ "$base" -nt "$cache/base.tar" ] || [ "$cache/busybox" -nt "$cache/base.tar" ]; then
  "$base" "$cache/busybox" "$cache/base.tar"
fi

# Static, and alone in its target directory: RUSTFLAGS of its own would rebuild everything else.
(cd "$root" && RUSTFLAGS='-C target-feature=+crt-static' cargo build --release --quiet -p aegis-harness \
  --target x86_64-unknown-linux-gnu --target-dir "$target/harness")
harness=$target/harness/x86_64-unknown-linux-gnu/release/aegis-harness

for profile in debug release; do
  guest=$target/$profile/guest
  mkdir -p "$guest"
  for file in "$harness" "$cache/base.tar"; do
    name=$guest/$(basename "$file")
    # Put in place whole: a daemon may be reading it.
    cmp -s "$file" "$name" || { cp "$file" "$name.new" && mv "$name.new" "$name"; }
  done
  # The same files under a second name, so that they take no room twice. A kernel that `make kernel` laid there stays.
  for part in boot lib; do
    if ! diff -rq "$cache/kernel/$part" "$guest/kernel/$part" >/dev/null 2>&1; then
      mkdir -p "$guest/kernel"
      rm -rf "$guest/kernel/${part:?}"
      cp -al "$cache/kernel/$part" "$guest/kernel/$part"
    fi
  done
done
say "ready: $target/{debug,release}/guest"
