# shellcheck shell=bash
# Programs from Go modules that are used as they are: kind itself, and the volume provisioner.

# go_install STAMP HASH MODULE: the module's program, at the version given with it, in BIN_DIR.
go_install() {
  mkdir -p "$BIN_DIR"
  # Apart from this project's module, so that the program gets the dependencies that its makers chose.
  (cd / && GOFLAGS='' CGO_ENABLED=0 GOBIN=$BIN_DIR go install -trimpath -ldflags '-s -w' "$3")
  stamp "$1" "$2"
}

# ensure_program STAMP MODULE NAME
ensure_program() {
  local hash
  hash=$(hash_of "$(go env GOVERSION GOOS GOARCH)" "$2")
  if fresh "$1" "$hash" "$BIN_DIR/$3"; then
    up_to_date "$1"
  else
    stage "$1" "compiling $2" go_install "$1" "$hash" "$2"
  fi
}

ensure_kind() { ensure_program kind "sigs.k8s.io/kind@$KIND_VERSION" kind; }

ensure_local_path() {
  ensure_program local-path "github.com/rancher/local-path-provisioner@$LOCAL_PATH_VERSION" local-path-provisioner
}

# kind_module: the folder of kind's module, which holds the files of its nodes.
kind_module() {
  local folder
  folder=$(go env GOMODCACHE)/sigs.k8s.io/kind@$KIND_VERSION
  [[ -d $folder ]] || (cd / && GOFLAGS='' go mod download "sigs.k8s.io/kind@$KIND_VERSION") >&2
  printf '%s' "$folder"
}
