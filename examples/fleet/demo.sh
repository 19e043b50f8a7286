#!/usr/bin/env bash
# A tool on many hosts: waves, a failure that halts them, a cancel, a rollout with a health check, new keys.
set -euo pipefail
# shellcheck source=../stage.sh
source "$(dirname "$0")/../stage.sh"

say "a controller and three hosts; the owner of each declares two tools of its own"
start_controller
for host in web-1 web-2 db-1; do
  enroll_host "$host"
  cat >"$root/$host/deploy" <<SH
#!/bin/sh
# Version 13 has a bug that only web-2 meets.
[ "$host-\$1" != web-2-13 ] || { echo "$host: cannot start version \$1" >&2; exit 1; }
echo "\$1" >"$root/$host/version"; echo "$host: version \$1 is up"
SH
  chmod +x "$root/$host/deploy"
  cat >>"$root/$host/aegis-config.yaml" <<YAML
      tools:
        - name: app.deploy
          summary: bring the app to a version
          class: state-mutating
          argv: ["$root/$host/deploy", "{version}"]
          parameters: {type: object, properties: {version: {type: string, pattern: "^[0-9]+$"}}, required: [version]}
        - name: app.check
          summary: say whether the app has this version
          class: read-only
          argv: [/usr/bin/grep, -x, "{version}", "$root/$host/version"]
          parameters: {type: object, properties: {version: {type: string, pattern: "^[0-9]+$"}}, required: [version]}
YAML
  start_host "$host"
done
wait_until connected 3
mkdir "$root/fleet"
cp "$here/contexts.yaml" "$root/fleet"
cd "$root/fleet"

say "before anything is declared, hosts give read-only tools and nothing else"
expect 1 aegis edge call --target @web-1 --tool cmd.run --arg command=uname
say "what is declared is in force for the next call"
expect 0 aegis apply -f contexts.yaml --yes
expect 0 aegis edge call --target @web-1 --tool cmd.run --arg command=uname
run aegis edge tools ls --node web-1

say "version 1 on all hosts at once"
expect 0 aegis edge fleet run --target all --tool app.deploy --arg version=1
say "version 13, one host after the other: web-2 fails, and nothing more begins"
expect 6 aegis edge fleet run --target all --tool app.deploy --arg version=13 --mode rolling=1
say "the same, going on after failures"
expect 1 aegis edge fleet run --target all --tool app.deploy --arg version=13 --mode rolling=1 --on-error continue
say "fewer hosts than are wanted: nothing is sent at all"
expect 9 aegis edge fleet run --target all --tool app.deploy --arg version=13 --require-min 4
say "a deadline, kept on the host: what was begun is ended there, with all its children"
expect 8 aegis edge fleet run --target all --tool cmd.run --arg command=sleep --arg args=60 --deadline 300ms

say "Ctrl-C cancels on every host and waits until each has said so"
printf '$ %s\n' "aegis edge fleet run --target all --tool cmd.run --arg command=sleep --arg args=60   # and Ctrl-C"
"$program" edge fleet run --target all --tool cmd.run --arg command=sleep --arg args=60 &
running=$!
three_sleep() { aegis edge fleet runs --output json | grep -q '"state": "running"'; }
wait_until three_sleep
kill -INT "$running"
got=0; wait "$running" || got=$?
[ "$got" = 7 ] || { echo "expected exit code 7, got $got" >&2; exit 1; }
echo "(exit code $got)"
run aegis edge fleet runs

say "a rollout is declared: version 2, one host after the other, each checked before the next"
for host in web-1 web-2 db-1; do aegis edge tag add "$host" prod >/dev/null; done
cp "$here/rollout.yaml" .
expect 0 aegis apply -f . --yes --wait
run aegis rollout status version-2
say "a new generation with version 13: web-2 fails, and version 1 is back on every host it reached"
sed -i 's/version: "2"/version: "13"/' rollout.yaml
expect 6 aegis apply -f . --yes --wait
expect 6 aegis rollout status version-2

say "new keys for all hosts, one after the other; they stay connected"
expect 0 aegis edge fleet keys rotate --target all --mode rolling=1
wait_until connected 3
expect 0 aegis edge call --target @db-1 --tool host.facts
run aegis controller audit verify
stop_all
say "done; nothing is left running"
