#!/usr/bin/env bash
# A kernel for guests with everything built in: it boots in half the time of Debian's, whose drivers are modules. Debian's
# source with kernel.fragment on top of the smallest config; about six minutes on two cores. Laid beside the programs as
# guest/kernel/vmlinux, which aegisd prefers; remove it to go back.
set -euo pipefail
# shellcheck source=debian.sh
source "$(dirname "${BASH_SOURCE[0]}")/debian.sh"

fragment=$root/packaging/guest/kernel.fragment
vmlinux=$cache/vmlinux
if [ ! -f "$vmlinux" ] || [ "$fragment" -nt "$vmlinux" ]; then
  for pair in make:make gcc:gcc flex:flex bison:bison bc:bc m4:m4 xz:xz-utils strip:binutils; do
    need "${pair%%:*}" "${pair##*:}"
  done
  [ -e /usr/include/libelf.h ] || missing+=(libelf-dev)
  install_missing
  source=$(dependency linux-source '^linux-source-[0-9]')
  [ -d "$cache/kernel-source" ] || unpack "$source" "$cache/kernel-source"
  build=$cache/kernel-build
  rm -rf "$build" && mkdir -p "$build"
  tar -xf "$cache/kernel-source/usr/src/$source.tar.xz" -C "$build" --strip-components=1
  cd "$build"
  make -s tinyconfig
  scripts/kconfig/merge_config.sh -m .config "$fragment" >/dev/null
  make -s olddefconfig
  # What the config doesn't know or can't have together is dropped without a word; these are what guests stand on.
  for option in PVH VIRTIO_MMIO_CMDLINE_DEVICES VIRTIO_BLK VIRTIO_CONSOLE EROFS_FS EXT4_FS OVERLAY_FS TUN; do
    grep -q "^CONFIG_$option=y" .config || fail "the config has no $option"
  done
  say "building $source with ${KERNEL_JOBS:=$(nproc)} jobs"
  make -s -j "$KERNEL_JOBS" KBUILD_BUILD_TIMESTAMP=@0 KBUILD_BUILD_USER=aegis KBUILD_BUILD_HOST=aegis vmlinux
  strip -o "$vmlinux.new" vmlinux
  mv "$vmlinux.new" "$vmlinux"
  cd "$root" && rm -rf "$build"
fi
for profile in debug release; do
  mkdir -p "$target/$profile/guest/kernel"
  cp "$vmlinux" "$target/$profile/guest/kernel/vmlinux.new"
  mv "$target/$profile/guest/kernel/vmlinux.new" "$target/$profile/guest/kernel/vmlinux"
done
say "ready: $target/{debug,release}/guest/kernel/vmlinux"
