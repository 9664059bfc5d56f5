# shellcheck shell=bash
# One run at a time, and nothing left running of a run that was killed.
#
# Every process that a run starts carries HELLO_KIND_RUN=STATE_DIR:PID:STARTED in its environment,
# so that the next run finds the children of one that was killed with SIGKILL. The engine
# is started without it: it has to outlive the run.

# started_at PID: when the process began, in clock ticks since boot; with the pid, its identity.
started_at() {
  local stat
  stat=$(cat "/proc/$1/stat" 2>/dev/null) || return 1
  # The second field is the command's name, in parentheses, and may hold anything.
  read -ra stat <<<"${stat##*) }"
  printf '%s' "${stat[19]}"
}

# mark_run ARGUMENT...: start the script again with the mark in its environment. It has to be there
# from the start: that is what /proc shows, also for the subshells forked later.
mark_run() {
  local mark
  mark=$STATE_DIR:$$:$(started_at $$)
  [[ ${HELLO_KIND_RUN:-} == "$mark" ]] || HELLO_KIND_RUN=$mark exec "$0" "$@"
}

# marked_processes: lines "PID RUN_PID RUN_STARTED" of all processes of all runs with this state folder.
marked_processes() {
  local file mark
  while IFS= read -r file; do
    mark=$({ tr "\0" "\n" <"$file"; } 2>/dev/null | sed -n 's/^HELLO_KIND_RUN=.*:\([0-9]*\):\([0-9]*\)$/\1 \2/p') || continue
    file=${file#/proc/}
    [[ -z $mark ]] || printf '%s %s\n' "${file%/environ}" "$mark"
  done < <(grep -lzsF "HELLO_KIND_RUN=$STATE_DIR:" /proc/[0-9]*/environ)
}

# kill_orphans: end what is left of runs that are dead.
kill_orphans() {
  local pid run started
  while read -r pid run started; do
    if [[ $(started_at "$run") != "$started" ]]; then
      say "    ending process $pid ($(tr '\0' ' ' <"/proc/$pid/cmdline" 2>/dev/null | cut -c1-60)) left by an earlier run"
      kill -KILL "$pid" 2>/dev/null || true
    fi
  done < <(marked_processes)
}

# kill_children: end what this run has started and not waited for.
kill_children() {
  local pid run started found
  # The whole list first: the process that makes it is on it.
  found=$(marked_processes)
  [[ -n $found ]] || return 0
  while read -r pid run started; do
    if ((run == $$ && pid != $$ && pid != BASHPID)) && [[ $started == "$(started_at $$)" ]]; then
      kill -KILL "$pid" 2>/dev/null || true
    fi
  done <<<"$found"
}

# hold_lock NAME: wait until no other run holds the lock. It is held until the script ends.
# Children inherit it, so that it stays held while anything of a killed run still works.
hold_lock() {
  local descriptor reported=0
  mkdir -p "$STATE_DIR"
  exec {descriptor}>>"$STATE_DIR/$1.lock"
  trap kill_children EXIT
  trap 'exit 130' INT
  trap 'exit 143' TERM HUP
  kill_orphans
  until flock --nonblock "$descriptor"; do
    ((reported++)) || say "waiting for another run that holds $STATE_DIR/$1.lock"
    sleep 1
    kill_orphans
  done
  # A run may have been killed between the two.
  kill_orphans
  LOCKS[$1]=$descriptor
}
declare -A LOCKS=()

# release_lock NAME
release_lock() {
  local descriptor=${LOCKS[$1]}
  exec {descriptor}>&-
  unset "LOCKS[$1]"
}

# without_run COMMAND...: replace this subshell by a command that is to outlive the run.
without_run() {
  local descriptor
  for descriptor in "${LOCKS[@]}"; do
    exec {descriptor}>&-
  done
  unset HELLO_KIND_RUN
  exec setsid "$@"
}
