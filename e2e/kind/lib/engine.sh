# shellcheck shell=bash
# The container engine: the one that answers, or one of our own.
#
# Our own engine keeps everything that is its own apart: its data in the state folder, its sockets
# in a folder of /run, its processes and containers in control groups of one name. That is how
# it is distinguished from any other engine, and found again after a crash.

ENGINE_ID=hello-kind-$(hash_of "$STATE_DIR")
readonly ENGINE_ID
readonly ENGINE_DIR=$STATE_DIR/engine
readonly ENGINE_RUN=/run/$ENGINE_ID
readonly ENGINE_BEFORE=$ENGINE_DIR/before
readonly CGROUPS=/sys/fs/cgroup
# What an engine and the nodes change for the whole machine; restored when the engine ends.
readonly KEPT_SETTINGS=(net/ipv4/ip_forward net/ipv6/conf/all/forwarding net/ipv6/conf/default/forwarding
  net/bridge/bridge-nf-call-iptables net/bridge/bridge-nf-call-ip6tables
  vm/overcommit_memory kernel/panic kernel/panic_on_oops)

engine_answers() { timeout 10 docker version --format '{{.Server.Version}}' >/dev/null 2>&1; }

# engine_socket: the socket that docker's clients use, as they find it.
engine_socket() {
  case ${DOCKER_HOST:-} in
    '') printf '/var/run/docker.sock' ;;
    unix://*) printf '%s' "${DOCKER_HOST#unix://}" ;;
    *) die "no engine answers at DOCKER_HOST=$DOCKER_HOST, and only one at a unix:// socket can be started here" ;;
  esac
}

# processes_with_argument NAME ARGUMENT: pids of the programs of that name that were called with it.
processes_with_argument() {
  local file words
  for file in /proc/[0-9]*/cmdline; do
    mapfile -d '' -t words 2>/dev/null <"$file" || continue
    [[ ${words[0]:-} == */"$1" || ${words[0]:-} == "$1" ]] || continue
    [[ " ${words[*]} " != *" $2 "* ]] || printf '%s\n' "$(basename "$(dirname "$file")")"
  done 2>/dev/null
}

own_dockerd() { processes_with_argument dockerd "--data-root=$ENGINE_DIR/data"; }
own_containerd() { processes_with_argument containerd "--root=$ENGINE_DIR/containerd"; }

# no_engine_runs: no process of any Docker engine.
no_engine_runs() { ! runs dockerd; }

# runs NAME: a process of this name lives. One that has ended may stay in the list until its status is read.
runs() { ps -C "$1" -o stat= | awk '!/^Z/ { lives = 1 } END { exit !lives }'; }

# engine_is_ours: whether the engine that answers is the one that was started here.
engine_is_ours() { [[ -n $(own_dockerd) ]]; }

