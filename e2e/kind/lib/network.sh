# shellcheck shell=bash
# The pods' network without a network plugin's image: a bridge in each node, routes between the nodes,
# and address translation for what leaves the cluster.

# What is different in a cluster of the other address family: the pods' addresses, all addresses, this machine, the
# engine's name of a node's address, and the option and the program for routes and rules.
case $IP_FAMILY in
  ipv4) FAMILY=(10.244.0.0/16 0.0.0.0/0 127.0.0.1 IPAddress -4 iptables) ;;
  ipv6) FAMILY=(fd00:10:244::/56 ::/0 ::1 GlobalIPv6Address -6 ip6tables) ;;
  *) die "HELLO_KIND_IP_FAMILY is '$IP_FAMILY': ipv4 or ipv6" ;;
esac
# shellcheck disable=SC2034 # some are for the other parts
readonly POD_SUBNET=${FAMILY[0]} ANY_ADDRESS=${FAMILY[1]} LOOPBACK=${FAMILY[2]} NODE_ADDRESS=${FAMILY[3]} \
  ROUTE_OPTION=${FAMILY[4]} RULES_PROGRAM=${FAMILY[5]}

# connect_pods: give every node its part of the network.
connect_pods() {
  wait_until 60 "each node's range of pod addresses" pod_ranges_known
  kubectl get nodes -o jsonpath='{range .items[*]}{.metadata.name} {.spec.podCIDR} {.status.addresses[?(@.type=="InternalIP")].address}{"\n"}{end}' >"$CLUSTER_DIR/pod-ranges"
  cat "$CLUSTER_DIR/pod-ranges"
  on_every_node connect_node
}

pod_ranges_known() {
  local ranges
  ranges=$(kubectl get nodes -o jsonpath='{range .items[*]}{.spec.podCIDR}{"\n"}{end}' 2>/dev/null) || return 1
  (($(grep -c / <<<"$ranges") == ${#NODES[@]}))
}

# connect_node NODE
connect_node() {
  local node=$1
  # Routes and rules are gone when the node's container is started again: a unit sets them at each start.
  node_network_script "$node" | docker exec -i "$node" tee /kind/bin/pod-network.sh >/dev/null
  node_network_unit | docker exec -i "$node" tee /etc/systemd/system/pod-network.service >/dev/null
  cni_config "$node" | docker exec -i "$node" sh -c 'mkdir -p /etc/cni/net.d && cat >/etc/cni/net.d/.new && mv /etc/cni/net.d/.new /etc/cni/net.d/10-bridge.conflist'
  docker exec "$node" systemctl enable --now pod-network.service
}

node_network_script() {
  local node=$1 name range address
  printf '#!/bin/sh\nset -eu\n'
  while read -r name range address; do
    [[ $name == "$node" ]] || printf 'ip %s route replace %s via %s\n' "$ROUTE_OPTION" "$range" "$address"
    [[ $name != "$node" ]] || printf 'rule="POSTROUTING -s %s ! -d %s -j MASQUERADE"\n' "$range" "$POD_SUBNET"
  done <"$CLUSTER_DIR/pod-ranges"
  # The rule is split into words on purpose, by the node's shell.
  # shellcheck disable=SC2016
  printf '%s -w -t nat -C $rule 2>/dev/null || %s -w -t nat -A $rule\n' "$RULES_PROGRAM" "$RULES_PROGRAM"
}

node_network_unit() {
  cat <<'UNIT'
[Unit]
Description=Routes and address translation for the pods' network
Before=kubelet.service

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/bin/sh /kind/bin/pod-network.sh

[Install]
WantedBy=multi-user.target
UNIT
}

cni_config() {
  local range
  range=$(sed -n "s/^$1 \([^ ]*\) .*/\1/p" "$CLUSTER_DIR/pod-ranges")
  jq -n --arg range "$range" --arg any "$ANY_ADDRESS" '{cniVersion: "0.4.0", name: "pods", plugins: [
    {type: "bridge", bridge: "cni0", isGateway: true, hairpinMode: true, ipMasq: false,
     ipam: {type: "host-local", ranges: [[{subnet: $range}]], routes: [{dst: $any}]}},
    {type: "portmap", capabilities: {portMappings: true}}]}'
}
