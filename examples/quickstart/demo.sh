#!/usr/bin/env bash
# The main job in a few seconds, on this machine: a controller, three enrolled hosts, a fleet declared in YAML.
# Everything is under a temporary directory and on loopback; it ends by itself and leaves nothing behind.
set -euo pipefail

program=$(realpath "${1:-target/release/aegis}")
here=$(cd "$(dirname "$0")" && pwd)
root=$(mktemp -d "${TMPDIR:-/tmp}/aegis-demo.XXXXXX")
pids=()
finish() {
  for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done
  for pid in "${pids[@]}"; do wait "$pid" 2>/dev/null || true; done
  rm -rf "$root"
}
trap finish EXIT
trap 'exit 130' INT TERM HUP PIPE

export AEGIS_HOME=$root/home AEGIS_CONTEXT=$root/controller/admin-context.yaml
unset AEGIS_USER_TOKEN AEGIS_OUTPUT AEGIS_CONFIG
aegis() { "$program" "$@"; }
say() { printf '\n\033[1m# %s\033[0m\n' "$*"; }
[ -t 1 ] || say() { printf '\n# %s\n' "$*"; }
run() { printf '$ %s\n' "$*"; "$@"; }
# Runs the rest, and insists on its exit code.
expect() {
  local want=$1 got=0; shift
  run "$@" || got=$?
  [ "$got" = "$want" ] || { echo "expected exit code $want, got $got" >&2; exit 1; }
  [ "$want" = 0 ] || echo "(exit code $got)"
}
# Waits until the rest succeeds, for ten seconds at most.
wait_until() {
  for _ in $(seq 200); do if "$@" >/dev/null 2>&1; then return 0; fi; sleep 0.05; done
  echo "never became true: $*" >&2; return 1
}

say "a controller, with its own CA, keys and store"
# Started as the program itself, not through the function above: what $! names is then what is to be ended.
"$program" controller run --data-dir "$root/controller" --listen 127.0.0.1:0 >"$root/controller.out" 2>"$root/controller.log" &
pids+=($!)
wait_until grep -q "controller ready on" "$root/controller.out"
cat "$root/controller.out"

say "three hosts enrol, each with a token that is good once, and connect"
for host in web-1 web-2 db-1; do
  token=$(aegis controller enrollment-token create --label "$host" --output json | sed -n 's/^ *"token": "\(.*\)",$/\1/p')
  aegis edge enroll "$token" --config "$root/$host/aegis-config.yaml" --force --no-service >"$root/$host.enroll"
  "$program" edge run --config "$root/$host/aegis-config.yaml" 2>"$root/$host.log" &
  pids+=($!)
done
three_are_connected() { [ "$(aegis edge ls --connected --output json | grep -c '"node_id"')" = 3 ]; }
wait_until three_are_connected
run aegis edge ls

mkdir "$root/fleet"
cp "$here/fleet.yaml" "$root/fleet/fleet.yaml"
cd "$root/fleet"
say "what would the manifest change?"
expect 10 aegis diff -f fleet.yaml --exit-code
say "make it so; and again: nothing to do"
expect 0 aegis apply -f fleet.yaml --yes
expect 0 aegis apply -f fleet.yaml --yes
run aegis edge fleet preview --target group:web

say "somebody changes a tag by hand; the command says who will revert it"
expect 0 aegis edge tag rm web-2 prod
expect 0 aegis edge tag add web-2 canary
say "that is drift, and apply repairs what the manifest owns; canary isn't its own, so it stays"
expect 10 aegis diff -f fleet.yaml --exit-code
expect 0 aegis apply -f fleet.yaml --yes

say "another team may add to the same hosts, but not take over what isn't its own"
cat >"$root/team.yaml" <<'YAML'
apiVersion: aegis.dev/v1
kind: EdgeNode
metadata: {name: web-1}
spec: {tags: [team-b], displayName: Ours now}
YAML
expect 11 aegis apply -f "$root/team.yaml" --owner team-b --yes

say "what is no longer declared is pruned; what others own is not"
awk 'BEGIN{RS="---\n"; ORS=""} !/name: (backups|deploy)/{ if (n++) print "---\n"; print }' "$here/fleet.yaml" >fleet.yaml
expect 0 aegis apply -f fleet.yaml --prune --yes

say "the same for programs"
expect 0 aegis diff -f fleet.yaml --output json

say "who did what; and is the audit log whole?"
run aegis history
run aegis controller audit verify
for pid in "${pids[@]}"; do kill "$pid"; done
for pid in "${pids[@]}"; do wait "$pid"; done
pids=()
say "done; nothing is left running"