# can_raise_limits: whether this machine lets us have CAP_SYS_RESOURCE (bit 24), which privileged containers ask for.
can_raise_limits() {
  local bounding
  bounding=$(sed -n 's/^CapBnd:\s*//p' /proc/self/status)
  (((16#$bounding >> 24) & 1))
}

# remember_settings: note the machine's settings as they are before the engine changes them.
remember_settings() {
  local setting
  # An earlier engine was not taken down: what counts is how it was before that one.
  [[ ! -f $ENGINE_BEFORE ]] || return 0
  for setting in "${KEPT_SETTINGS[@]}"; do
    [[ ! -f /proc/sys/$setting ]] || printf '%s %s\n' "$setting" "$(<"/proc/sys/$setting")"
  done >"$ENGINE_BEFORE.new"
  printf 'forward-policy %s\n' "$(iptables -S FORWARD 2>/dev/null | sed -n 's/^-P FORWARD //p')" >>"$ENGINE_BEFORE.new"
  mv "$ENGINE_BEFORE.new" "$ENGINE_BEFORE"
}

# cgroup_trees: the roots of the control group trees: one with version 2, one a controller with version 1.
cgroup_trees() {
  local tree
  if [[ -f $CGROUPS/cgroup.procs ]]; then
    printf '%s\n' "$CGROUPS"
    return
  fi
  for tree in "$CGROUPS"/*; do
    [[ ! -f $tree/cgroup.procs || -L $tree ]] || printf '%s\n' "$tree"
  done
}

# enter_cgroup NAME: move this shell, and with it what it starts, into a control group of ours.
enter_cgroup() {
  local tree self=$BASHPID
  cgroup_trees | while IFS= read -r tree; do
    mkdir -p "$tree/$1"
    # A cpuset without processors and memory takes no process.
    [[ ! -f $tree/cpuset.cpus || ! -f $tree/$1/cpuset.cpus ]] || cat "$tree/cpuset.cpus" >"$tree/$1/cpuset.cpus"
    [[ ! -f $tree/cpuset.mems || ! -f $tree/$1/cpuset.mems ]] || cat "$tree/cpuset.mems" >"$tree/$1/cpuset.mems"
    echo "$self" >"$tree/$1/cgroup.procs"
  done
}

# spawn LOG COMMAND...: start a daemon of the engine, in its control group, outliving this run.
spawn() {
  local log=$1
  shift
  (
    enter_cgroup "$ENGINE_ID-engine"
    without_run "$@"
  ) >>"$log" 2>&1 </dev/null &
}

start_engine() {
  local socket
  socket=$(engine_socket)
  ((EUID == 0)) || {
    echo "no Docker engine answers at $socket; starting one needs root"
    return 1
  }
  if [[ -n $(own_dockerd)$(own_containerd) ]]; then
    echo "an engine of ours runs but does not answer: ending it"
    end_engine_processes
  elif ! no_engine_runs; then
    echo "a Docker engine runs on this machine but does not answer at $socket: set DOCKER_HOST, or stop it"
    return 1
  fi
  mkdir -p "$ENGINE_DIR" "$ENGINE_RUN" "$(dirname "$socket")"
  rm -f "$ENGINE_RUN/docker.pid" "$ENGINE_RUN/containerd/containerd.sock" "$socket"
  remember_settings
  printf '%s\n' "$socket" >"$ENGINE_DIR/socket"
  start_containerd
  start_dockerd "$socket"
}

start_containerd() {
  printf 'version = 2\ndisabled_plugins = ["io.containerd.grpc.v1.cri"]\noom_score = 0\n' >"$ENGINE_DIR/containerd.toml"
  spawn "$LOG_DIR/containerd.log" containerd --config="$ENGINE_DIR/containerd.toml" \
    --root="$ENGINE_DIR/containerd" --state="$ENGINE_RUN/containerd" --address="$ENGINE_RUN/containerd/containerd.sock"
  wait_until 30 "containerd's socket" test -S "$ENGINE_RUN/containerd/containerd.sock" || {
    tail -n 20 "$LOG_DIR/containerd.log"
    return 1
  }
}

start_dockerd() {
  local options=(--data-root="$ENGINE_DIR/data" --exec-root="$ENGINE_RUN/docker" --pidfile="$ENGINE_RUN/docker.pid"
    --host="unix://$1" --containerd="$ENGINE_RUN/containerd/containerd.sock" --config-file="$ENGINE_DIR/daemon.json"
    --exec-opt=native.cgroupdriver=cgroupfs --cgroup-parent="/$ENGINE_ID" --oom-score-adjust=0 --shutdown-timeout=5)
  # An empty configuration, so that one in /etc does not contradict the options.
  printf '{}\n' >"$ENGINE_DIR/daemon.json"
  [[ -z ${HELLO_REGISTRY_MIRROR:-} ]] || options+=(--registry-mirror="$HELLO_REGISTRY_MIRROR")
  if ! can_raise_limits; then
    echo "CAP_SYS_RESOURCE is missing here: containers run without it"
    install -m 755 "$SOURCE_DIR/lib/oci-runtime" "$ENGINE_DIR/oci-runtime"
    options+=(--add-runtime="limited=$ENGINE_DIR/oci-runtime" --default-runtime=limited)
  fi
  spawn "$LOG_DIR/dockerd.log" dockerd "${options[@]}"
  wait_until 60 "the engine" dockerd_settled || true
  engine_answers || {
    tail -n 20 "$LOG_DIR/dockerd.log"
    return 1
  }
}

# dockerd_settled: it answers, or it has ended and never will.
dockerd_settled() { engine_answers || { sleep 1 && [[ -z $(own_dockerd) ]]; }; }

# ensure_engine: the engine answers, started by us if need be.
ensure_engine() {
  if engine_answers; then
    if engine_is_ours; then
      up_to_date engine
    else
      say "==> engine: one is running already: used as it is, and left alone by 'down'"
    fi
  else
    stage engine "installing and starting a Docker engine, waiting for its socket" start_engine
  fi
}

readonly REGISTRY_PROBE=hello-world:latest

# registry_answers: the engine can pull an image, be it from a mirror.
registry_answers() { timeout 20 docker pull --quiet "$REGISTRY_PROBE" >/dev/null 2>&1; }

# image_source: where the node image comes from, with the reason on standard error.
image_source() {
  case ${HELLO_KIND_IMAGES:-auto} in
    registry | local)
      say "==> images: $HELLO_KIND_IMAGES, set by HELLO_KIND_IMAGES"
      printf '%s' "$HELLO_KIND_IMAGES"
      ;;
    auto)
      if [[ -f $CLUSTER_DIR/stamp && -f $CLUSTER_DIR/source ]]; then
        say "==> images: $(<"$CLUSTER_DIR/source"), as when the nodes were made"
        cat "$CLUSTER_DIR/source"
      elif engine_is_ours && ! can_raise_limits; then
        say "==> images: local, because the official node image needs CAP_SYS_RESOURCE, which is missing here"
        printf local
      elif registry_answers; then
        say "==> images: registry, because the engine can pull from it"
        printf registry
      else
        say "==> images: local, because the engine cannot pull $REGISTRY_PROBE"
        printf local
      fi
      ;;
    *) die "HELLO_KIND_IMAGES is '$HELLO_KIND_IMAGES': it has to be auto, registry or local" ;;
  esac
}
