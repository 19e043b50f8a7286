# shellcheck shell=bash
# What every demo stands on: a temporary directory, a controller on loopback, and helpers. Sourced, with the program's path
# as its argument. Everything ends by itself, and nothing is left behind.

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
# Starts a controller, and says where it is.
start_controller() {
  # Started as the program itself, not through the function above: what $! names is then what is to be ended.
  "$program" controller run --data-dir "$root/controller" --listen 127.0.0.1:0 \
    >"$root/controller.out" 2>"$root/controller.log" &
  pids+=($!)
  wait_until grep -q "controller ready on" "$root/controller.out"
  cat "$root/controller.out"
}
# Enrols a host of this name.
enroll_host() {
  local token
  token=$(aegis controller enrollment-token create --label "$1" --output json | sed -n 's/^ *"token": "\(.*\)",$/\1/p')
  aegis edge enroll "$token" --config "$root/$1/aegis-config.yaml" --force --no-service >"$root/$1.enroll"
}
# Starts the daemon of an enrolled host.
start_host() {
  "$program" edge run --config "$root/$1/aegis-config.yaml" 2>"$root/$1.log" &
  pids+=($!)
}
# Whether so many hosts are connected.
connected() { [ "$(aegis edge ls --connected --output json | grep -c '"node_id"')" = "$1" ]; }
# Ends what was started, and waits for it.
stop_all() {
  for pid in "${pids[@]}"; do kill "$pid"; done
  for pid in "${pids[@]}"; do wait "$pid"; done
  pids=()
}
