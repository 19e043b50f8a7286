# shellcheck shell=bash
# Debian's packages for the guest, by apt's own tools. Sourced by the scripts beside it.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
target=${CARGO_TARGET_DIR:-$root/target}
# Where unpacked packages and what is made of them stay: removing it fetches everything anew.
cache=$target/guest-cache
mkdir -p "$cache"

say() { echo "guest: $*" >&2; }
fail() { say "$1"; [ $# -lt 2 ] || say "hint: $2"; exit 1; }

# Runs the rest as root.
as_root() {
  if [ "$(id -u)" = 0 ]; then "$@"
  elif command -v sudo >/dev/null; then sudo "$@"
  else fail "'$*' needs root, and there is no sudo" "run it as root, then run this again"; fi
}

# Reads the lists of packages anew, once a run.
update_lists() {
  [ -z "${lists_are_new:-}" ] || return 1
  lists_are_new=1
  as_root apt-get update -q >&2
}

# Installs the package $2 unless there is a program $1.
need() {
  PATH=$PATH:/usr/sbin:/sbin command -v "$1" >/dev/null || missing+=("$2")
}
install_missing() {
  [ ${#missing[@]} -gt 0 ] || return 0
  command -v apt-get >/dev/null || fail "missing: ${missing[*]}" "install them with this system's package manager"
  say "installing ${missing[*]}"
  update_lists || true
  as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "${missing[@]}" >&2
  missing=()
}
missing=()

# The package that the package $1 depends on whose name matches $2: `linux-image-cloud-amd64` only names the newest.
dependency() {
  local found
  found=$(apt-cache depends "$1" 2>/dev/null | sed -n 's/^ *Depends: //p' | grep -E -m1 "$2" || true)
  if [ -z "$found" ] && update_lists; then dependency "$1" "$2"; return; fi
  [ -n "$found" ] || fail "apt knows no $1" "Debian 12 and newer have it"
  echo "$found"
}

# Downloads the package $1 and unpacks it as the directory $2, without installing it. Whole or not at all.
unpack() {
  local package=$1 directory=$2 work
  command -v dpkg-deb >/dev/null || fail "this isn't Debian: there is no dpkg-deb" "see docs/operations.md for other ways"
  work=$(mktemp -d "$cache/unpack.XXXXXX")
  say "fetching $package"
  # apt drops to its own user where it can; it may not write here, and says so at length.
  if ! (cd "$work" && apt-get download -q -o APT::Sandbox::User=root "$package" >&2); then
    update_lists || fail "$package can't be downloaded"
    (cd "$work" && apt-get download -q -o APT::Sandbox::User=root "$package" >&2)
  fi
  dpkg-deb -x "$work"/*.deb "$work/files"
  chmod 0755 "$work/files"
  rm -rf "$directory"
  mv "$work/files" "$directory"
  rm -rf "$work"
}
