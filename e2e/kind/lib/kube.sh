# shellcheck shell=bash
# The Kubernetes binary: built from Go modules, and linked under the names of its programs.

readonly KUBE_SOURCE=$SOURCE_DIR/kube
readonly KUBE_DIR=$BUILD_DIR/kube
readonly KUBE_PROGRAMS=(coredns etcd kube-apiserver kube-controller-manager kube-proxy kube-scheduler
  kubeadm kubectl kubelet metrics-server)
readonly KUBE_LDFLAGS="-s -w -X k8s.io/component-base/version.gitVersion=$KUBERNETES_VERSION
  -X k8s.io/component-base/version.gitMajor=1 -X k8s.io/component-base/version.gitMinor=36"

kube_hash() {
  hash_of "$(go env GOVERSION GOOS GOARCH)" "$KUBE_LDFLAGS" "${KUBE_PROGRAMS[*]}" \
    "@$KUBE_SOURCE/go.mod" "@$KUBE_SOURCE/go.sum" "@$KUBE_SOURCE/main.go" "@$KUBE_SOURCE/pause/main.go"
}

# go_build PACKAGE OUTPUT [FLAG...]: a static binary, in place only when complete.
go_build() {
  local package=$1 output=$2
  shift 2
  (cd "$KUBE_SOURCE" && GOFLAGS='' CGO_ENABLED=0 go build -mod=readonly -trimpath -buildvcs=false \
    "$@" -o "$output.new" "$package")
  mv "$output.new" "$output"
}

build_kube() {
  local hash=$1 program
  mkdir -p "$KUBE_DIR"
  echo "downloading modules"
  (cd "$KUBE_SOURCE" && GOFLAGS='' go mod download)
  echo "compiling Kubernetes"
  go_build . "$KUBE_DIR/kube" -ldflags "$KUBE_LDFLAGS"
  go_build ./pause "$KUBE_DIR/pause" -ldflags '-s -w'
  for program in "${KUBE_PROGRAMS[@]}"; do
    ln -sfn kube "$KUBE_DIR/$program"
  done
  stamp kube "$hash"
}

kube_is_built() { fresh kube "$1" "$KUBE_DIR/kube" "$KUBE_DIR/pause" "${KUBE_PROGRAMS[@]/#/$KUBE_DIR/}"; }

# kube_assets: the folder's name on standard output. It waits for another run only when something has to be built.
kube_assets() {
  if ! kube_is_built "$(kube_hash)"; then
    hold_lock build
    ensure_kube
  fi
  printf '%s\n' "$KUBE_DIR"
}

# ensure_kube: the binary and its links, built when something has changed.
ensure_kube() {
  local hash
  hash=$(kube_hash)
  if kube_is_built "$hash"; then
    up_to_date kube
  else
    stage kube "compiling Kubernetes $KUBERNETES_VERSION from Go modules (minutes, once)" build_kube "$hash"
  fi
}
