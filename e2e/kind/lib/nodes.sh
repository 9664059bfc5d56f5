# shellcheck shell=bash
# The nodes: made by kind, kept while they are healthy and nothing they were made of has changed.

readonly CLUSTER_DIR=$STATE_DIR/cluster
readonly KIND_LABEL=io.x-k8s.kind.cluster=$CLUSTER_NAME

kind() { KIND_EXPERIMENTAL_PROVIDER=docker "$BIN_DIR/kind" "$@"; }

# write_kind_config SOURCE: the configuration for this machine and image source.
write_kind_config() {
  local options=() option lines=''
  mkdir -p "$CLUSTER_DIR"
  cp "$SOURCE_DIR/config/audit-policy.yaml" "$CLUSTER_DIR/audit-policy.yaml"
  # The kubelet refuses control groups of version 1 unless configured otherwise, and measures volumes wrongly with them.
  [[ -f $CGROUPS/cgroup.controllers ]] || options+=('failCgroupV1: false')
  # The official image makes control groups through systemd, ours makes them directly.
  [[ $1 != local ]] || options+=('cgroupDriver: cgroupfs')
  [[ -f $CGROUPS/cgroup.controllers ]] || options+=('localStorageCapacityIsolation: false')
  for option in "${options[@]}"; do
    # The two characters by which sed knows a line's end.
    lines+="${lines:+\\n}    $option"
  done
  sed -e "s|@NAME@|$CLUSTER_NAME|; s|@NODE_PORT@|$NODE_PORT|; s|@STATE_DIR@|$STATE_DIR|; s|^@KUBELET@$|$lines|" \
    -e "s|@DISABLE_CNI@|$([[ $1 == local ]] && echo true || echo false)|" \
    -e "s|@IP_FAMILY@|$IP_FAMILY|; s|@POD_SUBNET@|$POD_SUBNET|; s|@LOOPBACK@|$LOOPBACK|" \
    "$SOURCE_DIR/config/kind.yaml" >"$CLUSTER_DIR/kind.yaml"
}

# cluster_hash SOURCE: what the nodes are made of.
cluster_hash() {
  local image=${HELLO_KIND_NODE_IMAGE:-official}
  [[ $1 != local ]] || image=$(image_name)
  hash_of "$image" "$KIND_VERSION" "@$CLUSTER_DIR/kind.yaml" "@$CLUSTER_DIR/audit-policy.yaml" "@$SOURCE_DIR/lib/network.sh"
}

# How many nodes run, and how many there are at all.
running_nodes() { docker ps -q --filter "label=$KIND_LABEL" | wc -l; }
existing_nodes() { docker ps -aq --filter "label=$KIND_LABEL" | wc -l; }

api_answers() { kubectl get --raw /readyz --request-timeout 5s >/dev/null 2>&1; }

