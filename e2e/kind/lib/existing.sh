# shellcheck shell=bash
# CLUSTER=existing: an external cluster. It is used and never changed from here.

# existing_kubectl: any kubectl; the cluster's owner has one, and ours serves as well.
existing_kubectl() {
  if command -v kubectl >/dev/null; then
    command kubectl "$@"
  elif [[ -x $BIN_DIR/kubectl ]]; then
    "$BIN_DIR/kubectl" "$@"
  else
    die "CLUSTER=existing needs kubectl"
  fi
}

# existing_answers: the API that the current KUBECONFIG names can be reached.
existing_answers() {
  local context
  context=$(existing_kubectl config current-context) || die "CLUSTER=existing, but KUBECONFIG names no current context"
  existing_kubectl get --raw /readyz --request-timeout 10s >/dev/null || die "the API of context $context does not answer"
  say "==> existing: the API of context $context answers"
}

existing_up() {
  existing_answers
  say "    skipped: engine, node image, nodes, network, storage and metrics are the cluster's own"
}

existing_down() {
  existing_answers
  say "    skipped: the cluster stays as it is"
}

# existing_load IMAGE...: only kind's nodes can be given images directly.
existing_load() {
  local context
  existing_answers
  context=$(existing_kubectl config current-context)
  if [[ $context != kind-* ]]; then
    say "    skipped: the nodes of context $context have to be able to pull $*"
    return
  fi
  mapfile -t NODES < <(docker ps --filter "label=io.x-k8s.kind.cluster=${context#kind-}" --format '{{.Names}}')
  ((${#NODES[@]} > 0)) || die "the engine has no nodes of context $context"
  load_images "$@"
}
