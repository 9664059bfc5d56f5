# shellcheck shell=bash
# shellcheck disable=SC2034 # the constants are for the other parts
# What every stage uses: folders, messages, the stage runner, hashes, waiting.

# Versions. One place, because node image, tools and images have to fit each other.
readonly KUBERNETES_VERSION=v1.36.3
readonly KIND_VERSION=v0.33.0
readonly LOCAL_PATH_VERSION=v0.0.30
readonly METRICS_SERVER_VERSION=v0.9.0

readonly CLUSTER_NAME=${HELLO_CLUSTER_NAME:-hello}
readonly CONTROL_PLANE=$CLUSTER_NAME-control-plane
readonly WORKERS=("$CLUSTER_NAME-worker" "$CLUSTER_NAME-worker2")
NODES=("$CONTROL_PLANE" "${WORKERS[@]}")
readonly NODE_PORT=30080
# Addresses of pods, Services and nodes: ipv4 or ipv6.
readonly IP_FAMILY=${HELLO_KIND_IP_FAMILY:-ipv4}

# Built once and kept. Everything in it can be deleted at any time.
readonly KIND_DIR=${HELLO_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/hello}/kind
readonly BUILD_DIR=$KIND_DIR/build
# What belongs to the running cluster; apart from the build results, so that a test can bring
# up a cluster of its own with the same build results.
readonly STATE_DIR=${HELLO_KIND_STATE:-$KIND_DIR}
readonly LOG_DIR=$STATE_DIR/logs
readonly CLUSTER_KUBECONFIG=$STATE_DIR/kubeconfig
readonly BIN_DIR=$BUILD_DIR/bin

say() { printf '%s\n' "$*" >&2; }

die() {
  say "error: $*"
  exit 1
}

# seconds_since START: whole tenths of a second since START, an earlier value of $EPOCHREALTIME.
seconds_since() {
  local start=${1/[.,]/} now=${EPOCHREALTIME/[.,]/} tenths
  tenths=$(((now - start) / 100000))
  printf '%d.%d s' $((tenths / 10)) $((tenths % 10))
}

# hash_of WORD...: a digest of the words; a word @FILE stands for what is in the file.
hash_of() {
  local word
  for word in "$@"; do
    case $word in
      @*) sha256sum <"${word#@}" ;;
      *) printf '%s\n' "$word" ;;
    esac
  done | sha256sum | cut -c1-16
}

# fresh STAMP HASH OUTPUT...: whether the outputs were built from the inputs that HASH stands for.
fresh() {
  local stamp=$BUILD_DIR/stamps/$1 hash=$2 output
  shift 2
  [[ -f $stamp && $(<"$stamp") == "$hash" ]] || return 1
  for output in "$@"; do
    [[ -s $output ]] || return 1
  done
}

# stamp STAMP HASH: note that the outputs are complete. The last step of a build, never earlier.
stamp() {
  mkdir -p "$BUILD_DIR/stamps"
  printf '%s\n' "$2" >"$BUILD_DIR/stamps/$1.new"
  mv "$BUILD_DIR/stamps/$1.new" "$BUILD_DIR/stamps/$1"
}

# stage NAME WAITS_FOR FUNCTION [ARGUMENT...]: run one step of the work.
# Its output goes to a log file of its own; when it fails, the end of that is shown and the
# script ends. It runs in a subshell of its own, so that it can change nothing but files.
stage() {
  local name=$1 waits_for=$2 log=$LOG_DIR/$1.log start=$EPOCHREALTIME status=0 pid
  shift 2
  say "==> $name: $waits_for"
  mkdir -p "$LOG_DIR"
  # In the background and waited for: a shell carries out its traps only between foreground commands.
  (
    set -eEuo pipefail
    "$@"
  ) >"$log" 2>&1 </dev/null &
  pid=$!
  heartbeat "$name" "$log" "$pid" &
  wait "$pid" || status=$?
  kill $! 2>/dev/null || true
  wait $! 2>/dev/null || true
  if ((status != 0)); then
    say "error: stage '$name' failed after $(seconds_since "$start"); the end of $log:"
    tail -n 25 "$log" | sed 's/^/    | /' >&2
    exit 1
  fi
  say "    $name: done in $(seconds_since "$start")"
}

# heartbeat NAME LOG PID: a line of progress every 20 s while the stage runs.
heartbeat() {
  local name=$1 log=$2 pid=$3 start=$EPOCHREALTIME never
  # A pipe without a writer: waiting on it is a sleep that leaves no process behind when it is killed.
  exec {never}<> <(:)
  while ! read -r -t 20 -u "$never" _ && [[ -d /proc/$pid ]]; do
    say "    $name: running for $(seconds_since "$start"); last line: $(tail -n 1 "$log" 2>/dev/null | cut -c1-120)"
  done
}

# up_to_date NAME: report that a stage has nothing to do.
up_to_date() { say "==> $1: nothing has changed"; }

# wait_until SECONDS WHAT COMMAND...: try the command until it succeeds.
wait_until() {
  local seconds=$1 what=$2 deadline
  shift 2
  deadline=$((SECONDS + seconds))
  echo "waiting up to $seconds s for $what"
  until "$@"; do
    if ((SECONDS >= deadline)); then
      echo "gave up after $seconds s waiting for $what"
      return 1
    fi
    sleep 0.3
  done
}

kubectl() { "$BIN_DIR/kubectl" --kubeconfig "$CLUSTER_KUBECONFIG" "$@"; }

# on_every_node FUNCTION: call it with each node's name, at the same time; fails when one fails.
on_every_node() {
  local node pids=() pid failed=0
  for node in "${NODES[@]}"; do
    "$@" "$node" &
    pids+=($!)
  done
  for pid in "${pids[@]}"; do
    wait "$pid" || failed=1
  done
  return "$failed"
}
