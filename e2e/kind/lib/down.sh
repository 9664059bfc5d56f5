# shellcheck shell=bash
# Taking everything down: also what a killed run or an engine that died has left behind.

# take_down: the nodes, then the engine if it is ours, then whatever is left of it.
take_down() {
  if engine_answers; then
    if (($(existing_nodes) > 0)); then
      stage delete-nodes "removing the nodes and their volumes" delete_nodes
    fi
    remove_kind_network
  fi
  rm -f "$CLUSTER_DIR/stamp" "$CLUSTER_KUBECONFIG"
  if engine_answers && ! engine_is_ours; then
    say "==> engine: it was running before: left alone"
  elif ((EUID == 0)) && engine_left_something; then
    stage stop-engine "stopping the engine, removing its mounts, links and firewall rules" stop_engine
  else
    say "==> engine: nothing of it is left"
  fi
}

# remove_kind_network: kind makes it when it makes the first cluster, and never removes it.
remove_kind_network() {
  [[ -z $(docker network ls -q --filter name='^kind$') ]] ||
    [[ -n $(docker ps -aq --filter network=kind) ]] || docker network rm kind >/dev/null 2>&1 || true
}

# engine_left_something: a trace of an engine of ours, or of one that is dead.
engine_left_something() {
  [[ -d $ENGINE_RUN || -f $ENGINE_BEFORE || -n $(own_dockerd)$(own_containerd)$(own_cgroups)$(own_mounts) ]] && return
  no_engine_runs && [[ -n $(docker_links) || -n $(firewall_remains iptables)$(firewall_remains ip6tables) ]]
}

stop_engine() {
  end_engine_processes
  remove_mounts
  remove_cgroups
  # Links and firewall rules carry no owner: they are removed only when no engine is left that they could belong to.
  if no_engine_runs; then
    remove_links
    remove_firewall_rules iptables
    remove_firewall_rules ip6tables
    restore_settings
    remove_runtime_folders
  else
    echo "another engine runs: network links and firewall rules are left to it"
  fi
  [[ ! -f $ENGINE_DIR/socket ]] || rm -f "$(<"$ENGINE_DIR/socket")"
  rm -rf "$ENGINE_RUN" "$ENGINE_BEFORE" "$ENGINE_DIR/socket"
}

# own_cgroups: the control groups of the engine and of its containers, in every tree.
own_cgroups() {
  local tree group
  cgroup_trees | while IFS= read -r tree; do
    for group in "$tree/$ENGINE_ID" "$tree/$ENGINE_ID-engine"; do
      [[ ! -d $group ]] || printf '%s\n' "$group"
    done
  done
}

# own_mounts: the last one made comes first.
own_mounts() {
  awk -v engine="$ENGINE_DIR/" -v run="$ENGINE_RUN/" -v build="$IMAGE_DIR/" \
    'index($5, engine) == 1 || index($5, run) == 1 || index($5, build) == 1 { print $5 }' /proc/self/mountinfo | tac
}

# end_engine_processes: the engine in good order if it can, then every process in our control groups.
end_engine_processes() {
  local pids
  pids=$(own_dockerd)
  if [[ -n $pids ]]; then
    xargs kill <<<"$pids" || true
    wait_until 15 "the engine to end" engine_has_ended || true
  fi
  wait_until 20 "its other processes to end" kill_in_cgroups
}

engine_has_ended() { [[ -z $(own_dockerd) ]]; }

# kill_in_cgroups: fails until none is left.
kill_in_cgroups() {
  local group pids
  pids=$({
    own_containerd
    own_dockerd
    own_cgroups | while IFS= read -r group; do
      find "$group" -name cgroup.procs -exec cat {} +
    done
  } 2>/dev/null | sort -u | grep -vx 0)
  [[ -n $pids ]] || return 0
  xargs kill -KILL <<<"$pids" 2>/dev/null || true
  return 1
}

remove_mounts() {
  local mount
  own_mounts | while IFS= read -r mount; do
    umount --lazy "$mount" || true
  done
}

remove_cgroups() {
  local group
  own_cgroups | while IFS= read -r group; do
    find "$group" -depth -type d -exec rmdir {} + || true
  done
}

# docker_links: the names of the links that an engine makes.
docker_links() {
  ip -o link show | sed -n 's/^[0-9]*: \(docker0\|br-[0-9a-f]\{12\}\|veth[0-9a-f]\{7\}\)[@:].*/\1/p'
}

remove_links() {
  local link
  docker_links | while IFS= read -r link; do
    ip link delete "$link" || true
  done
}

# firewall_remains COMMAND: how to remove an engine's rules, as input for COMMAND-restore.
# Its rules are those that name its chains or its links, and the ones that let a container reach itself.
firewall_remains() {
  command -v "$1-save" >/dev/null || return 0
  # Debian's awk knows no repetition counts, so the twelve digits of a bridge's name are spelled out.
  "$1-save" | awk '
    BEGIN { digit = "[0-9a-f]"; four = digit digit digit digit; links = " -[io] (docker0|br-" four four four ")( |$)" }
    function flush_table() {
      if (found) printf "%s\n%s%s%sCOMMIT\n", table, rules, flushes, chains
      found = 0; rules = flushes = chains = ""
    }
    /^\*/ { flush_table(); table = $0 }
    /^:DOCKER/ { name = substr($1, 2); found = 1; flushes = flushes "-F " name "\n"; chains = chains "-X " name "\n" }
    /^-A / && $2 !~ /^DOCKER/ && (/-j DOCKER/ || $0 ~ links ||
      ($2 == "POSTROUTING" && $3 == "-s" && $5 == "-d" && $4 == $6 && /-j MASQUERADE$/)) {
      found = 1; sub(/^-A/, "-D"); rules = rules $0 "\n"
    }
    END { flush_table() }'
}

# remove_firewall_rules COMMAND
remove_firewall_rules() {
  local command=$1 removal policy
  command -v "$command" >/dev/null || return 0
  removal=$(firewall_remains "$command")
  [[ -z $removal ]] || "$command-restore" --noflush <<<"$removal"
  if [[ $command == iptables && -n $removal ]]; then
    policy=$(sed -n 's/^forward-policy //p' "$ENGINE_BEFORE" 2>/dev/null || true)
    # Without a note of how it was: an empty chain that drops everything is what an engine leaves.
    [[ -n $policy ]] || iptables -S FORWARD | grep '^-A' >/dev/null || policy=ACCEPT
    [[ -z $policy ]] || iptables -P FORWARD "$policy"
  fi
  remove_empty_tables "$command"
}

# remove_empty_tables COMMAND: tables that hold nothing are created again when they are needed.
remove_empty_tables() {
  local family=ip table
  [[ $1 == iptables ]] || family=ip6
  command -v nft >/dev/null || return 0
  for table in filter nat raw mangle; do
    ! nft -j list table "$family" "$table" 2>/dev/null |
      jq -e 'all(.nftables[]; .rule == null and .set == null and (.chain.policy // "accept") == "accept")' >/dev/null ||
      nft delete table "$family" "$table"
  done
}

# remove_runtime_folders: what engines make in fixed places, whatever their options are.
remove_runtime_folders() {
  ! runs containerd || return 0
  rm -rf /run/containerd/s
  rmdir /run/containerd /run/docker/plugins /run/docker 2>/dev/null || true
}

restore_settings() {
  local setting value
  [[ -f $ENGINE_BEFORE ]] || return 0
  while read -r setting value; do
    [[ ! -w /proc/sys/$setting ]] || printf '%s\n' "$value" >"/proc/sys/$setting" || true
  done <"$ENGINE_BEFORE"
}
