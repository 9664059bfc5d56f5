# shellcheck shell=bash
# What e2e/run, e2e/up and e2e/down share: the version, messages, images and the operator on the cluster.

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
CLUSTER_SCRIPT=$ROOT/e2e/kind/cluster
CACHE=${HELLO_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/hello}
VERSION=$(sed -n '/^\[workspace.package\]/,/^\[/s/^version = "\(.*\)"$/\1/p' "$ROOT/Cargo.toml")
OPERATOR_NAMESPACE=hello-system
# Read by the scripts that source this file.
export ROOT CLUSTER_SCRIPT CACHE VERSION OPERATOR_NAMESPACE

existing_cluster() { [[ ${CLUSTER:-} == existing ]]; }

# say TEXT: one line of progress, with the seconds since the script began.
say() { printf '==> %4d s  %s\n' "$SECONDS" "$*" >&2; }

die() {
  printf 'error: %s\n' "$*" >&2
  exit 1
}

# use_cluster: start the local cluster when it is not running, and let kubectl and docker speak to it.
use_cluster() {
  if existing_cluster; then
    say "the cluster of the current kubeconfig: $(kubectl config current-context)"
    return
  fi
  say "cluster"
  "$CLUSTER_SCRIPT" up
  local environment
  environment=$("$CLUSTER_SCRIPT" env)
  eval "$environment"
}

# load_images: build the images and load them into the nodes. An existing cluster pulls its own.
load_images() {
  if existing_cluster; then
    say "images: an existing cluster pulls them itself"
    return
  fi
  say "images"
  "$ROOT/manifests/images/build"
  local images=("hello-app:$VERSION" "hello-operator:$VERSION")
  # Built only where no registry can be reached; elsewhere the nodes pull the official image.
  if docker image inspect postgres:18 >/dev/null 2>&1; then images+=(postgres:18); fi
  "$CLUSTER_SCRIPT" load "${images[@]}"
}

# image_id IMAGE: what changes when the image behind a tag does.
image_id() { docker image inspect --format '{{.Id}}' "$1"; }

# install_operator: apply the manifests and wait until the operator runs. Its pods are replaced only when something changed:
# an image that was built again under the same tag shows as an annotation of the pod template.
install_operator() {
  say "operator"
  kubectl apply --server-side --force-conflicts --kustomize "$ROOT/manifests/base" >&2
  if ! existing_cluster; then
    local annotation
    annotation=$(printf '{"spec":{"template":{"metadata":{"annotations":{"hello.internal/image-id":"%s"}}}}}' \
      "$(image_id "hello-operator:$VERSION")")
    kubectl --namespace "$OPERATOR_NAMESPACE" patch deployment hello-operator --type merge --patch "$annotation" >&2
  fi
  kubectl wait --for condition=Established --timeout 30s crd/helloservices.hello.internal >&2
  kubectl --namespace "$OPERATOR_NAMESPACE" rollout status deployment/hello-operator --timeout 120s >&2 || {
    kubectl --namespace "$OPERATOR_NAMESPACE" describe pods >&2
    kubectl --namespace "$OPERATOR_NAMESPACE" logs --selector app.kubernetes.io/name=hello-operator --tail 40 >&2
    die "the operator does not become ready; its pods and log are above"
  }
}