nodes_ready() {
  local ready
  ready=$(kubectl get nodes --request-timeout 5s -o jsonpath='{range .items[*]}{.status.conditions[?(@.type=="Ready")].status}{"\n"}{end}' 2>/dev/null) || return 1
  (($(grep -c True <<<"$ready") == ${#NODES[@]}))
}

# system_ready: every Deployment and DaemonSet of the cluster itself has all its pods.
system_ready() {
  local namespace
  for namespace in kube-system local-path-storage; do
    kubectl get deployments,daemonsets --namespace "$namespace" --request-timeout 5s -o json 2>/dev/null |
      jq -e '(.items | length) > 0 and all(.items[]; .status.observedGeneration == .metadata.generation
        and (if .kind == "Deployment" then .status.availableReplicas == .spec.replicas and .status.updatedReplicas == .spec.replicas
             else .status.numberAvailable == .status.desiredNumberScheduled and .status.desiredNumberScheduled > 0 end))' >/dev/null || return 1
  done
}

# ensure_nodes SOURCE: the nodes exist, made of today's inputs, and answer.
ensure_nodes() {
  local source=$1 hash
  write_kind_config "$source"
  hash=$(cluster_hash "$source")
  if [[ -f $CLUSTER_DIR/stamp && $(<"$CLUSTER_DIR/stamp") == "$hash" ]] && (($(existing_nodes) == ${#NODES[@]})); then
    if (($(running_nodes) < ${#NODES[@]})); then
      stage restart "starting the nodes that are stopped, waiting for their heartbeats" start_nodes
    fi
    if addresses_are_kept && settles; then
      up_to_date nodes
      return
    fi
  fi
  if (($(existing_nodes) > 0)); then
    stage clean "removing nodes that are incomplete, unhealthy, or made of other inputs" delete_nodes
  fi
  stage nodes "creating three nodes with kind, waiting for kubeadm" create_nodes "$source" "$hash"
}

# start_nodes: a node that was stopped counts as ready until it is missed, so only a new heartbeat proves that it is.
# When none comes, the nodes are created again.
start_nodes() {
  local since
  since=$(date -u +%FT%TZ)
  docker start "${NODES[@]}"
  wait_until 60 "a heartbeat of each node" heartbeats_since "$since" || true
}

# heartbeats_since TIME: RFC 3339 in UTC, of which the order of letters is the order in time.
heartbeats_since() {
  local beats beat
  beats=$(kubectl get leases --namespace kube-node-lease --request-timeout 5s -o jsonpath='{range .items[*]}{.spec.renewTime}{"\n"}{end}' 2>/dev/null) || return 1
  (($(wc -w <<<"$beats") == ${#NODES[@]})) || return 1
  for beat in $beats; do
    [[ $beat > $1 ]] || return 1
  done
}

# addresses_are_kept: the nodes still have the addresses that the routes between them lead to.
addresses_are_kept() {
  local name address
  [[ -f $CLUSTER_DIR/pod-ranges ]] || return 0
  while read -r name _ address; do
    [[ $(docker inspect --format '{{range .NetworkSettings.Networks}}{{.'"$NODE_ADDRESS"'}}{{end}}' "$name") == "$address" ]] || return 1
  done <"$CLUSTER_DIR/pod-ranges"
}

# settles: the nodes become ready by themselves, as they do when the machine was busy.
settles() { wait_until 30 "the API and the nodes" api_and_nodes >/dev/null; }
api_and_nodes() { api_answers && nodes_ready; }

create_nodes() {
  local source=$1 hash=$2 options=()
  if [[ $source == local ]]; then
    options+=(--image "$(image_name)")
  elif [[ -n ${HELLO_KIND_NODE_IMAGE:-} ]]; then
    options+=(--image "$HELLO_KIND_NODE_IMAGE")
  fi
  rm -f "$CLUSTER_DIR/stamp" "$CLUSTER_DIR/pod-ranges" "$CLUSTER_KUBECONFIG"
  kind create cluster --name "$CLUSTER_NAME" --config "$CLUSTER_DIR/kind.yaml" --kubeconfig "$CLUSTER_KUBECONFIG" \
    --retain "${options[@]}"
  take_kubectl
  [[ $source != local ]] || connect_pods
  wait_until 120 "the nodes to be ready" api_and_nodes
  printf '%s\n' "$source" >"$CLUSTER_DIR/source"
  printf '%s\n' "$hash" >"$CLUSTER_DIR/stamp"
}

# take_kubectl: the client that fits the cluster. The official image brings one along.
take_kubectl() {
  if [[ -x $KUBE_DIR/kubectl ]]; then
    ln -sfn "$KUBE_DIR/kubectl" "$BIN_DIR/kubectl"
  else
    docker cp --follow-link "$CONTROL_PLANE:/usr/bin/kubectl" "$BIN_DIR/kubectl.new"
    mv "$BIN_DIR/kubectl.new" "$BIN_DIR/kubectl"
  fi
}

# delete_nodes: the containers, with their volumes. Asked of the engine itself: kind may not be there any more.
delete_nodes() {
  docker ps -aq --filter "label=$KIND_LABEL" | xargs -r docker rm --force --volumes
  rm -f "$CLUSTER_DIR/stamp" "$CLUSTER_KUBECONFIG"
}

# ensure_system: the cluster's own pods run: DNS, volumes, metrics.
ensure_system() {
  if system_ready && metrics_answer; then
    up_to_date system
  else
    stage system "installing metrics-server, waiting for DNS, volumes and metrics" install_system
  fi
}

install_system() {
  sed "s/@VERSION@/$METRICS_SERVER_VERSION/" "$SOURCE_DIR/config/metrics-server.yaml" | kubectl apply -f -
  wait_until 180 "the cluster's own pods" system_ready || {
    kubectl get pods -A -o wide
    kubectl get events -A --sort-by .lastTimestamp | tail -n 15
    return 1
  }
  wait_until 90 "the first metrics of all nodes" metrics_answer
}

# metrics_answer: figures of every node are there, which is what the HPA needs.
metrics_answer() {
  kubectl get --raw /apis/metrics.k8s.io/v1beta1/nodes --request-timeout 5s 2>/dev/null |
    jq -e --argjson nodes "${#NODES[@]}" '(.items | length) == $nodes' >/dev/null
}
