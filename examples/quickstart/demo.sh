#!/usr/bin/env bash
# The main job in a few seconds, on this machine: a controller, three enrolled hosts, a fleet declared in YAML.
set -euo pipefail
# shellcheck source=../stage.sh
source "$(dirname "$0")/../stage.sh"

say "a controller, with its own CA, keys and store"
start_controller

say "three hosts enrol, each with a token that is good once, and connect"
for host in web-1 web-2 db-1; do
  enroll_host "$host"
  start_host "$host"
done
wait_until connected 3
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
stop_all
say "done; nothing is left running"
