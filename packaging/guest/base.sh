#!/usr/bin/env bash
# The file system of the base image, which guests get without --image: busybox and the few files that programs look for.
# The same input gives the same bytes. usage: base.sh BUSYBOX_PACKAGE OUTPUT
set -euo pipefail
package=$1 output=$2
work=$(mktemp -d "$(dirname "$output")/base.XXXXXX")
trap 'rm -rf "$work"' EXIT
files=$work/files

umask 022
mkdir -p "$files"/{bin,dev,etc,home,lib,proc,root,run,sbin,srv,sys,tmp,usr/{bin,sbin,share/doc/busybox},var/{lib,log,tmp},workspace}
busybox=$package/bin/busybox
[ -x "$busybox" ] || busybox=$package/usr/bin/busybox
install -m 0755 "$busybox" "$files/bin/busybox"
install -m 0644 "$package/usr/share/doc/busybox-static/copyright" "$files/usr/share/doc/busybox/copyright"
# Every applet where it would be on another system, except those that make no sense under another PID 1.
"$busybox" --list-full | while read -r applet; do
  case $applet in
    bin/busybox | linuxrc | sbin/init | sbin/halt | sbin/poweroff | sbin/reboot) continue ;;
  esac
  mkdir -p "$files/$(dirname "$applet")"
  ln -s /bin/busybox "$files/$applet"
done

version=$("$busybox" | sed -n '1s/^BusyBox v\([0-9.]*\).*/\1/p')
cat >"$files/etc/os-release" <<TEXT
NAME="Aegis base"
ID=aegis-base
VERSION_ID="$version"
PRETTY_NAME="Aegis base image (busybox $version)"
TEXT
cat >"$files/etc/passwd" <<'TEXT'
root:x:0:0:root:/root:/bin/sh
daemon:x:1:1:daemon:/usr/sbin:/bin/false
nobody:x:65534:65534:nobody:/nonexistent:/bin/false
TEXT
cat >"$files/etc/group" <<'TEXT'
root:x:0:
daemon:x:1:
tty:x:5:
nogroup:x:65534:
TEXT
cat >"$files/etc/nsswitch.conf" <<'TEXT'
passwd: files
group: files
hosts: files dns
TEXT
cat >"$files/etc/profile" <<'TEXT'
export PATH="${PATH:-/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin}"
TEXT
# The harness lays the guest's own over these three.
touch "$files"/etc/{hostname,hosts,resolv.conf}
chmod 0700 "$files/root"
chmod 1777 "$files"/{tmp,var/tmp}

tar --create --file="$work/base.tar" --directory="$files" --format=ustar --sort=name --mtime=@0 \
  --owner=0 --group=0 --numeric-owner .
mv "$work/base.tar" "$output"
