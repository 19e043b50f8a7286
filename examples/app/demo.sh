#!/usr/bin/env bash
# Apps of OCI images on this machine, each in a guest of its own: run, serve, sleep, wake, replace.
set -euo pipefail
# shellcheck source=../stage.sh
source "$(dirname "$0")/../stage.sh"
# shellcheck source=registry.sh
source "$here/registry.sh"
# Nothing here asks a controller.
unset AEGIS_CONTEXT
# The daemon isn't a child of this shell: it is ended by its own command, whatever happens.
trap 'aegis down >/dev/null 2>&1 || true; finish' EXIT

say "a registry, and in it an image that is made here: busybox, a page, and a program that counts visits"
start_registry
mkdir -p "$root/files/srv/cgi-bin"
echo "guestbook, first edition" >"$root/files/srv/index.html"
cat >"$root/files/srv/cgi-bin/visit" <<'SH'
#!/bin/sh
echo visit >>/workspace/visits
printf 'Content-Type: text/plain\r\n\r\n'
echo "$GREETING, this is visit $(wc -l </workspace/visits)"
SH
chmod +x "$root/files/srv/cgi-bin/visit"
make_image demo/guestbook:1 "$guest_cache/base.tar" "$root/files"
image=$registry/demo/guestbook:1

say "the daemon; what it runs guests with is never hidden"
mkdir -p "$AEGIS_HOME"
printf 'router: {listen: "127.0.0.1:0"}\n' >"$AEGIS_HOME/aegisd.yaml"
run aegis up
run aegis status
router=$(aegis status --output json | sed -n 's/^ *"router": "\(.*\)".*/\1/p')

say "a command in a guest of its own; its exit code is ours"
expect 0 aegis run -- echo "hello from aegis"
expect 42 aegis run -- sh -c 'exit 42'
expect 0 aegis run --image "$image" --memory 128M -- cat /srv/index.html

# Runs `aegis …` in the background until it serves; $! is its process.
serve_in_background() {
  printf '$ %s\n' "aegis $*   # and Ctrl-C, later"
  "$program" "$@" >"$root/serving" 2>&1 &
  serving=$!
  pids+=("$serving")
  wait_until_booted grep -q "Press Ctrl+C" "$root/serving"
  cat "$root/serving"
}
# As wait_until, for what takes a boot.
wait_until_booted() {
  for _ in 1 2 3 4 5 6; do if wait_until "$@" 2>/dev/null; then return 0; fi; done
  echo "never became true: $*" >&2; cat "$root"/serving "$AEGIS_HOME"/data/*.log >&2 2>/dev/null || true
  return 1
}
interrupt() { kill -INT "$serving"; wait "$serving" || true; unset 'pids[-1]'; }
get() { curl --noproxy '*' --silent --show-error --fail --max-time 60 "$@"; }

say "a server, through the router"
serve_in_background run --expose 80 --image "$image" -- httpd -f -p 80 -h /srv
run get "$router/"
interrupt

say "an app: created, published, served; its secret is in the guest's memory and nowhere else"
expect 0 aegis app create --name guests --image "$image" --expose 80 -- httpd -f -vv -p 80 -h /srv
expect 0 aegis app publish guests --label v1
printf 'Welcome' | expect 0 aegis secret set guests GREETING --stdin
serve_in_background app serve guests
run get -H "Host: guests.localhost" "$router/cgi-bin/visit"
run get "$router/app/guests/cgi-bin/visit"
expect 0 aegis exec guests -- cat /workspace/visits
expect 0 aegis exec guests -- sh -c 'hostname; id -un; head -n 1 /etc/os-release'
run aegis logs guests
run aegis instance list
interrupt
expect 0 aegis app delete guests

say "the same, declared: apply creates, publishes and serves it"
expect 0 aegis secret set-workspace GREETING "Good day"
mkdir "$root/manifests"
sed "s#registry.example#$registry#" "$here/guestbook.yaml" >"$root/manifests/guestbook.yaml"
cd "$root/manifests"
expect 10 aegis diff -f . --exit-code
expect 0 aegis apply -f . --yes
answers() { get -H "Host: guestbook.localhost" "$router/" | grep -q "$1"; }
wait_until_booted answers "first edition"
run get -H "Host: guestbook.localhost" "$router/cgi-bin/visit"

say "nobody asks: it is paused; the next request wakes it"
is() { aegis instance list | grep -q "$1"; }
wait_until_booted is paused
run aegis instance list
run get -H "Host: guestbook.localhost" "$router/cgi-bin/visit"

say "another image: a new release takes over once it is ready, and finds its workspace"
echo "guestbook, second edition" >"$root/files/srv/index.html"
make_image demo/guestbook:2 "$guest_cache/base.tar" "$root/files"
sed -i "s#guestbook:1#guestbook:2#" guestbook.yaml
expect 0 aegis apply -f . --yes
wait_until_booted answers "second edition"
run get -H "Host: guestbook.localhost" "$router/cgi-bin/visit"
run aegis app info guestbook
run aegis history

say "down: guests, sockets and mounts go with it; records, workspaces and logs stay"
expect 0 aegis down
# The registry dies of its signal, which is no fault.
kill "${pids[@]}"; wait "${pids[@]}" || true
pids=()
say "done; nothing is left running"
