# Functions for the scripts in this folder: they build the program and run it, on databases that end with the script.
# shellcheck shell=bash disable=SC2034 # the scripts read what is set here

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../../.." && pwd)
cache=${HELLO_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/hello}
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$cache/target}
work=$(mktemp -d)
# Running processes, which are ended here: the newest app, and all that were started.
app='' apps=() postgres=''
# PostgreSQL refuses to run as root.
as_nobody=()
[ "$(id -u)" -ne 0 ] || as_nobody=(setpriv --reuid=65534 --regid=65534 --clear-groups --)

say() { printf 'contract: %s\n' "$*"; }
die() { say "$*" >&2; exit 1; }

cleanup() {
  [ "${#apps[@]}" -eq 0 ] || kill -KILL "${apps[@]}" 2>/dev/null || true
  # PostgreSQL then ends its child processes too.
  [ -z "$postgres" ] || kill -QUIT "$postgres" 2>/dev/null || true
  wait 2>/dev/null
  rm -rf "$work"
}
trap cleanup EXIT

# until_true SECONDS COMMAND...
until_true() {
  local end=$((SECONDS + $1))
  shift
  until "$@" >/dev/null 2>&1; do
    [ "$SECONDS" -lt "$end" ] || return 1
    sleep 0.05
  done
}

# Starts a server on a free port; the database's address is then in $url.
start_postgres() {
  local bin data=$work/postgres port
  bin=${PG_BIN:-$("$root/manifests/images/postgres/fetch")/bin}
  port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
  chmod 755 "$work"
  mkdir "$data"
  [ "$(id -u)" -ne 0 ] || chown 65534:65534 "$data"
  "${as_nobody[@]}" "$bin/initdb" --pgdata "$data" --username postgres --auth trust --encoding UTF8 --locale C --no-sync >/dev/null
  "${as_nobody[@]}" "$bin/postgres" -D "$data" -p "$port" -k '' -c listen_addresses=127.0.0.1 -c fsync=off >"$work/postgres.log" 2>&1 &
  postgres=$!
  until_true 20 "$bin/pg_isready" --host 127.0.0.1 --port "$port" || { cat "$work/postgres.log"; die "PostgreSQL does not start"; }
  url="postgres://postgres@127.0.0.1:$port/postgres?sslmode=disable"
}

# start_app LOG [VARIABLE=VALUE...]: serves the database $url on a free port; its process is then $app, its address $address,
# that of its metrics $admin.
start_app() {
  local log=$1
  shift
  env --ignore-environment DATABASE_URL="$url" "$binary" migrate 2>>"$log"
  env --ignore-environment DATABASE_URL="$url" "$binary" seed --count 200 2>>"$log"
  env --ignore-environment DATABASE_URL="$url" HELLO_LISTEN=127.0.0.1:0 HELLO_ADMIN_LISTEN=127.0.0.1:0 HELLO_DRAIN_DELAY=0s "$@" "$binary" serve 2>>"$log" &
  app=$!
  apps+=("$app")
  until_true 20 grep 'listening .* api=' "$log" || { cat "$log"; die "the app does not start"; }
  address=$(sed -n 's/.* api=\([^ ]*\).*/\1/p' "$log")
  admin=$(sed -n 's/.* admin=\([^ ]*\).*/\1/p' "$log")
}

ends_cleanly() {
  kill -TERM "$app"
  timeout 30 tail --pid "$app" -f /dev/null && wait "$app"
}

build_app() {
  # The same build as in e2e/tools/cargo-tests, so that it is built once.
  (cd "$root" && cargo build --quiet --workspace --locked --bin hello-app --test it)
  binary=$CARGO_TARGET_DIR/debug/hello-app
}

# node_packages FOLDER BIN: prints the folder of the npm packages that FOLDER/package-lock.json pins; npm is in BIN.
node_packages() {
  local folder
  folder=$cache/node-packages/$(sha256sum "$1/package-lock.json" | cut -c1-16)
  if [ ! -e "$folder/.complete" ]; then
    mkdir -p "$folder"
    cp "$1/package.json" "$1/package-lock.json" "$folder"
    PATH=$2:$PATH "$2/npm" ci --prefix "$folder" --ignore-scripts --no-audit --no-fund --silent >&2 ||
      die "cannot install the packages of $1"
    touch "$folder/.complete"
  fi
  printf '%s\n' "$folder/node_modules"
}
